//! The schema of JSON log lines, as docs/reference/log-lines.md has it. Every line of a cluster is held
//! against it: with reloads, crashes, drains, a stop, and a start that fails.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::{Cli, Cluster, Plan};

/// The type of each field, as the page says: `text`, `whole number`, `true or false`.
fn schema(part: &str) -> BTreeMap<String, String> {
    let page = include_str!("../../docs/reference/log-lines.md");
    let part = page.split(&format!("<!-- {part} -->")).nth(1).expect("a table");
    let rows = part.split("<!--").next().expect("an end").lines();
    let cells = rows.filter_map(|row| row.strip_prefix("| `")?.split_once("` | "));
    cells
        .map(|(name, rest)| {
            let kind = rest.split(" |").next().expect("a type");
            (name.to_owned(), kind.to_owned())
        })
        .collect()
}

fn is_of_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "text" => value.is_string(),
        "whole number" => value.is_i64() || value.is_u64(),
        "true or false" => value.is_boolean(),
        other => panic!("the page says {other:?}"),
    }
}

/// Text as Rust's `{:?}` writes a value: `Slot(2)`, `Drain { slot`, `Some(`.
fn looks_like_debug(text: &str) -> bool {
    let ends_with_type = |before: &str| {
        let word = before
            .rsplit(|c: char| !c.is_ascii_alphanumeric())
            .next()
            .unwrap_or_default();
        word.starts_with(|c: char| c.is_ascii_uppercase()) && word.contains(|c: char| c.is_ascii_lowercase())
    };
    let before = |mark| text.match_indices(mark).map(|(place, _)| &text[..place]);
    before("(").any(ends_with_type) || before(" { ").any(ends_with_type)
}

/// Whether this is a line as the page describes it.
fn check(line: &str) -> Value {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let (head, fields) = (schema("head"), schema("fields"));
    let members = value.as_object().unwrap_or_else(|| panic!("no object: {line}"));
    for name in head.keys() {
        assert!(members.contains_key(name), "{name} is missing in {line}");
    }
    for (name, member) in members {
        let kind = head.get(name).or_else(|| fields.get(name));
        let kind = kind.unwrap_or_else(|| panic!("{name} is not in the schema: {line}"));
        assert!(is_of_kind(member, kind), "{name} is no {kind}: {line}");
        // What a worker printed and what a program of others said is passed on as it was.
        let passed_on = value["message"]
            .as_str()
            .is_some_and(|message| message.contains(" said: "));
        let text = member.as_str().unwrap_or_default();
        assert!(passed_on || !looks_like_debug(text), "Debug text: {line}");
    }
    value
}

fn wait_until_ready(cluster: &Cluster, life: &str) {
    let is_ready = |line: &Value| {
        let message = line["message"].as_str().unwrap_or_default();
        line["life"] == life && message.starts_with("worker ready")
    };
    cluster.wait_until(0, life, is_ready);
}

#[test]
fn every_line_of_a_long_life_is_of_the_schema() {
    let plan = Plan::shop()
        .with("[cluster]", "drain_timeout = \"3s\"\nadmin = \"127.0.0.1:0\"")
        .arguments(&["--access-log", "--set", "log.level=debug"]);
    let mut cluster = plan.start();
    assert_eq!(cluster.get("/inventory/cup").status, 404);
    let [one, other] = [0, 1].map(|slot| cluster.worker(slot));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(one), Signal::SIGKILL).expect("killed");
    wait_until_ready(&cluster, "1/0/2");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(other), Signal::SIGABRT).expect("killed");
    wait_until_ready(&cluster, "1/1/2");
    for command in [
        ["reload"].as_slice(),
        &["restart", "0"],
        &["scale", "3"],
        &["drain", "2"],
        &["rollback"],
        &["why", "0"],
        &["status"],
        &["upgrade"],
    ] {
        let result = cluster.run(command);
        assert_eq!(result.code, 0, "{command:?}: {result:?}");
    }
    cluster.send_bytes(b"{\"version\":1,\"ask\":\"dance\"}\n");
    cluster.rewrite_config("[cluster]\nwrokers = 2\n");
    assert_ne!(cluster.run(&["reload"]).code, 0);
    let stopped = cluster.run(&["stop"]);
    assert!(matches!(stopped.code, 0 | 3), "{stopped:?}");
    cluster.wait_to_the_last_word();
    let lines = cluster.log();
    assert!(lines.len() > 50, "{}", lines.len());
    for line in &lines[..lines.len() - 1] {
        check(&line.to_string());
    }
    let command = |name: &str| lines.iter().find(|line| line["command"] == name).cloned();
    let drain = command("drain").expect("a line about the command");
    assert_eq!(
        (&drain["slot"], &drain["pid"].is_u64()),
        (&Value::from(2), &true),
        "{drain}"
    );
    assert_eq!(command("scale").expect("a line")["to"], 3);
    assert_eq!(command("stop").expect("a line")["now"], false);
}

