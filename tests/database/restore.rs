//! A server that is restored to an earlier point in time while the cluster runs.

use serde_json::Value;

use crate::common::{Cluster, order, place, run, wait_until};
use crate::outages::{started, wait_for_status};
use crate::server::Server;

/// The ids of all events, and the position behind them.
fn events(cluster: &Cluster) -> (Vec<String>, String) {
    let page = cluster.get("/events?limit=1000").json();
    let items = page["items"].as_array().expect("events").iter();
    let ids = items.map(|event| event["id"].as_str().expect("an id").to_owned());
    (
        ids.collect(),
        page["next"].as_str().expect("a position").to_owned(),
    )
}

/// How many orders the summary of the customer has, once it is there.
fn summed_up(cluster: &Cluster) -> Option<u64> {
    let answer = cluster.get("/customers/c-1/summary");
    (answer.status == 200).then(|| answer.json()["orders"].as_u64())?
}

pub(crate) fn point_in_time() {
    let mut server = Server::start();
    let cluster = started(server.plan());
    let kept: Vec<String> = (0..3).map(|_| place(&cluster)).collect();
    wait_until("the summary", || summed_up(&cluster) == Some(3));
    server.stop("fast");
    let copy = server.copy();
    server.start_again();
    wait_for_status(&cluster, "/healthz/readiness", 200);
    let lost: Vec<String> = (0..3).map(|_| place(&cluster)).collect();
    wait_until("the summary", || summed_up(&cluster) == Some(6));
    let (_, position) = events(&cluster);
    let workers = cluster.workers();

    server.stop("immediate");
    server.restore(&copy);
    server.start_again();
    // The workers of before have written what is not there any more: they are refused, and replaced.
    wait_until("the workers to be replaced", || {
        let _ = cluster.post("/orders", &[], &order());
        cluster.workers() != workers
    });
    wait_for_status(&cluster, "/healthz/readiness", 200);
    for id in &kept {
        assert_eq!(
            cluster.get(&format!("/orders/{id}")).json()["status"],
            "confirmed"
        );
    }
    for id in &lost {
        assert_eq!(cluster.get(&format!("/orders/{id}")).status, 404);
    }
    place(&cluster);
    let gone = cluster.get(&format!("/events?after={position}"));
    assert_eq!(
        (gone.status, &gone.json()["code"]),
        (410, &Value::from("position_foreign"))
    );
    wait_until("the summary to be that of the restored orders", || {
        let orders = cluster.get("/orders?limit=100").json();
        let orders = orders["items"].as_array().expect("orders").iter();
        let now = orders.filter(|order| order["status"] == "confirmed").count() as u64;
        summed_up(&cluster) == Some(now)
    });
    let (data, _directory) = (cluster.data(), cluster.keep());
    assert!(cluster.stop().success());
    let doctor = run(&["doctor", "--at-rest", "--data-dir", data.to_str().expect("text")]);
    assert!(doctor.stdout.contains("all is well"), "{doctor:?}");
}
