//! What a service manager such as systemd gives a service beside `NOTIFY_SOCKET`: a watchdog, and sockets.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::{Cli, Plan, TIMEOUT, notify_socket};

/// The next message to the service manager.
fn message(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).expect("a message");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// Reads until so many messages were `WATCHDOG=1`.
fn wait_for_watchdog(socket: &UnixDatagram, many: usize) {
    let mut seen = 0;
    while seen < many {
        seen += usize::from(message(socket) == "WATCHDOG=1");
    }
}

#[test]
fn the_masters_loop_tells_the_watchdog_that_it_lives() {
    let (plan, socket) = notify_socket(Plan::shop());
    let (cluster, _program) = crate::common::replaceable(plan.environment("WATCHDOG_USEC", "200000"));
    wait_for_watchdog(&socket, 5);
    cluster.run_json(&["upgrade"]);
    wait_for_watchdog(&socket, 5);
    // A master that hangs says nothing. What it had said before is read away.
    cluster.signal(Signal::SIGSTOP);
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("set");
    let silence = loop {
        match socket.recv(&mut [0; 4096]) {
            Ok(_length) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(silence.kind(), ErrorKind::WouldBlock);
    cluster.signal(Signal::SIGCONT);
    socket.set_read_timeout(Some(TIMEOUT)).expect("set");
    wait_for_watchdog(&socket, 1);
    assert!(cluster.stop().success());
}

#[test]
fn the_watchdog_of_another_process_is_not_answered() {
    let (plan, socket) = notify_socket(Plan::shop());
    let plan = plan.environment("WATCHDOG_USEC", "20000");
    let cluster = plan.environment("WATCHDOG_PID", "1").start();
    cluster.run_json(&["reload"]);
    assert!(cluster.stop().success());
    let mut said = Vec::new();
    while said
        .last()
        .is_none_or(|last: &String| !last.starts_with("STOPPING=1"))
    {
        said.push(message(&socket));
    }
    assert!(!said.contains(&"WATCHDOG=1".to_owned()), "{said:?}");
}
