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
    let ignored = |needs| -> Vec<(Test, &str)> { TESTS.iter().map(|test| (*test, needs)).collect() };
    let Some(lacking) = lacks() else {
        return runner::main(&[], &ignored("only root can make machines"));
    };
    eprintln!("SKIPPED: {lacking}, so nothing is tried with several hosts");
    match std::env::args().any(|word| word == "--ignored") {
        // Whoever asks for them gets none, and is told so.
        true => runner::main(&[], &[]),
        false => runner::main(&[], &ignored(lacking)),
    }
}

/// A machine with all that the scenes need of it.
const MACHINE: &str = "ip link add one type veth peer name two && ip link set one up \
                       && ip route add blackhole 10.77.0.1/32 \
                       && tc qdisc add dev one root tbf rate 256kbit burst 4k latency 400ms";

fn lacks() -> Option<&'static str> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres/server");
    let works = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let mut machine = Command::new("unshare");
    machine
        .args(["--net", "--pid", "--mount", "--fork", "--mount-proc"])
        .args(["sh", "-c", MACHINE]);
    if !nix::unistd::geteuid().is_root() {
        Some("this is not root")
    } else if !works(&mut machine) {
        Some("no machines can be made here (namespaces, veth, tbf; Debian: iproute2, util-linux)")
    } else if !works(Command::new("cc").arg("--version")) {
        Some("there is no C compiler")
    } else if !works(Command::new(script).arg("check")) {
        Some("there is no PostgreSQL (tests/postgres/server install)")
    } else {
        None
    }
}
