//! Six buyers, one editor of names and one of counts, all of the same article. At the end, the pieces that
//! were sold and those that lie on the shelf are the pieces that there ever were: those of the beginning, and
//! what the editor added or took away.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use cluster::shop::evidence::audit::{Moment, check_invariants};
use serde_json::{Value, json};

use crate::server::{Plan, Server};
use crate::stores;
use crate::table::Table;

const BUYERS: usize = 6;
/// Edits that succeed, at least, in a second.
const BAR: f64 = 5.0;
/// So long an order may be under way after the load.
const REST: Duration = Duration::from_secs(20);

/// A client of the article.
struct Client<'a> {
    agent: ureq::Agent,
    server: &'a Server,
    sku: String,
}

/// What one of the clients did.
#[derive(Clone, Copy, Default)]
struct Done {
    requests: u64,
    pieces: i64,
}

impl Client<'_> {
    fn new(server: &Server) -> Client<'_> {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        Client {
            agent: config.timeout_global(Some(REST)).build().into(),
            server,
            sku: stores::sku(0),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    fn article(&self) -> Result<Value, String> {
        let answer = self
            .agent
            .get(self.url(&format!("/inventory/{}", self.sku)))
            .call();
        answer_of(answer).map(|(_, body)| body)
    }

    fn send(&self, request: http::request::Builder, body: &Value) -> Result<(u16, Value), String> {
        let request = request.header("content-type", "application/json");
        let request = request
            .body(body.to_string())
            .map_err(|error| error.to_string())?;
        answer_of(self.agent.run(request))
    }

    /// Buys one to three pieces.
    fn buy(&self) -> Result<i64, String> {
        let quantity = fastrand::i64(1..=3);
        let items = json!([{ "sku": self.sku, "quantity": quantity }]);
        let body = json!({ "customer_id": "c-1", "items": items, "payment": { "method": "pm_card_visa" } });
        let (status, order) = self.send(http::Request::post(self.url("/orders")), &body)?;
        match (status, order["status"].as_str()) {
            (201, _) => Ok(quantity),
            (202, _) => self.ended(&order).map(|is_sold| quantity * i64::from(is_sold)),
            _ => Err(format!("an order was answered {status}: {order}")),
        }
    }

    fn ended(&self, order: &Value) -> Result<bool, String> {
        let path = format!("/orders/{}", order["id"].as_str().unwrap_or_default());
        let until = Instant::now() + REST;
        while Instant::now() < until {
            let (_, order) = answer_of(self.agent.get(self.url(&path)).call())?;
            match order["status"].as_str() {
                Some("confirmed") => return Ok(true),
                Some("rejected") => return Ok(false),
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        Err(format!("{path} did not end"))
    }

    fn rename(&self, number: u64) -> Result<i64, String> {
        let body = json!({ "name": format!("A thing, edition {number}") });
        let path = format!("/inventory/{}", self.sku);
        match self.send(http::Request::patch(self.url(&path)), &body)? {
            (200, _) => Ok(0),
            (status, body) => Err(format!("a patch was answered {status}: {body}")),
        }
    }

    fn adjust(&self, number: u64) -> Result<i64, String> {
        let delta = fastrand::i64(1..=5) * if number.is_multiple_of(2) { 1 } else { -1 };
        let body = json!({ "delta": delta, "reason": "counted" });
        let path = format!("/inventory/{}/adjustments", self.sku);
        let request = http::Request::post(self.url(&path));
        match self.send(request.header("idempotency-key", format!("bars-{number}")), &body)? {
            (201, _) => Ok(delta),
            (status, body) => Err(format!("an adjustment was answered {status}: {body}")),
        }
    }
}

fn answer_of(answer: Result<http::Response<ureq::Body>, ureq::Error>) -> Result<(u16, Value), String> {
    let mut answer = answer.map_err(|error| error.to_string())?;
    let text = answer
        .body_mut()
        .read_to_string()
        .map_err(|error| error.to_string())?;
    let body = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    Ok((answer.status().as_u16(), body))
}

/// Runs one client until the end; it stops at the first answer that is not the expected one.
fn until(end: &AtomicBool, mut act: impl FnMut(u64) -> Result<i64, String>) -> Result<Done, String> {
    let mut done = Done::default();
    while !end.load(Relaxed) {
        done.pieces += act(done.requests)?;
        done.requests += 1;
    }
    Ok(done)
}

/// Edits and sells for so long.
pub(crate) fn measure(seconds: u64, table: &mut Table) -> Result<(), String> {
    let server = Server::start(&Plan::workers(2))?;
    let before = at_rest(&server)?;
    let end = AtomicBool::new(false);
    let (sold, names, counts) = std::thread::scope(|scope| {
        let buyer = |_| {
            scope.spawn(|| {
                let client = Client::new(&server);
                until(&end, |_| client.buy())
            })
        };
        let buyers: Vec<_> = (0..BUYERS).map(buyer).collect();
        let names = scope.spawn(|| {
            let client = Client::new(&server);
            until(&end, |number| client.rename(number))
        });
        let counts = scope.spawn(|| {
            let client = Client::new(&server);
            until(&end, |number| client.adjust(number))
        });
        std::thread::sleep(Duration::from_secs(seconds));
        end.store(true, Relaxed);
        let joined = |thread: std::thread::ScopedJoinHandle<'_, Result<Done, String>>| {
            thread
                .join()
                .unwrap_or_else(|_| Err("a client panicked".to_owned()))
        };
        let sold: Result<Vec<Done>, String> = buyers.into_iter().map(joined).collect();
        (sold, joined(names), joined(counts))
    });
    let (sold, names, counts) = (sold?, names?, counts?);
    let after = at_rest(&server)?;
    let bought: i64 = sold.iter().map(|done| done.pieces).sum();
    let orders: u64 = sold.iter().map(|done| done.requests).sum();
    let per_second = |requests: u64| requests as f64 / seconds as f64;
    table.fact("orders, six buyers of one article", per_second(orders), "/s");
    table.at_least("names changed", per_second(names.requests), BAR, "/s");
    table.at_least("counts adjusted", per_second(counts.requests), BAR, "/s");
    table.fact("pieces at the beginning", before as f64, "");
    table.fact("  adjusted", counts.pieces as f64, "");
    table.fact("  sold", bought as f64, "");
    table.fact("  on hand at the end", after as f64, "");
    let wrong = before + counts.pieces - bought - after;
    table.at_most(
        "  pieces that are too many or too few",
        wrong.abs() as f64,
        0.0,
        "",
    );
    let audit = check_invariants(&server.data(), Moment::Any).map_err(|error| error.to_string())?;
    table.at_most(
        "  violations that the audit finds",
        audit.violations.len() as f64,
        0.0,
        "",
    );
    Ok(())
}

/// The pieces on the shelf when none is held for an order.
fn at_rest(server: &Server) -> Result<i64, String> {
    let client = Client::new(server);
    let until = Instant::now() + REST;
    while Instant::now() < until {
        let article = client.article()?;
        if article["reserved"] == 0 {
            return article["on_hand"].as_i64().ok_or_else(|| article.to_string());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err("pieces stay reserved".to_owned())
}
