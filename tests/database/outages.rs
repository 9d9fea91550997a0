//! Servers, workers and generations that go away while orders are placed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::common::{Answer, Cluster, Plan, TIMEOUT, client, order, place, run, wait_until};
use crate::server::{Server, plan_at};

/// The longest time that a request may take whose database is away: the time-out of requests, and some.
const LONGEST_REFUSAL: Duration = Duration::from_secs(35);

/// Asks until the answer has that status.
pub(crate) fn wait_for_status(cluster: &Cluster, path: &str, status: u16) -> Answer {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let answer = cluster.get(path);
        if answer.status == status {
            return answer;
        }
        assert!(Instant::now() < deadline, "{path} is not {status}: {answer:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Starts a shop, and waits until it has its databases: on a busy machine a server may be late.
pub(crate) fn started(plan: Plan) -> Cluster {
    let cluster = plan.start();
    wait_for_status(&cluster, "/healthz/readiness", 200);
    cluster
}

/// A refusal for lack of the database, with its cause, in bounded time.
pub(crate) fn assert_refused(cluster: &Cluster, cause: &str) {
    let asked = Instant::now();
    let refused = cluster.post("/orders", &[], &order());
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(asked.elapsed() < LONGEST_REFUSAL, "after {:?}", asked.elapsed());
    assert!(refused.body.contains(cause), "{cause:?} is not in {refused:?}");
}

pub(crate) fn away_at_the_start() {
    let mut server = Server::start();
    let plan = server.plan();
    server.stop("fast");
    let cluster = plan.start();
    let workers = cluster.workers();
    assert_eq!(cluster.get("/healthz/liveness").status, 200);
    let unready = cluster.get("/healthz/readiness");
    assert_eq!(unready.status, 503);
    assert!(
        unready.body.contains("the database of") && unready.body.contains("Connection refused"),
        "{unready:?}"
    );
    assert_refused(&cluster, "Connection refused");
    let status = run(&["status", "--data-dir", cluster.data().to_str().expect("text")]);
    assert!(status.stdout.contains("has not booted yet"), "{status:?}");
    server.start_again();
    wait_for_status(&cluster, "/healthz/readiness", 200);
    cluster.wait_for_many(0, "the application has booted", 2);
    place(&cluster);
    assert_eq!(cluster.workers(), workers, "nobody was restarted");
    assert!(cluster.stop().success());
}

/// Clients that place orders, each with a key of its own, until they are told to stop.
struct Clients {
    stop: Arc<AtomicBool>,
    placed: Arc<Mutex<BTreeMap<String, String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    fn start(cluster: &Cluster, many: usize) -> Clients {
        let (stop, placed) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let threads = (0..many)
            .map(|number| {
                let (stop, placed, url) = (Arc::clone(&stop), Arc::clone(&placed), cluster.url("/orders"));
                std::thread::spawn(move || place_orders(number, &url, &stop, &placed))
            })
            .collect();
        Clients {
            stop,
            placed,
            threads,
        }
    }

    fn count(&self) -> usize {
        self.placed.lock().expect("whole").len()
    }

    /// Waits until so many more orders were acknowledged.
    fn wait_for_more(&self, many: usize) {
        let before = self.count();
        wait_until("more acknowledged orders", || self.count() >= before + many);
    }

    /// Stops the clients: the orders that were acknowledged, by their keys.
    fn finish(self) -> BTreeMap<String, String> {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads {
            thread.join().expect("no panic");
        }
        let placed = self.placed.lock().expect("whole");
        placed.clone()
    }
}

fn place_orders(
    client_number: usize,
    url: &str,
    stop: &AtomicBool,
    placed: &Mutex<BTreeMap<String, String>>,
) {
    for number in 0.. {
        let key = format!("{client_number}-{number}");
        loop {
            if stop.load(Ordering::Acquire) {
                return;
            }
            let request = client()
                .post(url)
                .header("content-type", "application/json")
                .header("idempotency-key", &key);
            if let Ok(answer) = Answer::try_of(request.send(order()))
                && [200, 201].contains(&answer.status)
            {
                let id = answer.json()["id"].as_str().expect("an id").to_owned();
                placed.lock().expect("whole").insert(key, id);
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Every acknowledged order is there and confirmed, none under two ids, and the books are sound.
fn assert_nothing_lost(cluster: Cluster, placed: &BTreeMap<String, String>) {
    for (key, id) in placed {
        let answer = cluster.get(&format!("/orders/{id}"));
        assert_eq!(answer.json()["status"], "confirmed", "{key}: {answer:?}");
    }
    let directory = cluster.keep();
    let data = cluster.data();
    assert!(cluster.stop().success());
    let doctor = run(&["doctor", "--at-rest", "--data-dir", data.to_str().expect("text")]);
    assert_eq!(doctor.code, 0, "{doctor:?}");
    assert!(doctor.stdout.contains("0 under way, 0 parked"), "{doctor:?}");
    drop(directory);
}

pub(crate) fn crash() {
    let mut server = Server::start();
    let cluster = started(server.plan());
    let clients = Clients::start(&cluster, 4);
    for mode in ["immediate", "fast"] {
        clients.wait_for_more(20);
        server.stop(mode);
        let unready = wait_for_status(&cluster, "/healthz/readiness", 503);
        assert!(unready.body.contains("shop_"), "{unready:?}");
        assert_refused(&cluster, "");
        assert_eq!(cluster.get("/healthz/liveness").status, 200);
        server.start_again();
        wait_for_status(&cluster, "/healthz/readiness", 200);
        clients.wait_for_more(20);
    }
    let placed = clients.finish();
    assert_nothing_lost(cluster, &placed);
}

pub(crate) fn takeover() {
    let server = Server::start();
    let cluster = started(server.plan());
    let clients = Clients::start(&cluster, 4);
    for slot in [0, 1, 0] {
        clients.wait_for_more(20);
        let killed = cluster.signal_worker(slot, Signal::SIGKILL);
        cluster.wait_for_successor(slot, killed);
    }
    clients.wait_for_more(20);
    let placed = clients.finish();
    assert_nothing_lost(cluster, &placed);
}

pub(crate) fn reload() {
    let server = Server::start();
    let cluster = started(server.plan());
    let clients = Clients::start(&cluster, 4);
    for _ in 0..2 {
        clients.wait_for_more(20);
        let from = cluster.mark();
        cluster.signal(Signal::SIGHUP);
        cluster.wait_from(from, "reload done");
    }
    clients.wait_for_more(20);
    let placed = clients.finish();
    // A configuration that leads nowhere is backed out: the workers that serve go on.
    let nowhere = cluster.config_text().replace(&server.port().to_string(), "1");
    let config = cluster.config_text();
    cluster.rewrite_config(&nowhere);
    let from = cluster.mark();
    cluster.signal(Signal::SIGHUP);
    cluster.wait_from(from, "reload backed out");
    place(&cluster);
    cluster.rewrite_config(&config);
    assert_nothing_lost(cluster, &placed);
    // Two data directories at one set of databases are two clusters.
    let second = plan_at(&server.url("shop")).launch();
    second.wait_for("it belongs to another cluster");
}

pub(crate) fn held_events() {
    let server = Server::start();
    let cluster = started(server.plan());
    place(&cluster);
    let open = server.open_transaction("postgres");
    let order = place(&cluster);
    let line = cluster.wait_for("events are held back by an open transaction on the server (process");
    assert!(
        line.to_string().contains("of shop, forgotten, begun 20"),
        "{line}"
    );
    let confirmed = "/events?types=shop.order.confirmed.v1";
    assert!(
        !cluster.get(confirmed).body.contains(&order),
        "it could be skipped"
    );
    drop(open);
    cluster.wait_for("events can be read again");
    let events = cluster.get(confirmed);
    assert!(events.body.contains(&order), "{events:?}");
    assert!(cluster.stop().success());
}
