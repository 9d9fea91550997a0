//! A master whose parent had blocked signals hears them all the same.

use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{Log, TIMEOUT};

/// `env --block-signal` is of GNU coreutils 8.31 and newer.
fn can_block() -> bool {
    let tried = Command::new("env")
        .args(["--block-signal=TERM", "true"])
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

#[test]
fn signals_that_the_parent_has_blocked_are_heard() {
    if !can_block() {
        return eprintln!("SKIPPED: env --block-signal (GNU coreutils) is not there");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = Command::new("env")
        .args(["--block-signal=TERM", "--block-signal=HUP"])
        .args([
            env!("CARGO_BIN_EXE_cluster"),
            "serve",
            "--workers",
            "1",
            "--bind",
            "127.0.0.1:0",
        ])
        .args(["--log-format", "json", "--data-dir"])
        .arg(directory.path().join("data"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let log = Log::follow(child.stderr.take().expect("piped"));
    let says = |text: &'static str| {
        move |line: &serde_json::Value| {
            line["message"]
                .as_str()
                .is_some_and(|message| message.contains(text))
        }
    };
    log.wait(0, "readiness", says("every worker is ready"));
    let pid = Pid::from_raw(child.id().cast_signed());
    kill(pid, Signal::SIGHUP).expect("sent");
    log.wait(0, "a reload", says("reload done"));
    kill(pid, Signal::SIGTERM).expect("sent");
    let deadline = Instant::now() + TIMEOUT;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not stop: {}", log.text());
        std::thread::yield_now();
    };
    assert!(status.success(), "{status}");
}
