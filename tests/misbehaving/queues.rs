//! A queue whose adopter cannot be handed it.

use std::io::{Read, Write};
use std::net::TcpStream;

use nix::sys::signal::Signal;

use crate::app::DEAF;
use crate::common::{Cli, TIMEOUT};
use crate::lies::misbehaving;
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[(
    "a_queue_that_a_worker_cannot_be_handed_is_answered_by_another",
    a_queue_that_a_worker_cannot_be_handed_is_answered_by_another,
)];

fn a_queue_that_a_worker_cannot_be_handed_is_answered_by_another() {
    let plan = misbehaving(DEAF)
        .replace("workers = 2", "workers = 3")
        .with("[log]", "level = \"debug\"");
    let cluster = plan.start();
    let address = cluster.address();
    let mark = cluster.mark();
    // Of those that wait at a stopped worker until it is known to be late some are in its own queue.
    let stopped = cluster.signal_worker(2, Signal::SIGSTOP);
    let waiting: Vec<TcpStream> = (0..24)
        .map(|_| {
            let mut client = TcpStream::connect(address).expect("connected");
            client.set_read_timeout(Some(TIMEOUT)).expect("set");
            client
                .write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
                .expect("sent");
            client
        })
        .collect();
    for mut client in waiting {
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    }
    cluster.wait_from(mark, "worker late");
    let refused = cluster.wait_for("failed to hand it another worker's queue or work");
    assert_eq!(refused["life"], "1/0/1", "{refused}");
    let taken = cluster.wait_from(mark, "adopts the queue of another slot");
    assert_eq!(
        (&taken["by"], &taken["slot"]),
        (&"1/1/1".into(), &2.into()),
        "{taken}"
    );
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(stopped), Signal::SIGCONT).expect("it lives");
    cluster.wait_from(mark, "worker beats again");
    cluster.wait_until_serving(3);
    assert!(cluster.stop().success());
}
