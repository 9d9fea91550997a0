//! One editor of the stock: changes names and sale states by `PATCH`, and counts by adjustments, each under a
//! key of its own and repeated until it is answered. Whatever an order does meanwhile, no piece may be lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::FINAL_ANSWER_TIMEOUT;
use super::client_log::ClientLog;
use super::cluster::TorturedCluster;
use super::http::{self, HttpAnswer};
use super::workload::Workload;

/// Between two tries, and between two edits.
const EDIT_INTERVAL: Duration = Duration::from_millis(15);
/// By how many pieces an adjustment changes a count at most.
const MAX_DELTA: i64 = 3;

/// Edits the stock until `stop` is set; an edit that was begun is followed to its end. At the end everything
/// is on sale.
pub(super) fn run(
    editor: u16,
    workload: &Workload,
    cluster: &TorturedCluster,
    log: &ClientLog,
    stop: &AtomicBool,
) {
    let articles: Vec<String> = workload.initial_stock().map(|(sku, _)| sku).collect();
    let mut random = fastrand::Rng::with_seed(u64::from(editor) ^ 0xed17);
    let mut edits = Edits { cluster, log };
    for number in 0_u64.. {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let sku = &articles[random.usize(..articles.len())];
        match random.u8(..3) {
            0 => edits.patch(sku, &json!({ "name": format!("{sku}, edition {number}") })),
            1 => {
                edits.patch(sku, &json!({ "on_sale": false }));
                edits.patch(sku, &json!({ "on_sale": true }));
            }
            _ => {
                let delta = random.i64(1..=MAX_DELTA) * if random.bool() { 1 } else { -1 };
                edits.adjust(sku, delta, &format!("editor-{editor}-{number}"));
            }
        }
        std::thread::sleep(EDIT_INTERVAL);
    }
    for sku in &articles {
        edits.patch(sku, &json!({ "on_sale": true }));
    }
}

struct Edits<'a> {
    cluster: &'a TorturedCluster,
    log: &'a ClientLog,
}

impl Edits<'_> {
    fn patch(&mut self, sku: &str, patch: &serde_json::Value) {
        let path = format!("/inventory/{sku}");
        let send = || http::patch(self.cluster.address(), &path, &patch.to_string());
        if let Some(answer) = self.until_final(&format!("PATCH {sku} {patch}"), send) {
            match answer.status {
                200 => self.log.edited(),
                _ => self.complain(&format!("PATCH {sku} {patch}"), &answer),
            }
        }
    }

    /// A count below what is reserved is refused, and nothing is changed then.
    fn adjust(&mut self, sku: &str, delta: i64, key: &str) {
        let path = format!("/inventory/{sku}/adjustments");
        let body = json!({ "delta": delta, "reason": "torture" }).to_string();
        let send = || http::post(self.cluster.address(), &path, key, &body);
        let Some(answer) = self.until_final(key, send) else {
            return;
        };
        match answer.status {
            201 => {
                self.log.edited();
                self.log.adjusted(sku, delta);
            }
            409 if answer.body.contains("on_hand_below_reserved") => {}
            _ => self.complain(key, &answer),
        }
    }

    /// Repeats the request until it is answered by more than "not now".
    fn until_final(&self, what: &str, send: impl Fn() -> std::io::Result<HttpAnswer>) -> Option<HttpAnswer> {
        let deadline = Instant::now() + FINAL_ANSWER_TIMEOUT;
        loop {
            let last = match send() {
                Ok(answer) if !matches!(answer.status, 503 | 507) => return Some(answer),
                Ok(answer) => format!("{} {}", answer.status, answer.body),
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                let waited = FINAL_ANSWER_TIMEOUT;
                self.log.complain(format!(
                    "{what} got no final answer within {waited:?}; last: {last}"
                ));
                return None;
            }
            std::thread::sleep(EDIT_INTERVAL);
        }
    }

    fn complain(&self, what: &str, answer: &HttpAnswer) {
        self.log
            .complain(format!("{what}: answered {} {}", answer.status, answer.body));
    }
}
