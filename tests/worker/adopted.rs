//! The queues of other slots, handed over on the lifeline; and the master's question whether a worker is
//! ready.

use std::net::{TcpListener, TcpStream};

use cluster::base::exit::Exit;
use cluster::base::ids::Slot;
use cluster::lifeline::{Command, Report};

use crate::client::Client;
use crate::master::Worker;
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "another_slots_queue_is_answered_until_it_is_taken_back",
        another_slots_queue_is_answered_until_it_is_taken_back,
    ),
    (
        "an_adopted_queue_is_emptied_by_the_drain",
        an_adopted_queue_is_emptied_by_the_drain,
    ),
    (
        "a_queue_is_adopted_again_and_an_impossible_request_does_no_harm",
        a_queue_is_adopted_again_and_an_impossible_request_does_no_harm,
    ),
    (
        "it_says_whether_it_is_ready_when_it_is_asked",
        it_says_whether_it_is_ready_when_it_is_asked,
    ),
];

/// A listener of another slot, blocking, as a foreign holder may have left it, and clients that wait in its
/// queue.
fn queue(clients: usize) -> (TcpListener, Vec<Client>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let clients = (0..clients).map(|_| {
        let mut client = Client::connect(address);
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        client
    });
    let clients = clients.collect();
    (listener, clients)
}

fn all_answered(clients: Vec<Client>) {
    for mut client in clients {
        assert_eq!(client.response().expect("an answer").status, 200);
    }
}

fn another_slots_queue_is_answered_until_it_is_taken_back() {
    let worker = Worker::ready(|_| {});
    let (listener, waiting) = queue(20);
    worker.adopt(Slot(9), &listener);
    all_answered(waiting);
    worker.command(Command::Disown(Slot(9)));
    // Commands are handled in their order, so this report comes after the listeners were given up; they are
    // closed at once.
    worker.command(Command::Probe);
    assert_eq!(worker.report(), Report::Probed(Ok(())));
    assert_eq!(worker.connect().get("/").status, 200);
    let late = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    // The worker made the shared description non-blocking.
    listener.set_nonblocking(false).expect("set");
    let (accepted, _) = listener.accept().expect("a client");
    assert_eq!(
        accepted.peer_addr().expect("connected"),
        late.local_addr().expect("connected"),
        "the worker has let go, and only this process accepts"
    );
}

fn an_adopted_queue_is_emptied_by_the_drain() {
    let mut worker = Worker::ready(|_| {});
    let (listener, first) = queue(1);
    worker.adopt(Slot(9), &listener);
    all_answered(first);
    worker.signal(nix::sys::signal::Signal::SIGSTOP);
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let mut client = Client::connect(listener.local_addr().expect("bound"));
            client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
            client
        })
        .collect();
    worker.signal(nix::sys::signal::Signal::SIGTERM);
    worker.signal(nix::sys::signal::Signal::SIGCONT);
    all_answered(waiting);
    assert_eq!(worker.exit(), i32::from(Exit::Stopped.code()), "{}", worker.log());
}

fn a_queue_is_adopted_again_and_an_impossible_request_does_no_harm() {
    let worker = Worker::ready(|_| {});
    worker.command(Command::Disown(Slot(4)));
    // An adoption whose descriptors were lost on the way.
    worker.command(Command::Adopt(Slot(4)));
    assert_eq!(worker.report(), Report::NotAdopted(Slot(4)));
    for round in 0..3 {
        let (listener, waiting) = queue(5);
        worker.adopt(Slot(9), &listener);
        all_answered(waiting);
        worker.command(Command::Disown(Slot(9)));
        assert_eq!(worker.connect().get("/").status, 200, "round {round}");
    }
    assert!(worker.log().contains("could not be adopted"), "{}", worker.log());
}

fn it_says_whether_it_is_ready_when_it_is_asked() {
    let worker = Worker::ready(|_| {});
    worker.command(Command::Probe);
    assert_eq!(worker.report(), Report::Probed(Ok(())));
    let _open = worker.connect().get("/");
    let reluctant = Worker::ready(|settings| {
        let section = toml::from_str("not_ready = \"the store is full\"").expect("a table");
        settings
            .app
            .insert("test".to_owned(), toml::Value::Table(section));
    });
    reluctant.command(Command::Probe);
    assert_eq!(
        reluctant.report(),
        Report::Probed(Err("the store is full".to_owned()))
    );
}
