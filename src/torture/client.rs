//! One client: places orders one after the other, each under a key of its own, and repeats a request under
//! the same key until it knows how the order ended. Sometimes it repeats the request of an order that ended
//! earlier, sends a request twice at once, closes its connection before the answer, or asks over gRPC first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client_log::{AnsweredOrder, ClientLog, Ending};
use super::cluster::TorturedCluster;
use super::grpc::{GrpcClient, GrpcEnding};
use super::http::{self, HttpAnswer};
use super::workload::{PlannedOrder, Workload};

/// How long a client waits for a final answer: longer than all budgets of a saga together.
pub(super) const FINAL_ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Between two tries.
const RETRY_INTERVAL: Duration = Duration::from_millis(15);

/// Places orders until `stop` is set; an order that was begun is followed to its end.
pub(super) fn run(
    client: u16,
    workload: &Workload,
    cluster: &TorturedCluster,
    log: &ClientLog,
    stop: &AtomicBool,
) {
    let mut random = fastrand::Rng::with_seed(u64::from(client));
    let mut grpc = match GrpcClient::new() {
        Ok(grpc) => grpc,
        Err(error) => return log.complain(format!("a client of gRPC cannot be made: {error}")),
    };
    for number in 0.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        place(workload.order(client, number), cluster, log, &mut grpc);
        if random.u8(..100) < 10
            && let Some(known) = log.recent(&mut random)
        {
            ask_again(&known, cluster, log);
        }
    }
}

fn place(planned: PlannedOrder, cluster: &TorturedCluster, log: &ClientLog, grpc: &mut GrpcClient) {
    let deadline = Instant::now() + FINAL_ANSWER_TIMEOUT;
    if planned.hangs_up {
        http::post_and_leave(cluster.address(), "/orders", &planned.key, &planned.body);
    }
    let over_grpc = match planned.over_grpc {
        true => grpc.place(&planned, cluster.address()),
        false => None,
    };
    let entry = match planned.sent_twice {
        true => twice_until_final(&planned, cluster, log, deadline),
        false => until_final(planned, cluster, log, deadline),
    };
    if let Some(entry) = entry {
        if let Some(ending) = over_grpc {
            compare(&ending, &entry, log);
        }
        log.record(entry);
    }
}

/// The same request under the same key, asked over both protocols, is one order with one end.
fn compare(over_grpc: &GrpcEnding, entry: &AnsweredOrder, log: &ClientLog) {
    log.ended_over_grpc();
    let body: Value = serde_json::from_str(&entry.answer.1).unwrap_or_default();
    let over_http = GrpcEnding {
        id: entry.id.clone(),
        code: body["code"].as_str().map(str::to_owned),
    };
    if *over_grpc != over_http {
        log.complain(format!(
            "{}: the request was answered {over_grpc:?} over gRPC, and {:?} over HTTP",
            entry.id, entry.answer
        ));
    }
}

/// Sends the same request over two connections at once, which must give one order with one answer.
fn twice_until_final(
    planned: &PlannedOrder,
    cluster: &TorturedCluster,
    log: &ClientLog,
    deadline: Instant,
) -> Option<AnsweredOrder> {
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| until_final(planned.clone(), cluster, log, deadline));
        (
            until_final(planned.clone(), cluster, log, deadline),
            other.join().ok().flatten(),
        )
    });
    if let (Some(one), Some(other)) = (&one, &other)
        && one.answer != other.answer
    {
        log.complain(format!(
            "{}: the same request under the same key was answered {:?} and {:?}",
            one.id, one.answer, other.answer
        ));
    }
    one.or(other)
}

/// Repeats the request until the answer is final. `None`, and a complaint, when it never is.
fn until_final(
    planned: PlannedOrder,
    cluster: &TorturedCluster,
    log: &ClientLog,
    deadline: Instant,
) -> Option<AnsweredOrder> {
    for tries in 1.. {
        let last = match http::post(cluster.address(), "/orders", &planned.key, &planned.body) {
            Ok(answer) => match read(&answer, cluster) {
                AnswerMeaning::Final(id, ending) => {
                    let answer = (answer.status, answer.body);
                    let entry = AnsweredOrder {
                        planned,
                        id,
                        ending,
                        answer,
                        tries,
                    };
                    return Some(entry);
                }
                AnswerMeaning::NotYet => format!("{} {}", answer.status, answer.body),
                AnswerMeaning::Wrong => {
                    log.complain(format!(
                        "{}: answered {} {}",
                        planned.key, answer.status, answer.body
                    ));
                    return None;
                }
            },
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline {
            log.complain(format!(
                "{} got no final answer within {FINAL_ANSWER_TIMEOUT:?}; last: {last}",
                planned.key
            ));
            return None;
        }
        std::thread::sleep(RETRY_INTERVAL);
    }
    None
}

enum AnswerMeaning {
    Final(String, Ending),
    NotYet,
    Wrong,
}

fn read(answer: &HttpAnswer, cluster: &TorturedCluster) -> AnswerMeaning {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let rejected = |ending| match text("order_id") {
        id if id.is_empty() => AnswerMeaning::Wrong,
        id => AnswerMeaning::Final(id, ending),
    };
    match (answer.status, text("code").as_str()) {
        (201, _) => AnswerMeaning::Final(text("id"), Ending::Confirmed),
        (202, _) => match is_parked(&text("id"), cluster) {
            true => AnswerMeaning::Final(text("id"), Ending::Parked),
            false => AnswerMeaning::NotYet,
        },
        (402, _) => rejected(Ending::Declined),
        (409, "out_of_stock") => rejected(Ending::SoldOut),
        // An editor takes articles off sale for a moment.
        (_, "not_on_sale" | "idempotency_key_in_use") | (503 | 507, _) => AnswerMeaning::NotYet,
        (409 | 502 | 504, code) => rejected(Ending::Rejected(code.to_owned())),
        _ => AnswerMeaning::Wrong,
    }
}

fn is_parked(id: &str, cluster: &TorturedCluster) -> bool {
    http::get(cluster.address(), &format!("/orders/{id}"))
        .is_ok_and(|answer| answer.body.contains("\"status\":\"parked\""))
}

/// Repeats the request of an order that ended, which must be answered as before.
fn ask_again(known: &AnsweredOrder, cluster: &TorturedCluster, log: &ClientLog) {
    if known.ending == Ending::Parked {
        return;
    }
    let Ok(answer) = http::post(
        cluster.address(),
        "/orders",
        &known.planned.key,
        &known.planned.body,
    ) else {
        return;
    };
    if answer.status != 503 && (answer.status, &answer.body) != (known.answer.0, &known.answer.1) {
        log.complain(format!(
            "{}: answered {:?} first, and {} {} when asked again under the same key",
            known.id, known.answer, answer.status, answer.body
        ));
    }
}

/// How the order at rest contradicts what its client was told; `None` when it does not.
pub(super) fn contradiction(entry: &AnsweredOrder, cluster: &TorturedCluster) -> Option<String> {
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
        && body["customer_id"] == entry.planned.customer.as_str()
        && body["total"]["amount"] == entry.planned.total();
    (!same).then(|| {
        format!(
            "{} was answered {} and is at rest {} {}",
            entry.id, entry.answer.0, found.status, found.body
        )
    })
}
