//! The channel against programs that are hostile, slow or gone.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::errno::Errno;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::channel::NodeChannel;
use super::request::NodeListenRequest;
use super::session::{NodeEnd, NodeEvent, NodeFault};
use crate::sys::seqpacket::{PacketRead, receive_with};
use crate::sys::stream;

/// Until then, whatever is waited for has happened.
const DEADLINE: Duration = Duration::from_secs(30);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn run(runtime: &Runtime, test: impl Future<Output = ()>) {
    runtime.block_on(async {
        tokio::time::timeout(DEADLINE, test)
            .await
            .expect("within the deadline")
    });
}

/// A channel, the program's end of it, and the descriptor for its beats.
fn pair(runtime: &Runtime) -> (NodeChannel, UnixStream, File) {
    let _entered = runtime.enter();
    let (channel, given) = NodeChannel::new().expect("a channel");
    (channel, UnixStream::from(given.channel), File::from(given.beats))
}

fn query(seq: u64) -> String {
    let message = json!({
        "cmd": "NODE_CLUSTER", "act": "queryServer", "index": seq, "address": "127.0.0.1", "port": 0,
        "addressType": 4, "seq": seq,
    });
    format!("{message}\n")
}

async fn wanted(channel: &mut NodeChannel) -> NodeListenRequest {
    match channel.next().await {
        NodeEvent::ListenWanted(request) => request,
        other => panic!("{other:?} instead of a request"),
    }
}

async fn fault(channel: &mut NodeChannel) -> NodeFault {
    loop {
        match channel.next().await {
            NodeEvent::End(NodeEnd::GivenUp(fault)) => return fault,
            NodeEvent::End(other) => panic!("{other:?} instead of a fault"),
            _ => {}
        }
    }
}

#[test]
fn a_hundred_megabytes_without_a_newline_are_told_and_skipped() {
    let runtime = runtime();
    let (mut channel, mut program, _beats) = pair(&runtime);
    let writer = std::thread::spawn(move || {
        let part = vec![b'x'; 1 << 20];
        (0..100).for_each(|_| program.write_all(&part).expect("taken"));
        let online = json!({"cmd": "NODE_CLUSTER", "act": "online"});
        program
            .write_all(format!("\n{online}\n").as_bytes())
            .expect("taken");
        program
    });
    run(&runtime, async {
        assert_eq!(channel.next().await, NodeEvent::TooLong);
        assert_eq!(channel.next().await, NodeEvent::Online);
    });
    writer.join().expect("written");
}

