//! What a running cluster shows is documented: the files it has, and the JSON of `status` and `why`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::tables::page;

/// Longer than a cluster takes to start on a machine that is busy with something else.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A cluster in a directory of its own; dropped, it is killed.
struct Running {
    directory: tempfile::TempDir,
    master: Child,
}

impl Running {
    fn start() -> Running {
        let directory = tempfile::tempdir().expect("a directory");
        let master = cluster(&directory, &["serve", "--workers", "1", "--bind", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a master");
        let running = Running { directory, master };
        running.wait_until(|running| running.status()["slots"][0]["state"] == "serving");
        running
    }

    fn wait_until(&self, is_so: impl Fn(&Running) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(
                begun.elapsed() < START_TIMEOUT,
                "waited {START_TIMEOUT:?} in vain"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ask(&self, arguments: &[&str]) -> Value {
        let said = cluster(&self.directory, arguments).output().expect("an answer");
        serde_json::from_slice(&said.stdout).unwrap_or_default()
    }

    fn status(&self) -> Value {
        self.ask(&["status", "--json"])
    }

    fn files(&self) -> BTreeSet<String> {
        let data = self.directory.path().join("data");
        let names = |folder: &Path, prefix: &str| {
            let entries = fs::read_dir(folder).expect("a readable folder");
            entries
                .map(|entry| entry.expect("a readable entry").file_name())
                .map(|name| format!("{prefix}{}", name.to_string_lossy()))
                .collect::<BTreeSet<_>>()
        };
        &names(&data, "") | &names(&data.join("run"), "run/")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A cluster that is gone already needs neither.
        let _ = cluster(&self.directory, &["stop", "--now"]).output();
        let _ = self.master.kill();
        let _ = self.master.wait();
    }
}

fn cluster(directory: &tempfile::TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cluster"));
    command.args(arguments).current_dir(directory.path());
    command
}

/// The names of all members of a JSON document, however deep.
fn members(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(object) => {
            let inner = object.values().flat_map(members);
            object.keys().cloned().chain(inner).collect()
        }
        Value::Array(items) => items.iter().flat_map(members).collect(),
        _ => BTreeSet::new(),
    }
}

#[test]
fn every_file_of_a_running_cluster_is_documented() {
    let files = page("files.md");
    for name in Running::start().files() {
        let name = name.trim_end_matches("-wal").trim_end_matches("-shm");
        assert!(
            files.contains(&format!("`{name}`")),
            "docs/reference/files.md does not name {name}"
        );
    }
}

#[test]
fn every_member_of_what_a_cluster_answers_is_documented() {
    let running = Running::start();
    let status = running.status();
    let pid = status["slots"][0]["worker"]["pid"]
        .as_i64()
        .expect("a worker's pid");
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(killed.expect("kill").success());
    running.wait_until(|running| running.ask(&["why", "0", "--json"])["deaths"][0].is_object());
    let why = running.ask(&["why", "0", "--json"]);
    let json = page("status-json.md");
    for name in &members(&status) | &members(&why) {
        assert!(
            json.contains(&format!("`{name}`")),
            "docs/reference/status-json.md does not name {name}"
        );
    }
}
