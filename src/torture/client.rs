//! One client: places orders one after the other, each under a key of its own, and asks again under the same key until it knows
//! how its order ended. Now and then it asks again about an order that ended long ago, sends a request twice at once, or hangs up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client_log::{Book, Ending, Entry};
use super::cluster::Cluster;
use super::http::{self, Answer};
use super::workload::{Wish, Workload};

/// Longer than every budget of a saga together.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between tries.
const AGAIN: Duration = Duration::from_millis(15);

/// Lives until it is told to stop; an order that was begun is still seen to its end.
pub(super) fn live(client: u16, workload: &Workload, cluster: &Cluster, book: &Book, stop: &AtomicBool) {
    let mut random = fastrand::Rng::with_seed(u64::from(client));
    for number in 0.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        place(workload.wish(client, number), cluster, book);
        if random.u8(..100) < 10
            && let Some(known) = book.recent(&mut random)
        {
            ask_again(&known, cluster, book);
        }
    }
}

fn place(wish: Wish, cluster: &Cluster, book: &Book) {
    let deadline = Instant::now() + PATIENCE;
    if wish.hasty {
        http::post_and_leave(cluster.address(), "/orders", &wish.key, &wish.body);
    }
    if wish.doubled {
        return place_twice(&wish, cluster, book, deadline);
    }
    if let Some(entry) = until_final(wish, cluster, book, deadline) {
        book.enter(entry);
    }
}

/// The same request from two connections at once is one order with one answer.
fn place_twice(wish: &Wish, cluster: &Cluster, book: &Book, deadline: Instant) {
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| until_final(wish.clone(), cluster, book, deadline));
        (
            until_final(wish.clone(), cluster, book, deadline),
            other.join().ok().flatten(),
        )
    });
    if let (Some(one), Some(other)) = (&one, &other)
        && one.answer != other.answer
    {
        book.complain(format!(
            "{}: the same request under the same key was answered {:?} and {:?}",
            one.id, one.answer, other.answer
        ));
    }
    one.or(other).into_iter().for_each(|entry| book.enter(entry));
}

/// Asks until the answer is final. `None`, and a complaint, when it never is.
fn until_final(wish: Wish, cluster: &Cluster, book: &Book, deadline: Instant) -> Option<Entry> {
    for tries in 1.. {
        let last = match http::post(cluster.address(), "/orders", &wish.key, &wish.body) {
            Ok(answer) => match read(&answer, cluster) {
                Reading::Final(id, ending) => {
                    let answer = (answer.status, answer.body);
                    let entry = Entry {
                        wish,
                        id,
                        ending,
                        answer,
                        tries,
                    };
                    return Some(entry);
                }
                Reading::NotYet => format!("{} {}", answer.status, answer.body),
                Reading::Wrong => {
                    book.complain(format!(
                        "{}: answered {} {}",
                        wish.key, answer.status, answer.body
                    ));
                    return None;
                }
            },
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline {
            book.complain(format!(
                "{} got no final answer within {PATIENCE:?}; last: {last}",
                wish.key
            ));
            return None;
        }
        std::thread::sleep(AGAIN);
    }
    None
}

enum Reading {
    Final(String, Ending),
    NotYet,
    Wrong,
}

fn read(answer: &Answer, cluster: &Cluster) -> Reading {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let rejected = |ending| match text("order_id") {
        id if id.is_empty() => Reading::Wrong,
        id => Reading::Final(id, ending),
    };
    match (answer.status, text("code").as_str()) {
        (201, _) => Reading::Final(text("id"), Ending::Confirmed),
        (202, _) => match is_parked(&text("id"), cluster) {
            true => Reading::Final(text("id"), Ending::Parked),
            false => Reading::NotYet,
        },
        (402, _) => rejected(Ending::Declined),
        (409, "out_of_stock") => rejected(Ending::SoldOut),
        (409, "idempotency_key_in_use") | (503 | 507, _) => Reading::NotYet,
        (409 | 502 | 504, code) => rejected(Ending::Rejected(code.to_owned())),
        _ => Reading::Wrong,
    }
}

fn is_parked(id: &str, cluster: &Cluster) -> bool {
    http::get(cluster.address(), &format!("/orders/{id}"))
        .is_ok_and(|answer| answer.body.contains("\"status\":\"parked\""))
}

/// An order that ended is answered the same for ever.
fn ask_again(known: &Entry, cluster: &Cluster, book: &Book) {
    if known.ending == Ending::Parked {
        return;
    }
    let Ok(answer) = http::post(cluster.address(), "/orders", &known.wish.key, &known.wish.body) else {
        return;
    };
    if answer.status != 503 && (answer.status, &answer.body) != (known.answer.0, &known.answer.1) {
        book.complain(format!(
            "{}: answered {:?} first, and {} {} when asked again under the same key",
            known.id, known.answer, answer.status, answer.body
        ));
    }
}

/// Whether what a client was told is still so; what is wrong, if not.
pub(super) fn still_true(entry: &Entry, cluster: &Cluster) -> Option<String> {
    let expected = match entry.ending {
        Ending::Confirmed => "confirmed",
        Ending::Declined | Ending::SoldOut | Ending::Rejected(_) => "rejected",
        Ending::Parked => return None,
    };
    let found = match http::get(cluster.address(), &format!("/orders/{}", entry.id)) {
        Ok(answer) => answer,
        Err(error) => return Some(format!("{}: cannot be read at rest: {error}", entry.id)),
    };
    let body: Value = serde_json::from_str(&found.body).unwrap_or_default();
    let same = body["status"] == expected
        && body["customer_id"] == entry.wish.customer.as_str()
        && body["total"]["amount"] == entry.wish.total();
    (!same).then(|| {
        format!(
            "{} was answered {} and is at rest {} {}",
            entry.id, entry.answer.0, found.status, found.body
        )
    })
}
