//! Clients of gRPC that are not ours, at the shop: grpcio of Python, and `buf curl`. A test whose client is
//! not installed says so and counts as skipped.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::common::{Cli, Cluster, Plan};
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "python_makes_every_call_by_reflection",
        python_makes_every_call_by_reflection,
    ),
    (
        "buf_curl_makes_every_call_by_reflection",
        buf_curl_makes_every_call_by_reflection,
    ),
    (
        "no_call_fails_while_the_cluster_is_reloaded_scaled_and_upgraded",
        no_call_fails_while_the_cluster_is_reloaded_scaled_and_upgraded,
    ),
];

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const WATCHES: u64 = 50;

/// A program of the private environment, if it is there.
fn installed(name: &str) -> Option<PathBuf> {
    let path = Path::new(ROOT).join("target/grpc-clients/bin").join(name);
    if !path.exists() {
        eprintln!("SKIPPED: tests/grpc/foreign-clients has not been run, which installs grpcio and buf");
        return None;
    }
    Some(path)
}

fn python(arguments: &[&str]) -> Option<Command> {
    let mut command = Command::new(installed("python")?);
    command.arg(Path::new(ROOT).join("tests/grpc/client.py"));
    command.args(arguments);
    Some(command)
}

fn python_makes_every_call_by_reflection() {
    let cluster = Plan::shop().start();
    let Some(mut client) = python(&["calls", &cluster.address().to_string()]) else {
        return;
    };
    let output = client.output().expect("it runs");
    let said = String::from_utf8(output.stdout).expect("text");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{error}");
    let lines = said
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let lines: Vec<Value> = lines.collect();
    let answers: BTreeMap<&str, &Value> = lines
        .iter()
        .filter_map(|line| Some((line["path"].as_str()?, &line["answer"])))
        .collect();
    assert_eq!(
        answers["/shop.v1.Orders/Get"]["order"]["status"],
        "ORDER_STATUS_CONFIRMED"
    );
    assert_eq!(answers["/shop.v1.Inventory/Get"]["article"]["on_hand"], "99998");
    assert_eq!(answers["/shop.v1.Inventory/Patch"]["article"]["name"], "A cup");
    assert_eq!(
        answers["/shop.v1.Inventory/Adjust"]["adjustment"]["on_hand"],
        "99995"
    );
    assert_eq!(answers["/grpc.health.v1.Health/Check"]["status"], "SERVING");
    let steps = answers["/shop.v1.Orders/Timeline"].as_array().expect("a list");
    assert!(steps.iter().any(|entry| entry["step"] == "charge"), "{steps:?}");
    assert_eq!(lines.last().expect("a line")["late"], "DEADLINE_EXCEEDED");
    until_confirmed(&cluster, "c-late");
}

/// The order that was given up by its client is confirmed all the same.
fn until_confirmed(cluster: &Cluster, customer: &str) {
    let deadline = std::time::Instant::now() + crate::common::TIMEOUT;
    loop {
        let orders = cluster.get(&format!("/orders?customer_id={customer}")).json();
        if orders["items"][0]["status"] == "confirmed" {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{orders}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// One call by `buf curl`, which asks for the descriptors first.
fn buf_curl(buf: &Path, cluster: &Cluster, method: &str, message: &Value) -> String {
    let home = tempfile::tempdir().expect("a directory");
    let output = Command::new(buf)
        .env("HOME", home.path())
        .args(["curl", "--protocol", "grpc", "--http2-prior-knowledge"])
        .args(["--header", &format!("idempotency-key: buf-{method}")])
        .args(["--data", &message.to_string()])
        .arg(cluster.url(&format!("/{method}")))
        .output()
        .expect("buf runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{method}: {error}");
    String::from_utf8(output.stdout).expect("text")
}

fn buf_curl_makes_every_call_by_reflection() {
    let Some(buf) = installed("buf") else { return };
    let cluster = Plan::shop().start();
    let ask = |method: &str, message: Value| buf_curl(&buf, &cluster, method, &message);
    let items = json!([{ "sku": "espresso-cup", "quantity": 1 }]);
    let order = json!({ "customerId": "c-buf", "items": items, "paymentMethod": "pm_card_visa" });
    let placed: Value = serde_json::from_str(&ask("shop.v1.Orders/Place", order)).expect("JSON");
    assert_eq!(placed["order"]["status"], "ORDER_STATUS_CONFIRMED", "{placed}");
    let id = json!({ "id": placed["order"]["id"] });
    let payments = ask(
        "shop.v1.Payments/List",
        json!({ "orderId": placed["order"]["id"] }),
    );
    let payments: Value = serde_json::from_str(&payments).expect("JSON");
    let adjustment = json!({ "sku": "espresso-cup", "delta": 5, "reason": "found" });
    for (method, message, expected) in [
        ("shop.v1.Orders/Get", id.clone(), "c-buf"),
        ("shop.v1.Orders/List", json!({ "limit": 1 }), "c-buf"),
        ("shop.v1.Orders/Timeline", id, "\"charge\""),
        (
            "shop.v1.Payments/Get",
            json!({ "id": payments["payments"][0]["id"] }),
            "succeeded",
        ),
        ("shop.v1.Inventory/Get", json!({ "sku": "espresso-cup" }), "99999"),
        ("shop.v1.Inventory/List", json!({ "limit": 1 }), "nextCursor"),
        (
            "shop.v1.Inventory/Patch",
            json!({ "sku": "espresso-cup", "name": "Cup" }),
            "\"Cup\"",
        ),
        ("shop.v1.Inventory/Adjust", adjustment, "100004"),
        ("grpc.health.v1.Health/Check", json!({}), "\"SERVING\""),
    ] {
        let answer = ask(method, message);
        assert!(answer.contains(expected), "{method}: {answer}");
    }
}

/// The load of the Python client, running.
struct Load {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Load {
    fn begin(mut client: Command) -> Load {
        let mut child = client
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut load = Load { child, lines };
        assert_eq!(load.line(), "running");
        load
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("a line").expect("text")
    }

    fn end(mut self) -> Value {
        drop(self.child.stdin.take());
        let summary = serde_json::from_str(&self.line()).expect("a summary");
        assert!(self.child.wait().expect("an end").success());
        summary
    }
}

fn no_call_fails_while_the_cluster_is_reloaded_scaled_and_upgraded() {
    let cluster = Plan::shop().start();
    let watches = WATCHES.to_string();
    let Some(client) = python(&["load", &cluster.address().to_string(), &watches]) else {
        return;
    };
    let load = Load::begin(client);
    for deed in [
        &["reload"][..],
        &["scale", "3"],
        &["scale", "2"],
        &["upgrade"],
        &["reload"],
    ] {
        cluster.run_json(deed);
    }
    // A watcher is told, and its stream ends a second later, before its worker is gone.
    cluster.wait_for_many(0, "worker gone", 4);
    let summary = load.end();
    println!("{summary}");
    assert_eq!(summary["failed"], json!({}), "{summary}");
    assert!(
        summary["calls"].as_u64().is_some_and(|calls| calls > 100),
        "{summary}"
    );
    let told = &summary["watchers_told"];
    for news in ["SERVING", "NOT_SERVING", "ended well"] {
        assert!(
            told[news].as_u64().is_some_and(|many| many > 0),
            "{news}: {summary}"
        );
    }
}
