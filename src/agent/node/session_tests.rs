//! The conversation with a program, line by line, and with bytes of a seeded random.

use std::net::IpAddr;

use nix::errno::Errno;
use serde_json::{Value, json};

use super::line::NodeLines;
use super::request::{ListenTarget, NodeAddress, NodeListenRequest};
use super::session::{Delivery, MAX_LISTENERS, NodeEvent, NodeFault, NodeSession, SessionStep};

/// Lines as Node 20 writes them, and those of the preload and of applications.
const GOOD_LINES: &str = include_str!("../../../fuzz/seeds/node_channel/conversation.jsonl");

fn good(number: usize) -> &'static str {
    GOOD_LINES.lines().nth(number).expect("a line")
}

fn step(session: &mut NodeSession, line: &str) -> SessionStep {
    session.take(line.as_bytes()).expect("a good line")
}

fn event(session: &mut NodeSession, line: &str) -> NodeEvent {
    step(session, line).event.expect("an event")
}

fn query(seq: u64, port: u16, index: u64) -> String {
    let message = json!({
        "cmd": "NODE_CLUSTER", "act": "queryServer", "index": index, "data": null, "address": "127.0.0.1",
        "port": port, "addressType": 4, "flags": 0, "backlog": 511, "seq": seq,
    });
    message.to_string()
}

fn wanted(session: &mut NodeSession, line: &str) -> NodeListenRequest {
    match event(session, line) {
        NodeEvent::ListenWanted(request) => request,
        other => panic!("{other:?} instead of a request"),
    }
}

/// The number of the error that the program was answered at once.
fn refused(session: &mut NodeSession, line: &str) -> Errno {
    let step = step(session, line);
    let Some(NodeEvent::ListenRefused(refusal)) = step.event else {
        panic!("{:?} instead of a refusal", step.event);
    };
    let reply = read(&step.reply.expect("an answer"));
    assert_eq!(reply["errno"], json!(-(refusal.errno as i32)));
    refusal.errno
}

fn read(line: &str) -> Value {
    assert!(
        line.ends_with('\n') && line.matches('\n').count() == 1,
        "{line:?}"
    );
    serde_json::from_str(line).expect("JSON")
}

#[test]
fn a_server_is_given_its_listener_and_closes_it() {
    let mut session = NodeSession::default();
    assert_eq!(event(&mut session, good(0)), NodeEvent::Online);
    let request = wanted(&mut session, good(1));
    let target = ListenTarget::Tcp {
        address: None,
        port: 3000,
        ipv6_only: false,
    };
    assert_eq!(
        (&request.target, request.index, request.backlog),
        (&target, 0, Some(511))
    );
    let reply = read(&session.grant(request.id).expect("still open"));
    let message = json!({"cmd": "NODE_CLUSTER", "ack": 1, "key": "null:3000:4::0", "errno": 0, "data": null});
    assert_eq!(
        reply,
        json!({"cmd": "NODE_HANDLE", "type": "net.Native", "msg": message})
    );
    assert_eq!(session.grant(request.id), None, "answered twice");
    assert_eq!(step(&mut session, good(6)).delivery, Some(Delivery::Arrived));
    let address = NodeAddress {
        address: None,
        port: Some(3000),
    };
    assert_eq!(event(&mut session, good(9)), NodeEvent::Listening(address));
    assert_eq!(session.held().collect::<Vec<_>>(), [&target]);
    assert_eq!(event(&mut session, good(10)), NodeEvent::Closed(target));
    assert_eq!(
        step(&mut session, good(10)),
        SessionStep::default(),
        "closed twice"
    );
    assert_eq!(session.held().count(), 0);
}

#[test]
fn each_way_to_listen_is_understood() {
    let mut session = NodeSession::default();
    let target = |session: &mut NodeSession, line: usize| wanted(session, good(line)).target;
    let loopback = ListenTarget::Tcp {
        address: Some(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])),
        port: 0,
        ipv6_only: true,
    };
    assert_eq!(target(&mut session, 2), loopback);
    let path = ListenTarget::Path {
        path: "/tmp/a.sock".to_owned(),
        readable_all: true,
        writable_all: false,
    };
    assert_eq!(target(&mut session, 3), path);
    assert_eq!(target(&mut session, 4), ListenTarget::Inherited { number: 1 });
    assert_eq!(refused(&mut session, good(5)), Errno::ENOTSUP);
}

