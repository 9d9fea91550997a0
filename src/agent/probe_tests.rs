//! Probes of servers of these tests.

use std::net::TcpListener;
use std::os::fd::OwnedFd;

use super::*;
use crate::agent::facts::ProgramListeners;
use crate::agent::test_program::{TestProgram, listener};
use crate::base::ids::Slot;
use crate::sys::socket;

/// A program at the second of two listeners of one address.
struct Probed {
    first: TcpListener,
    program: TestProgram,
    facts: ProgramFacts,
}

impl Probed {
    fn start() -> Probed {
        let (first, _) = listener();
        let address = first.local_addr().expect("an address");
        let second: OwnedFd = socket::listen(address).expect("a listener");
        let mut program = TestProgram::start(&second);
        program.ask("pid");
        let listeners = ProgramListeners::default();
        listeners.add(second).expect("a listener");
        let facts = ProgramFacts {
            pid: program.pid,
            slot: Slot(1),
            mode: UsedMode::Fds,
            listeners,
        };
        let probed = Probed {
            first,
            program,
            facts,
        };
        probed.steer(1);
        probed
    }

    /// Every connection goes to this listener.
    fn steer(&self, index: u32) {
        // BPF_RET | BPF_K.
        socket::steer(&self.first, &[(0x06, 0, 0, index)]).expect("steered");
    }

    fn probe(&self, at_most: Duration) -> Result<StatusCode, ProbeFailure> {
        let path: HttpPath = "http:/up?deep=1".parse().expect("a path");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime
            .expect("a runtime")
            .block_on(probe(&self.facts, &path, at_most))
    }
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);

#[test]
fn a_program_is_well_when_it_answers_below_400() {
    let mut probed = Probed::start();
    probed.program.ask("serve 204 No Content");
    assert_eq!(probed.probe(LONG).expect("well"), StatusCode::NO_CONTENT);
    let mut probed = Probed::start();
    probed.program.ask("serve 503 Service Unavailable");
    let failure = probed.probe(LONG).expect_err("not well").to_string();
    assert_eq!(
        failure,
        "the program answered 503 Service Unavailable, expected a status below 400"
    );
}

#[test]
fn every_failure_is_told_apart() {
    let mut probed = Probed::start();
    let failure = probed.probe(SHORT).expect_err("nobody takes it").to_string();
    assert_eq!(failure, "the program did not take the connection within 100 ms");
    // The connection of the first probe is in the queue still.
    probed.program.ask("accept");
    probed.program.tell("accept");
    let failure = probed
        .probe(Duration::from_secs(2))
        .expect_err("no answer")
        .to_string();
    assert_eq!(
        failure,
        "the program took the connection and did not answer within 2000 ms"
    );
    let mut probed = Probed::start();
    probed.program.ask("serve is not well");
    let failure = probed.probe(LONG).expect_err("no HTTP").to_string();
    assert!(
        failure.starts_with("the program gave no answer of HTTP/1.1: "),
        "{failure}"
    );
}

#[test]
fn an_answer_of_another_program_is_none() {
    let probed = Probed::start();
    probed.steer(0);
    let others = probed.first.try_clone().expect("a descriptor");
    others.set_nonblocking(false).expect("set");
    let taking = std::thread::spawn(move || {
        let accept = |_| others.accept().expect("accepted").0;
        (0..MOST_CONNECTIONS).map(accept).collect::<Vec<_>>()
    });
    let failure = probed.probe(LONG).expect_err("not the program's").to_string();
    assert_eq!(failure, "workers of other slots took the connections");
    assert_eq!(taking.join().expect("no panic").len(), MOST_CONNECTIONS);
}

#[test]
fn what_cannot_be_probed_is_refused_in_words() {
    let probed = Probed::start();
    let by_itself = ProgramFacts {
        mode: UsedMode::Reuseport,
        ..probed.facts.clone()
    };
    assert_eq!(probed_address(&by_itself), Err(Unprobable::BindsByItself));
    let none = ProgramFacts {
        listeners: ProgramListeners::default(),
        ..probed.facts.clone()
    };
    assert_eq!(probed_address(&none), Err(Unprobable::NoListener));
    let address = probed.first.local_addr().expect("an address");
    assert_eq!(probed_address(&probed.facts), Ok(address));
}
