//! What the kernel shows of children of these tests.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::*;
use crate::agent::test_program::{TestProgram, listener};

/// Waits until it is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_program_accepts_once_it_waits_for_its_listener_or_watches_it() {
    let (listener, inode) = listener();
    let address = listener.local_addr().expect("an address");
    let mut program = TestProgram::start(&listener);
    program.ask("pid");
    let accepts = || accepts_from(program.pid, &[inode]);
    assert_eq!(
        accepts(),
        Evidence::NotShown,
        "it has the listener, and that is all"
    );
    program.tell("accept");
    until("it accepts", || {
        accepts_from(program.pid, &[inode]) == Evidence::Shown
    });
    assert_eq!(accepts_from(program.pid, &[inode + 1]), Evidence::NotShown);
    let _client = TcpStream::connect(address).expect("connected");
    assert_eq!(program.answer(), "done");
    program.ask("watch");
    assert_eq!(accepts_from(program.pid, &[inode]), Evidence::Shown);
    assert_eq!(
        waits_for(program.pid, &[inode]),
        Evidence::NotShown,
        "it reads the control socket"
    );
    program.tell("wait");
    until("it waits", || waits_for(program.pid, &[inode]) == Evidence::Shown);
}

#[test]
fn what_a_program_listens_on_by_itself_is_told_from_what_it_was_given() {
    let (listener, inode) = listener();
    let mut program = TestProgram::start(&listener);
    program.ask("pid");
    assert_eq!(listens_by_itself(program.pid, &[inode]), []);
    let own: SocketAddr = program.ask("listen").parse().expect("an address");
    assert_eq!(listens_by_itself(program.pid, &[inode]), [own]);
    let given = listener.local_addr().expect("an address");
    assert!(listens_by_itself(program.pid, &[]).contains(&given));
}

#[test]
fn who_took_a_connection_is_known() {
    let (listener, _) = listener();
    let address = listener.local_addr().expect("an address");
    let mut program = TestProgram::start(&listener);
    program.ask("pid");
    let connect = || {
        let client = TcpStream::connect(address).expect("connected");
        let from = client.local_addr().expect("an address");
        (client, from)
    };
    let (_client, from) = connect();
    assert_eq!(taken_by(program.pid, address, from), TakenBy::Nobody);
    program.ask("accept");
    assert_eq!(taken_by(program.pid, address, from), TakenBy::Program);
    let (_other, from) = connect();
    let _ours = listener.accept().expect("accepted");
    assert_eq!(taken_by(program.pid, address, from), TakenBy::Another);
    let nobody = "127.0.0.1:1".parse().expect("an address");
    assert_eq!(taken_by(program.pid, address, nobody), TakenBy::Unknown);
}

#[test]
fn a_program_that_takes_a_connection_has_other_sockets() {
    let (listener, _) = listener();
    let address = listener.local_addr().expect("an address");
    let mut program = TestProgram::start(&listener);
    program.ask("pid");
    let before = SocketsSeen::of(program.pid).expect("readable");
    let _client = TcpStream::connect(address).expect("connected");
    assert_eq!(
        SocketsSeen::of(program.pid),
        Some(before),
        "it only waits in the queue"
    );
    program.ask("accept");
    assert_ne!(SocketsSeen::of(program.pid), Some(before));
}

#[test]
fn a_program_that_spins_gets_cpu_and_a_stopped_one_is_known_to_be() {
    let (listener, _) = listener();
    let mut program = TestProgram::start(&listener);
    program.ask("pid");
    let before = CpuSeen::of(program.pid);
    program.tell("spin");
    until("it has had CPU", || CpuSeen::of(program.pid).ticks > before.ticks);
    let now = CpuSeen::of(program.pid);
    assert!(!now.starved_since(&before));
    let runnable = CpuSeen {
        runnable: true,
        ..now
    };
    assert!(runnable.starved_since(&now), "it wanted to run, and had nothing");
    assert!(!is_stopped(program.pid));
    program.signal(Signal::SIGSTOP);
    until("it is stopped", || is_stopped(program.pid));
    // The thread that spins stops a moment after the first one.
    let wants_to_run = |seen: &CpuSeen| seen.starved_since(seen);
    until("it does not want to run", || {
        !wants_to_run(&CpuSeen::of(program.pid))
    });
    program.signal(Signal::SIGCONT);
    until("it runs", || !is_stopped(program.pid));
}

#[test]
fn a_process_that_is_gone_shows_nothing() {
    let (listener, inode) = listener();
    let program = TestProgram::start(&listener);
    let pid = program.pid;
    drop(program);
    assert_eq!(accepts_from(pid, &[inode]), Evidence::Unknown);
    assert_eq!(loop_turns(pid), Evidence::Unknown);
    assert_eq!(SocketsSeen::of(pid), None);
    assert_eq!(listens_by_itself(pid, &[]), []);
    assert!(!is_stopped(pid));
}
