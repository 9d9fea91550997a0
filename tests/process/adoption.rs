//! What waits in the queue of a worker that is dead, hung or gone is answered by a sibling at once, and not
//! only when the slot has a worker again. Real masters, workers and signals.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::common::{Cli, Cluster, Plan, TIMEOUT, replaceable};
use nix::sys::signal::Signal;

/// Enough that no slot is left out by chance.
const BURST: usize = 64;

/// Clients that have sent their request; about half of them wait in the queue of a worker that is stopped.
struct Burst(Vec<TcpStream>);

impl Burst {
    fn send(cluster: &Cluster) -> Burst {
        Burst::to([cluster.address(); BURST])
    }

    fn to(addresses: impl IntoIterator<Item = SocketAddr>) -> Burst {
        let clients = addresses.into_iter().map(|address| {
            let mut client = TcpStream::connect(address).expect("connected");
            client.set_read_timeout(Some(TIMEOUT)).expect("set");
            client
                .write_all(b"GET /healthz/liveness HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                .expect("sent");
            client
        });
        Burst(clients.collect())
    }

    fn all_answered(self) {
        for mut client in self.0 {
            let mut answer = String::new();
            client.read_to_string(&mut answer).expect("no reset, no time-out");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }
}

fn stoppable() -> Plan {
    Plan::shop().with(
        "[cluster]",
        "heartbeat_timeout = \"1h\"\nlock_hold_timeout = \"1h\"",
    )
}

#[test]
fn the_queue_of_a_stopped_worker_is_answered_while_it_is_stopped() {
    let cluster = stoppable().start();
    let mark = cluster.mark();
    cluster.signal_worker(1, Signal::SIGSTOP);
    Burst::send(&cluster).all_answered();
    cluster.wait_from(mark, "worker late");
    assert_eq!(cluster.count_from(mark, "killing worker"), 0);
    cluster.signal_worker(1, Signal::SIGCONT);
    cluster.wait_from(mark, "worker beats again");
    Burst::send(&cluster).all_answered();
    assert!(cluster.stop().success());
}

#[test]
fn the_queue_of_a_killed_worker_is_answered_before_its_replacement_is_there() {
    let cluster = stoppable()
        .with(
            "[cluster]",
            "early_death = \"1h\"\nbackoff_first = \"1h\"\nbackoff_longest = \"1h\"",
        )
        .start();
    // The first early death is replaced at once; after the second there is time to look.
    let mark = cluster.mark();
    let first = cluster.signal_worker(1, Signal::SIGKILL);
    cluster.wait_from(mark, "worker ready");
    cluster.wait_for_successor(1, first);
    cluster.signal_worker(1, Signal::SIGSTOP);
    let burst = Burst::send(&cluster);
    let mark = cluster.mark();
    cluster.signal_worker(1, Signal::SIGKILL);
    burst.all_answered();
    cluster.wait_from(mark, "worker crashed (signal 9");
    assert_eq!(cluster.count_from(mark, "worker ready"), 0);
    Burst::send(&cluster).all_answered();
    assert!(cluster.stop().success());
}

#[test]
fn the_queue_of_a_slot_that_is_scaled_away_is_answered() {
    let cluster = stoppable().start();
    for _ in 0..3 {
        let mark = cluster.mark();
        let pid = cluster.signal_worker(1, Signal::SIGSTOP);
        let burst = Burst::send(&cluster);
        cluster.signal(Signal::SIGTTOU);
        burst.all_answered();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGCONT).expect("it lives");
        cluster.wait_from(mark, "worker gone");
        Burst::send(&cluster).all_answered();
        cluster.signal(Signal::SIGTTIN);
        cluster.wait_from(mark, "worker ready");
        Burst::send(&cluster).all_answered();
    }
    assert!(cluster.stop().success());
}

#[test]
fn a_slot_with_more_addresses_than_one_message_carries_is_adopted_whole() {
    const HOSTS: std::ops::RangeInclusive<u8> = 1..=2 * 64 + 2;
    let (cluster, _program) = replaceable(stoppable());
    let list: Vec<_> = HOSTS.map(|host| format!("\"127.0.0.{host}:0\"")).collect();
    let text = cluster.config_text();
    cluster.rewrite_config(&text.replace("\"127.0.0.1:0\"", &list.join(", ")));
    cluster.run_json(&["reload"]);
    let all_are_answered_for_a_stopped_worker = || {
        let status = cluster.run_json(&["status"]);
        let addresses = status["master"]["addresses"].as_array().expect("addresses");
        let addresses: Vec<SocketAddr> = addresses
            .iter()
            .map(|address| address.as_str().expect("text").parse().expect("an address"))
            .collect();
        assert_eq!(addresses.len(), HOSTS.count());
        let mark = cluster.mark();
        cluster.signal_worker(1, Signal::SIGSTOP);
        Burst::to(addresses.iter().flat_map(|address| [*address; 6])).all_answered();
        cluster.signal_worker(1, Signal::SIGCONT);
        cluster.wait_from(mark, "worker beats again");
    };
    all_are_answered_for_a_stopped_worker();
    cluster.run_json(&["upgrade"]);
    all_are_answered_for_a_stopped_worker();
    assert!(cluster.stop().success());
}