#[test]
fn garbage_is_given_up_with_its_beginning() {
    let runtime = runtime();
    let (mut channel, mut program, _beats) = pair(&runtime);
    program
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("written");
    run(&runtime, async {
        let text = fault(&mut channel).await.to_string();
        assert!(text.contains(r#"read "GET / HTTP/1.1\r""#), "{text}");
    });
    assert_eq!(
        program.read(&mut [0]).map_err(|error| error.kind()).unwrap_or(0),
        0,
        "closed"
    );
}

#[test]
fn a_program_that_does_not_read_is_given_up() {
    let runtime = runtime();
    let (mut channel, mut program, _beats) = pair(&runtime);
    let writer = std::thread::spawn(move || {
        let line = format!("{}\n", json!({"cmd": "NODE_HANDLE", "msg": null}));
        while program.write_all(line.as_bytes()).is_ok() {}
    });
    run(&runtime, async {
        assert!(matches!(fault(&mut channel).await, NodeFault::DoesNotRead { .. }));
    });
    writer.join().expect("ended");
}

#[test]
fn a_program_that_acknowledges_nothing_is_given_up() {
    let runtime = runtime();
    let (mut channel, mut program, _beats) = pair(&runtime);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    run(&runtime, async {
        for seq in 0..100 {
            program.write_all(query(seq).as_bytes()).expect("written");
            let request = wanted(&mut channel).await;
            assert!(channel.grant(request.id, listener.try_clone().expect("a copy").into()));
            let key = format!("127.0.0.1:0:4::{seq}");
            let close = json!({"cmd": "NODE_CLUSTER", "act": "close", "key": key});
            // The channel may be closed already, which the next event says.
            let _ = program.write_all(format!("{close}\n").as_bytes());
            match channel.next().await {
                NodeEvent::Closed(_) => {}
                NodeEvent::End(end) => {
                    let fault = NodeFault::DoesNotAcknowledge { waiting: 65 };
                    assert_eq!(end, NodeEnd::GivenUp(fault));
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
        panic!("it is never given up");
    });
}

/// The line that came with a listener, and the listener.
fn receive(program: &UnixStream) -> (Value, Option<OwnedFd>) {
    let mut buffer = [0; 4096];
    let (read, fds) = receive_with(program.as_fd(), &mut buffer).expect("received");
    let PacketRead::Packet(length) = read else {
        panic!("{read:?}");
    };
    let text = std::str::from_utf8(&buffer[..length]).expect("text");
    (
        serde_json::from_str(text).expect("one line"),
        fds.into_iter().next(),
    )
}

async fn until_beat(channel: &mut NodeChannel, beats: &mut File) {
    beats.write_all(&1_u64.to_ne_bytes()).expect("written");
    assert_eq!(channel.next().await, NodeEvent::Beat);
}

#[test]
fn listeners_go_one_at_a_time_and_again_when_they_get_lost() {
    let runtime = runtime();
    let (mut channel, mut program, mut beats) = pair(&runtime);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    run(&runtime, async {
        for seq in 1..=2 {
            program.write_all(query(seq).as_bytes()).expect("written");
            let request = wanted(&mut channel).await;
            assert!(channel.grant(request.id, listener.try_clone().expect("a copy").into()));
        }
        for attempt in 0..4 {
            until_beat(&mut channel, &mut beats).await;
            let (line, fd) = receive(&program);
            assert_eq!(line["msg"]["ack"], json!(1), "attempt {attempt}");
            let received = TcpListener::from(fd.expect("a listener"));
            let address = |listener: &TcpListener| listener.local_addr().expect("an address");
            assert_eq!(address(&received), address(&listener));
            program
                .write_all(b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n{\"seen\":1}\n")
                .expect("written");
            assert_eq!(channel.next().await, NodeEvent::AppMessage);
        }
        until_beat(&mut channel, &mut beats).await;
        assert_eq!(
            receive(&program).0["msg"]["ack"],
            json!(2),
            "the first is given up after three more tries"
        );
        program
            .write_all(b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n{\"cmd\":\"NODE_HANDLE_ACK\"}\n1\n")
            .expect("written");
        assert_eq!(channel.next().await, NodeEvent::AppMessage);
    });
}

#[test]
fn descriptors_that_a_program_sends_are_closed() {
    let runtime = runtime();
    let (mut channel, program, _beats) = pair(&runtime);
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let line = b"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":1}\n";
    stream::send(program.as_fd(), line, Some(writer.as_fd())).expect("sent");
    drop(writer);
    run(&runtime, async {
        assert_eq!(channel.next().await, NodeEvent::AppMessage);
    });
    assert_eq!(
        reader.read(&mut [0]).expect("the end"),
        0,
        "somebody holds the other end"
    );
}

#[test]
fn waiting_may_be_broken_off_at_any_time() {
    let runtime = runtime();
    let (mut channel, mut program, _beats) = pair(&runtime);
    let line = query(7);
    run(&runtime, async {
        for byte in line.as_bytes() {
            tokio::select! {
                biased;
                event = channel.next() => panic!("{event:?} before the line is whole"),
                () = tokio::task::yield_now() => {}
            }
            program.write_all(&[*byte]).expect("written");
        }
        let request = wanted(&mut channel).await;
        assert!(channel.refuse(request.id, Errno::EACCES));
        assert!(!channel.refuse(request.id, Errno::EACCES), "answered twice");
    });
}

#[test]
fn all_lines_arrive_whole_at_a_slow_reader() {
    let runtime = runtime();
    let (mut channel, program, mut beats) = pair(&runtime);
    run(&runtime, async {
        // More than the socket holds, less than may wait.
        let texts = (0..60).map(|number| format!("{number} {}", "x".repeat(4000)));
        for text in texts.clone() {
            channel.send(&json!(text));
        }
        until_beat(&mut channel, &mut beats).await;
        let reader = tokio::task::spawn_blocking(move || {
            let mut reader = BufReader::new(program);
            let lines = reader.by_ref().lines().take(60).map(|line| line.expect("a line"));
            (lines.collect::<Vec<String>>(), reader)
        });
        let (lines, _open) = tokio::select! {
            lines = reader => lines.expect("read"),
            event = channel.next() => panic!("{event:?}"),
        };
        let expected: Vec<String> = texts.map(|text| json!(text).to_string()).collect();
        assert_eq!(lines, expected);
    });
}

#[test]
fn what_was_said_before_the_end_is_told_and_the_end_once() {
    let runtime = runtime();
    let (mut channel, mut program, mut beats) = pair(&runtime);
    program
        .write_all(b"\"ready\"\n{\"cmd\":\"NODE_CLUSTER\",\"act\":\"on")
        .expect("written");
    drop(program);
    run(&runtime, async {
        channel.disconnect(DEADLINE);
        assert_eq!(channel.next().await, NodeEvent::AppReady);
        assert_eq!(channel.next().await, NodeEvent::End(NodeEnd::Closed));
        until_beat(&mut channel, &mut beats).await;
        until_beat(&mut channel, &mut beats).await;
    });
}

#[test]
fn a_program_that_never_stops_talking_does_not_stop_the_runtime() {
    let runtime = runtime();
    let (mut channel, mut program, _beats) = pair(&runtime);
    let writer = std::thread::spawn(move || {
        let lines = "{\"cmd\":\"NODE_NEWS\"}\n".repeat(1000);
        while program.write_all(lines.as_bytes()).is_ok() {}
    });
    run(&runtime, async {
        let listening = async { panic!("{:?}", channel.next().await) };
        tokio::select! {
            () = listening => {}
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        drop(channel);
    });
    writer.join().expect("ended");
}
