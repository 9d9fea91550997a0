//! Edits of stock beside sales and deaths: no piece appears and none is lost.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use cluster::shop::evidence::audit::{Moment, check_invariants};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::common::{Answer, Cluster, Plan, TIMEOUT, client};

const ARTICLE: &str = "/inventory/espresso-cup";
const ADJUSTMENTS: &str = "/inventory/espresso-cup/adjustments";

/// Sends the request under its key until it gets a final answer: workers die meanwhile.
fn until_final(url: &str, key: &str, body: &Value) -> Answer {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let request = client()
            .post(url)
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        match Answer::try_of(request.send(body.to_string())) {
            Ok(answer) if answer.status == 201 => return answer,
            Ok(answer) if !matches!(answer.status, 202 | 409 | 503) => panic!("{answer:?}"),
            Ok(_) | Err(_) => assert!(Instant::now() < deadline, "{key} got no final answer"),
        }
    }
}

fn pieces(cluster: &Cluster) -> i64 {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let article = cluster.get(ARTICLE).json();
        if article["reserved"] == 0 {
            return article["on_hand"].as_i64().expect("a count");
        }
        assert!(Instant::now() < deadline, "pieces stay reserved: {article}");
    }
}

/// Changes the name; a worker that dies may take the answer along, and the name is the same however often.
fn rename(url: &str, number: i64) {
    let body = json!({ "name": format!("Edition {number}") }).to_string();
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let request = client()
            .patch(url)
            .header("content-type", "application/merge-patch+json");
        match Answer::try_of(request.send(&body)) {
            Ok(answer) if answer.status == 200 => return,
            Ok(answer) if answer.status != 503 => panic!("{answer:?}"),
            Ok(_) | Err(_) => assert!(Instant::now() < deadline, "the name cannot be changed"),
        }
    }
}

#[test]
fn every_piece_is_accounted_for_while_workers_die() {
    let cluster = Plan::shop().start();
    let before = pieces(&cluster);
    let stop = AtomicBool::new(false);
    let (orders, adjust, article) = (
        cluster.url("/orders"),
        cluster.url(ADJUSTMENTS),
        cluster.url(ARTICLE),
    );
    let count = |act: &dyn Fn(i64) -> i64| {
        let mut sum = 0;
        for number in 0.. {
            if stop.load(Relaxed) {
                break;
            }
            sum += act(number);
        }
        sum
    };
    let (sold, adjusted, renamed) = std::thread::scope(|scope| {
        let buyers: Vec<_> = (0..3)
            .map(|buyer| {
                let (orders, count) = (&orders, &count);
                scope.spawn(move || {
                    count(&|number| {
                        let items = json!([{ "sku": "espresso-cup", "quantity": 2 }]);
                        let payment = json!({ "method": "pm_card_visa" });
                        let order = json!({ "customer_id": "c-1", "items": items, "payment": payment });
                        until_final(orders, &format!("{buyer}-{number}"), &order);
                        2
                    })
                })
            })
            .collect();
        let counts = scope.spawn(|| {
            count(&|number| {
                let delta = if number % 3 == 0 { -4 } else { 3 };
                let body = json!({ "delta": delta, "reason": "counted" });
                until_final(&adjust, &format!("count-{number}"), &body);
                delta
            })
        });
        let names = scope.spawn(|| {
            count(&|number| {
                rename(&article, number);
                1
            })
        });
        for round in 0..6 {
            let mark = cluster.mark();
            cluster.signal_worker(round % 2, Signal::SIGKILL);
            cluster.wait_from(mark, "worker ready");
        }
        stop.store(true, Relaxed);
        let sold: i64 = buyers
            .into_iter()
            .map(|buyer| buyer.join().expect("a buyer"))
            .sum();
        (
            sold,
            counts.join().expect("an editor"),
            names.join().expect("an editor"),
        )
    });
    assert!(sold > 0 && renamed > 0, "{sold} {renamed}");
    assert_eq!(pieces(&cluster), before + adjusted - sold);
    let name = cluster.get(ARTICLE).json()["name"].clone();
    assert_eq!(
        name,
        json!(format!("Edition {}", renamed - 1)),
        "the last edit stays"
    );
    let audit = check_invariants(&cluster.data(), Moment::Rest).expect("an audit");
    assert_eq!(audit.violations, Vec::<String>::new());
    assert!(cluster.stop().success());
}
