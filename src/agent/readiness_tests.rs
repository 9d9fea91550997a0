//! Rules of readiness against children of these tests.

use std::net::TcpListener;

use super::*;
use crate::agent::facts::ProgramListeners;
use crate::agent::test_program::{TestProgram, listener};
use crate::base::ids::Slot;

fn start(mode: UsedMode) -> (TestProgram, ProgramFacts, TcpListener) {
    let (listener, _) = listener();
    let mut program = TestProgram::start(&listener);
    program.ask("pid");
    let listeners = ProgramListeners::default();
    listeners
        .add(listener.try_clone().expect("a descriptor").into())
        .expect("a listener");
    let facts = ProgramFacts {
        pid: program.pid,
        slot: Slot(0),
        mode,
        listeners,
    };
    (program, facts, listener)
}

struct Said {
    notified: watch::Sender<bool>,
    listening: watch::Sender<bool>,
}

impl Said {
    fn nothing() -> Said {
        Said {
            notified: watch::Sender::new(false),
            listening: watch::Sender::new(false),
        }
    }

    /// How the program is found to be ready; `None` when it is not within this time.
    fn found(&self, rule: &str, facts: &ProgramFacts, at_most: Duration) -> Option<String> {
        let rule: ReadyRule = rule.parse().expect("a rule");
        let signals = ReadySignals {
            notified: self.notified.subscribe(),
            listening: self.listening.subscribe(),
            failure: watch::Sender::new(None),
        };
        let ready = wait_until_ready(&rule, facts, signals, std::future::ready(()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let found = async { tokio::time::timeout(at_most, ready).await.ok() };
        runtime.expect("a runtime").block_on(found)
    }
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);

#[test]
fn a_program_is_ready_when_it_accepts_from_its_listener() {
    let (mut program, facts, _listener) = start(UsedMode::Fds);
    let said = Said::nothing();
    for rule in ["auto", "tcp", "notify"] {
        assert_eq!(said.found(rule, &facts, SHORT), None, "{rule}");
    }
    program.ask("watch");
    for rule in ["auto", "tcp"] {
        let how = said.found(rule, &facts, LONG).expect("ready");
        assert_eq!(how, "it accepts from its listener");
    }
    assert_eq!(said.found("notify", &facts, SHORT), None);
    said.notified.send_replace(true);
    for rule in ["auto", "notify"] {
        assert_eq!(said.found(rule, &facts, LONG).expect("ready"), "it says READY=1");
    }
}

#[test]
fn a_node_program_says_itself_that_it_listens() {
    let (mut program, facts, _listener) = start(UsedMode::Node);
    program.ask("watch");
    let said = Said::nothing();
    assert_eq!(said.found("auto", &facts, SHORT), None);
    said.listening.send_replace(true);
    let how = said.found("auto", &facts, LONG).expect("ready");
    assert_eq!(how, "Node says that it listens");
}

#[test]
fn who_binds_by_itself_is_ready_when_it_is_meant_to_and_told_otherwise() {
    let (mut program, facts, _listener) = start(UsedMode::Reuseport);
    let said = Said::nothing();
    assert_eq!(said.found("auto", &facts, SHORT), None);
    assert_eq!(told_if_it_listens_by_itself(&facts, true), None);
    let address = program.ask("listen");
    let how = said.found("auto", &facts, LONG).expect("ready");
    assert_eq!(how, format!("it listens on {address}"));
    assert_eq!(told_if_it_listens_by_itself(&facts, true), None);
    let meant_for_ours = ProgramFacts {
        mode: UsedMode::Fds,
        ..facts
    };
    let told = told_if_it_listens_by_itself(&meant_for_ours, true).expect("told");
    assert!(
        told.starts_with(&format!("the program listens by itself on {address}; ")),
        "{told}"
    );
}

#[test]
fn a_node_program_whose_servers_do_not_ask_is_ready_when_the_kernel_shows_them() {
    let (mut program, facts, _listener) = start(UsedMode::Node);
    let said = Said::nothing();
    assert_eq!(said.found("auto", &facts, SHORT), None);
    let address = program.ask("listen");
    let how = said.found("auto", &facts, LONG).expect("ready");
    assert_eq!(how, format!("it listens on {address} by itself"));
    let told = told_if_it_listens_by_itself(&facts, true).expect("told");
    assert!(told.contains("servers in worker threads"), "{told}");
    let told = told_if_it_listens_by_itself(&facts, false).expect("told");
    assert!(told.contains("sets NODE_OPTIONS anew"), "{told}");
}

#[test]
fn a_program_is_ready_when_it_answers_or_has_said_the_words_or_the_time_is_over() {
    let (mut program, facts, _listener) = start(UsedMode::Fds);
    let said = Said::nothing();
    program.ask("serve 302 Found");
    let how = said.found("http:/up", &facts, LONG).expect("ready");
    let address = facts.listeners.reached_by_ipv4()[0].0;
    assert_eq!(how, format!("it answers 302 to GET /up at {address}"));
    let how = said.found("log:listening on", &facts, LONG).expect("ready");
    assert_eq!(how, "a line of its output matches listening on");
    let how = said.found("delay:5ms", &facts, LONG).expect("ready");
    assert_eq!(how, "5.0 ms have passed since it was started");
}

#[test]
fn a_rule_that_can_never_come_true_is_known_before() {
    let (_program, facts, _listener) = start(UsedMode::Reuseport);
    let http: ReadyRule = "http:/up".parse().expect("a rule");
    let why = never_ready(&http, facts.mode, &facts.listeners).expect("it cannot");
    assert!(
        why.starts_with("run.ready is \"http:/up\", and nobody can ask"),
        "{why}"
    );
    assert_eq!(never_ready(&ReadyRule::Auto, facts.mode, &facts.listeners), None);
    let lent_later = ProgramFacts {
        mode: UsedMode::Node,
        listeners: ProgramListeners::default(),
        ..facts
    };
    assert_eq!(never_ready(&http, lent_later.mode, &lent_later.listeners), None);
}

#[test]
fn what_was_seen_of_a_program_that_is_not_ready_is_said() {
    let (_program, facts, _listener) = start(UsedMode::Fds);
    let seen = |rule: &str, failure: Option<&str>, line: Option<&str>| {
        let rule: ReadyRule = rule.parse().expect("a rule");
        seen_so_far(&rule, &facts, failure.map(str::to_owned), line.map(str::to_owned))
    };
    assert!(seen("auto", None, None).contains("no thread of it waits for a connection"));
    assert!(
        seen("http:/up", Some("it answered 500"), None).ends_with("the last time because it answered 500")
    );
    assert!(seen("log:up", None, Some("booting")).ends_with("the last one is: booting"));
    assert!(seen("log:up", None, None).ends_with("it has printed nothing"));
    assert!(seen("notify", None, None).contains("READY=1"));
}
