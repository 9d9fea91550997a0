//! How programs end: by themselves, asked, killed, with all that they have started.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{Cli, Cluster};
use crate::harness::{address, answering, lives, part, wait_until};

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("it lives");
}

/// The numbers behind a word in what the programs have printed.
fn printed(cluster: &Cluster, word: &str) -> Vec<i32> {
    let messages = cluster.log().into_iter();
    let messages = messages.filter_map(|line| line["message"].as_str().map(str::to_owned));
    messages
        .filter_map(|message| message.strip_prefix(word)?.trim().parse().ok())
        .collect()
}

pub(crate) fn killed() {
    let cluster = part("server").arguments(&["--workers", "1"]).start();
    let at = address(&cluster);
    let before = answering(at);
    let mark = cluster.mark();
    signal(before, Signal::SIGKILL);
    cluster.wait_from(mark, "the program has ended by itself, by SIGKILL");
    wait_until("another program answers", || answering(at) != before);
    let why = cluster.run(&["why", "0"]).stdout;
    assert!(
        why.contains(&format!("playing server with pid {before}")),
        "{why}"
    );
    assert!(why.contains("SIGKILL"), "{why}");
}

pub(crate) fn worker_killed() {
    let cluster = part("server").arguments(&["--workers", "1"]).start();
    let at = address(&cluster);
    let program = answering(at);
    cluster.signal_worker(0, Signal::SIGKILL);
    wait_until("the program of a killed worker is dead", || !lives(program));
    wait_until("another program answers", || answering(at) != program);
}

pub(crate) fn nobody_is_left() {
    let cluster = part("leaves").arguments(&["--workers", "1"]).start();
    let at = address(&cluster);
    let program = answering(at);
    wait_until("both were told of", || {
        printed(&cluster, "left behind ").len() == 2
    });
    let left = printed(&cluster, "left behind ");
    assert!(left.iter().all(|&pid| lives(pid)));
    signal(program, Signal::SIGKILL);
    wait_until("the grandchildren are dead", || {
        left.iter().all(|&pid| !lives(pid))
    });
    // The worker dies this time, and nobody is there to look for them but the master.
    wait_until("two more", || printed(&cluster, "left behind ").len() == 4);
    cluster.signal_worker(0, Signal::SIGKILL);
    wait_until("those of a killed worker are dead", || {
        printed(&cluster, "left behind ")[2..4]
            .iter()
            .all(|&pid| !lives(pid))
    });
    wait_until("two more", || printed(&cluster, "left behind ").len() == 6);
    let last = printed(&cluster, "left behind ");
    assert!(cluster.stop().success());
    wait_until("nobody is left by a stop", || last.iter().all(|&pid| !lives(pid)));
}

pub(crate) fn wrapper() {
    let cluster = part("wraps")
        .arguments(&["--workers", "1", "--ready", "notify"])
        .start();
    let mark = cluster.mark();
    assert_eq!(cluster.run(&["reload"]).code, 0);
    cluster.wait_from(mark, "finished what was begun");
}

pub(crate) fn ignores_signal() {
    let cluster = part("ignores")
        .arguments(&["--workers", "1"])
        .with("[cluster]", "drain_timeout = \"500ms\"")
        .start();
    let program = answering(address(&cluster));
    let mark = cluster.mark();
    assert_eq!(cluster.run(&["reload"]).code, 0);
    // On a loaded machine the master may be first, with the worker.
    cluster.wait_until(mark, "the program or its worker is killed", |line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.contains("the program is killed") || message.contains("it did not finish draining in time")
    });
    wait_until("it is dead", || !lives(program));
}

pub(crate) fn stopped() {
    let cluster = part("server")
        .arguments(&["--workers", "1"])
        .with("[cluster]", "heartbeat_timeout = \"1s\"")
        .start();
    let at = address(&cluster);
    let program = answering(at);
    signal(program, Signal::SIGSTOP);
    wait_until("the stopped program is dead", || !lives(program));
    wait_until("another program answers", || answering(at) != program);
}