#[test]
fn what_listen_was_given_may_be_anything() {
    let mut session = NodeSession::default();
    let line = query(1, 4000, 0)
        .replace("511", "false")
        .replace(r#""flags":0"#, r#""flags":null"#);
    let request = wanted(&mut session, &line);
    assert_eq!(
        (request.backlog, request.target.to_string()),
        (None, "127.0.0.1:4000".to_owned())
    );
}

#[test]
fn what_cannot_be_listened_on_is_refused_with_its_number() {
    let ask = |fields: Value| {
        let mut message = json!({"cmd": "NODE_CLUSTER", "act": "queryServer", "seq": 1, "index": 0});
        let object = message.as_object_mut().expect("an object");
        object.extend(fields.as_object().expect("an object").clone());
        refused(&mut NodeSession::default(), &message.to_string())
    };
    assert_eq!(
        ask(json!({"address": "fe80::1%eth0", "port": 1, "addressType": 6})),
        Errno::EADDRNOTAVAIL
    );
    assert_eq!(
        ask(json!({"address": "127.0.0.1", "port": 65536, "addressType": 4})),
        Errno::EINVAL
    );
    assert_eq!(
        ask(json!({"address": "", "port": -1, "addressType": -1})),
        Errno::EINVAL
    );
    assert_eq!(
        ask(json!({"address": "x".repeat(2000), "port": -1, "addressType": -1})),
        Errno::ENAMETOOLONG
    );
    assert_eq!(
        ask(json!({"address": "x", "port": 1, "addressType": "tls"})),
        Errno::EINVAL
    );
    for fd in [2, 0, -1, i64::MIN] {
        assert_eq!(ask(json!({"fd": fd})), Errno::EBADF, "descriptor {fd}");
    }
    assert_eq!(ask(json!({})), Errno::EINVAL);
}

#[test]
fn a_refused_program_may_ask_again() {
    let mut session = NodeSession::default();
    let request = wanted(&mut session, &query(1, 80, 0));
    let reply = read(&session.refuse(request.id, Errno::EACCES).expect("still open"));
    assert_eq!((&reply["ack"], &reply["errno"]), (&json!(1), &json!(-13)));
    assert_eq!(session.refuse(request.id, Errno::EACCES), None);
    wanted(&mut session, &query(2, 80, 0));
}

#[test]
fn a_program_has_at_most_64_listeners() {
    let mut session = NodeSession::default();
    for number in 0..MAX_LISTENERS as u64 {
        let request = wanted(&mut session, &query(number, 4000, number));
        if number % 2 == 0 {
            session.grant(request.id).expect("still open");
        }
    }
    assert_eq!(refused(&mut session, &query(900, 4000, 900)), Errno::EMFILE);
    step(
        &mut session,
        r#"{"cmd":"NODE_CLUSTER","act":"close","key":"127.0.0.1:4000:4::0","seq":1}"#,
    );
    wanted(&mut session, &query(901, 4000, 901));
}

#[test]
fn a_question_that_stands_already_is_refused() {
    let mut session = NodeSession::default();
    wanted(&mut session, &query(1, 4000, 0));
    assert_eq!(
        refused(&mut session, &query(1, 4001, 0)),
        Errno::EADDRINUSE,
        "the same number"
    );
    assert_eq!(
        refused(&mut session, &query(2, 4000, 0)),
        Errno::EADDRINUSE,
        "the same server"
    );
}

#[test]
fn another_process_on_the_channel_begins_anew() {
    let mut session = NodeSession::default();
    let old = wanted(&mut session, &query(1, 4000, 0));
    let held = wanted(&mut session, &query(2, 4001, 0));
    session.grant(held.id).expect("still open");
    let taken = event(&mut session, good(13));
    let version = "v20.20.2".to_owned();
    assert_eq!(taken, NodeEvent::Taken { pid: 4711, version });
    assert_eq!(session.held().count(), 0);
    let new = wanted(&mut session, &query(1, 4000, 0));
    assert_eq!(session.grant(old.id), None, "its asker is gone");
    assert!(session.grant(new.id).is_some());
}

#[test]
fn what_waits_for_an_answer_gets_one() {
    let mut session = NodeSession::default();
    let leaving = step(&mut session, good(11));
    assert_eq!(leaving.event, Some(NodeEvent::Disconnecting));
    assert_eq!(
        read(&leaving.reply.expect("an answer")),
        json!({"cmd": "NODE_CLUSTER", "ack": 8})
    );
    let handle = step(&mut session, good(8));
    assert_eq!(
        read(&handle.reply.expect("an answer")),
        json!({"cmd": "NODE_HANDLE_ACK"})
    );
    assert_eq!(step(&mut session, good(7)).delivery, Some(Delivery::Lost));
}

#[test]
fn what_an_application_says_is_no_message_of_nodes() {
    let mut session = NodeSession::default();
    assert_eq!(event(&mut session, r#" "ready""#), NodeEvent::AppReady);
    let lines = [
        r#""other""#,
        "null",
        "[1]",
        r#"{"cmd":"NODE_"}"#,
        r#"{"cmd":{"cmd":"NODE_CLUSTER"}}"#,
    ];
    for line in lines {
        assert_eq!(event(&mut session, line), NodeEvent::AppMessage, "{line}");
    }
    let unknown = step(&mut session, r#"{"cmd":"NODE_SOMETHING_NEW"}"#);
    assert_eq!(unknown, SessionStep::default());
}

#[test]
fn garbage_is_one_clear_error() {
    let deep = format!(r#"{{"cmd":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let bad = ["", "{", "GET / HTTP/1.1", "\u{1b}[2J", "{}{}", &deep];
    for line in bad {
        let fault = NodeSession::default().take(line.as_bytes()).expect_err(line);
        assert!(matches!(fault, NodeFault::NotAMessage { .. }));
        let text = fault.to_string();
        assert!(text.len() < 600 && !text.contains('\u{1b}'), "{text}");
    }
    for line in [
        r#"{"cmd":"NODE_CLUSTER","act":"queryServer"}"#,
        r#"{"cmd":"NODE_CLUSTER","act":"close"}"#,
        r#"{"cmd":"NODE_CLUSTER","act":"online","seq":-1}"#,
        r#"{"cmd":"NODE_CLUSTER_RUN","act":"taken","pid":"many"}"#,
    ] {
        assert!(NodeSession::default().take(line.as_bytes()).is_err(), "{line}");
    }
}

#[test]
fn a_deeply_nested_message_of_an_application_takes_no_stack() {
    let array = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let object = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    for line in [array, object] {
        assert_eq!(event(&mut NodeSession::default(), &line), NodeEvent::AppMessage);
    }
}

#[test]
fn texts_for_people_are_short_and_harmless() {
    let command = format!("\u{1b}[2J{}", "x".repeat(5000));
    let line = json!({"cmd": "NODE_CLUSTER_RUN", "act": "spawned", "command": command}).to_string();
    match event(&mut NodeSession::default(), &line) {
        NodeEvent::Spawned(text) => assert!(text.len() <= 200 && !text.contains('\u{1b}'), "{text:?}"),
        other => panic!("{other:?}"),
    }
}

/// A program that sends whatever it likes, for as long as its channel is not given up. Returns the number of
/// lines that were taken.
fn converse(stream: &[u8], random: &mut fastrand::Rng) -> usize {
    let (mut lines, mut session) = (NodeLines::default(), NodeSession::default());
    let (mut open, mut taken) = (Vec::new(), 0);
    for part in stream.chunks(random.usize(1..=512)) {
        lines.feed(part);
        while let Ok(Some(line)) = lines.line() {
            let Ok(step) = session.take(line) else {
                return taken;
            };
            taken += 1;
            drop(step.reply.as_deref().map(read));
            if let Some(NodeEvent::ListenWanted(request)) = step.event {
                open.push(request.id);
            }
            if !open.is_empty() && random.bool() {
                let id = open.swap_remove(random.usize(..open.len()));
                let answer = match random.bool() {
                    true => session.grant(id),
                    false => session.refuse(id, Errno::EACCES),
                };
                drop(answer.as_deref().map(read));
            }
            assert!(session.held().count() <= MAX_LISTENERS);
        }
    }
    taken
}

#[test]
fn mutated_conversations_break_nothing() {
    let mut random = fastrand::Rng::with_seed(7);
    let good: Vec<&str> = GOOD_LINES.lines().collect();
    let (mut taken, mut sent) = (0, 0);
    for _ in 0..3000 {
        let mut stream = Vec::new();
        for _ in 0..random.usize(1..40) {
            sent += 1;
            let mut line = random.choice(&good).expect("a line").as_bytes().to_vec();
            if random.u8(..4) == 0 {
                let at = random.usize(..line.len());
                match random.u8(..4) {
                    0 => line[at] = random.u8(..),
                    1 => line.truncate(at),
                    2 => drop(line.splice(at..at, b"18446744073709551616".iter().copied())),
                    _ => drop(line.splice(at..at, b"[[[[".repeat(64))),
                }
            }
            stream.extend(line);
            stream.push(b'\n');
        }
        taken += converse(&stream, &mut random);
    }
    println!("{taken} of {sent} lines were taken");
    assert!(taken > sent / 20 && taken < sent);
}
