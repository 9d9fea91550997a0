//! Several hosts, each with a network, processes and mounts of its own on this machine: they die as machines
//! die, their links are cut, and their wall clocks are wrong by an hour. Needs root, `ip` and PostgreSQL.
//! `tests/hosts/long` tries the same for longer.

mod buyers;
mod machine;
mod scenes;
mod stage;

#[path = "../runner/mod.rs"]
mod runner;

use std::path::Path;
use std::process::{Command, ExitCode};

use runner::Test;

const TESTS: &[Test] = &[
    ("hosts_that_die_are_taken_over", scenes::deaths),
    ("links_that_are_cut_harm_no_order", scenes::cuts),
    (
        "a_host_that_was_paused_writes_nothing_that_stands",
        scenes::pauses,
    ),
];

fn main() -> ExitCode {
    let needs = match lacks() {
        None => "only root can make machines",
        Some(lacking) => {
            eprintln!("SKIPPED: {lacking}, so nothing is tried with several hosts");
            lacking
        }
    };
    let tests: Vec<(Test, &str)> = TESTS.iter().map(|test| (*test, needs)).collect();
    runner::main(&[], &tests)
}

fn lacks() -> Option<&'static str> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres/server");
    let works = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    if !nix::unistd::geteuid().is_root() {
        Some("this is not root")
    } else if !works(Command::new("ip").arg("-V")) {
        Some("there is no `ip`")
    } else if !works(Command::new(script).arg("check")) {
        Some("there is no PostgreSQL (tests/postgres/server install)")
    } else {
        None
    }
}