/// What a master that does not start says on stderr, which is no terminal.
fn said(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cluster"));
    let output = command
        .arg("serve")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output();
    let output = output.expect("the program runs");
    assert!(!output.status.success(), "it was to fail: {arguments:?}");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn whatever_keeps_a_master_from_starting_is_said_in_the_chosen_format() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).to_str().expect("text").to_owned();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (wrong, good, file) = (path("wrong.toml"), path("data"), path("file"));
    std::fs::write(
        &wrong,
        "[cluster]\nwrokers = 2\nbind = 3\n[log]\nformat = \"text\"\n",
    )
    .expect("written");
    std::fs::write(&file, "no directory").expect("written");
    let starts: [(&[&str], &str); 6] = [
        (&["--set", "cluster.wrokers=2"], "wrokers"),
        (&["--config", "/does/not/exist.toml"], "/does/not/exist.toml"),
        (&["--wrokers", "2"], "--wrokers"),
        (&["--bind", &address, "--data-dir", &good], "use"),
        (&["--bind", "127.0.0.1:0", "--data-dir", &file], &file),
        (
            &[
                "--bind",
                "127.0.0.1:0",
                "--data-dir",
                &good,
                "--user",
                "no-such-user",
            ],
            "no-such-user",
        ),
    ];
    for (arguments, words) in starts {
        for format in [&["--log-format", "json"][..], &[]] {
            let said = said(&[arguments, format].concat());
            let lines: Vec<Value> = said.lines().map(check).collect();
            let told = lines.iter().filter(|line| line["level"] == "error");
            let told: Vec<String> = told.map(|line| line["message"].to_string()).collect();
            assert!(
                told.iter().any(|message| message.contains(words)),
                "{words:?}: {said}"
            );
        }
        let text = said(&[arguments, &["--log-format", "text"]].concat());
        let is_line = |line: &str| line.contains("ERROR master: ") && !line.starts_with('{');
        assert!(text.lines().any(is_line), "{text}");
    }
    // The file asks for text, a flag wins.
    let text = said(&["--config", &wrong]);
    let of_file: Vec<&str> = text.lines().filter(|line| line.contains("wrong.toml:")).collect();
    assert_eq!(of_file.len(), 2, "a line for each mistake: {text}");
    assert!(
        of_file.iter().all(|line| line.contains("ERROR master: ")),
        "{text}"
    );
    said(&["--config", &wrong, "--log-format", "json"])
        .lines()
        .for_each(|line| drop(check(line)));
    drop(taken);
}

#[test]
fn a_worker_that_cannot_boot_is_told_of_in_the_chosen_format() {
    let plan = Plan::shop();
    std::fs::create_dir(plan.directory().join("data")).expect("made");
    std::fs::write(plan.directory().join("data/orders.db"), "no database").expect("written");
    let mut cluster = plan.launch();
    assert_eq!(cluster.wait_to_the_last_word().code(), Some(65));
    let lines = cluster.log();
    for line in &lines[..lines.len() - 1] {
        check(&line.to_string());
    }
    assert!(
        lines
            .iter()
            .any(|line| line["who"] == "worker 1/0/1" && line["level"] == "error")
    );
}
