//! Without kills the cluster's numbers are exactly what a client counted.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::common::{Answer, Cluster, Scrape, TIMEOUT, admin, client, watched};

/// What a client counted: by route, method and class.
#[derive(Default)]
struct Counted {
    answers: BTreeMap<(&'static str, &'static str, String), f64>,
    connections: f64,
}

impl Counted {
    fn answer(&mut self, route: &'static str, method: &'static str, status: u16) {
        let class = format!("{}xx", status / 100);
        *self.answers.entry((route, method, class)).or_default() += 1.0;
        self.connections += 1.0;
    }

    fn get(&mut self, cluster: &Cluster, path: &str, route: &'static str) {
        let status = cluster.get(path).status;
        self.answer(route, if route == "other" { "other" } else { "GET" }, status);
    }
}

fn delete(cluster: &Cluster, path: &str) -> u16 {
    let answer = Answer::try_of(client().delete(cluster.url(path)).call());
    answer.expect("an answer").status
}

/// Sends what is no request, and gives back the status.
fn garbage(cluster: &Cluster) -> u16 {
    let mut stream = TcpStream::connect(cluster.address()).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    stream.write_all(b"this is no request\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer[9..12].parse().expect("a status")
}

#[test]
fn the_sum_over_all_workers_is_what_a_client_counted_by_route_and_class() {
    let cluster = watched().replace("workers = 2", "workers = 3").start();
    let admin = admin(&cluster);
    let mut counted = Counted::default();
    for round in 0..40 {
        counted.get(&cluster, "/healthz/liveness", "/healthz/liveness");
        counted.get(&cluster, "/inventory?limit=1", "/inventory");
        counted.get(&cluster, &format!("/inventory/none-{round}"), "/inventory/{sku}");
        counted.get(&cluster, &format!("/nothing/{round}"), "other");
        counted.get(&cluster, "/drill/panic", "/drill/panic");
        counted.answer("/orders", "POST", cluster.post("/orders", &[], "{").status);
        counted.answer("other", "other", delete(&cluster, "/inventory"));
        // Whoever watches is not counted.
        Scrape::of(admin);
    }
    let timed: f64 = counted.answers.values().sum();
    for _ in 0..3 {
        counted.answer("other", "other", garbage(&cluster));
    }
    let scrape = Scrape::of(admin);
    for ((route, method, class), many) in &counted.answers {
        assert_eq!(
            scrape.answers(route, method, class),
            *many,
            "{method} {route} {class}"
        );
    }
    let all: f64 = scrape.family("cluster_http_requests_total").values().sum();
    assert_eq!(
        all,
        timed + 3.0,
        "{:?}",
        scrape.family("cluster_http_requests_total")
    );
    let histograms = scrape.family("cluster_http_request_duration_seconds_count");
    assert_eq!(histograms.values().sum::<f64>(), timed);
    assert_eq!(scrape.value("cluster_http_requests_started_total"), timed);
    assert_eq!(
        scrape.value("cluster_connections_accepted_total"),
        counted.connections
    );
    assert_eq!(scrape.value("cluster_http_handler_panics_total"), 40.0);
    // A worker that the machine gives no CPU is late for a moment.
    let deadline = Instant::now() + TIMEOUT;
    while Scrape::of(admin).value("cluster_slots{state=\"serving\"}") < 3.0 {
        assert!(Instant::now() < deadline, "not every slot serves");
    }
    assert_eq!(scrape.family("cluster_steering_weight").len(), 3);
    assert_eq!(scrape.family("cluster_accept_queue_length").len(), 3);
    assert!(scrape.value("cluster_workers_cpu_seconds_total") > 0.0);
    assert!(scrape.value("process_resident_memory_bytes") > 1e6);
    assert!(cluster.stop().success());
}

#[test]
fn how_long_an_answer_took_is_in_its_bucket_also_when_it_timed_out() {
    let cluster = watched()
        .with("[http]", "request_timeout = \"300ms\"")
        .with("[shop]", "order_wait = \"200ms\"")
        .start();
    let admin = admin(&cluster);
    assert_eq!(cluster.get("/drill/sleep?ms=120").status, 200);
    assert_eq!(cluster.get("/drill/sleep?ms=60000").status, 503);
    let scrape = Scrape::of(admin);
    let below = |bound: &str| {
        scrape.value(&format!(
            "cluster_http_request_duration_seconds_bucket{{route=\"/drill/sleep\",method=\"GET\",le=\"{bound}\"}}"
        ))
    };
    assert_eq!((below("0.1"), below("+Inf")), (0.0, 2.0));
    assert_eq!(scrape.answers("/drill/sleep", "GET", "2xx"), 1.0);
    assert_eq!(scrape.answers("/drill/sleep", "GET", "5xx"), 1.0);
    let sum =
        scrape.value("cluster_http_request_duration_seconds_sum{route=\"/drill/sleep\",method=\"GET\"}");
    assert!((0.42..30.0).contains(&sum), "{sum}");
    assert!(cluster.stop().success());
}
