//! The admin listener as its clients see it.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::{Admin, MasterLink};
use crate::base::ids::{Generation, Life};
use crate::config::Settings;
use crate::lifeline::WorkerEnd;
use crate::sys::seqpacket;
use crate::worker::accept::listener::Listener;
use crate::worker::{Identity, Worker};

/// Clients that close their sending side right behind their request, as `nc -N` does.
#[tokio::test]
async fn a_request_before_an_end_of_file_is_answered() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("listener");
    let bound = std::os::unix::net::UnixListener::bind(&path).expect("bound");
    let listener = Listener::new(bound.into()).expect("a listener");
    let identity = Identity {
        life: Life::of(1, 0, 1),
        generation: Generation(1),
    };
    let (_master, lifeline) = seqpacket::pair().expect("a pair");
    let (_sender, metrics) = mpsc::unbounded_channel();
    let link = MasterLink {
        lifeline: Arc::new(WorkerEnd::new(lifeline).expect("watched")),
        metrics,
    };
    let worker = Worker::detached(identity, Settings::default());
    let admin = tokio::spawn(Admin::new(listener, worker.clone(), link).run());
    for round in 0..100 {
        let mut client = UnixStream::connect(&path).await.expect("connected");
        let request = b"GET /healthz/liveness HTTP/1.1\r\nHost: localhost\r\n\r\n";
        client.write_all(request).await.expect("written");
        client.shutdown().await.expect("shut down");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("no reset");
        assert!(answer.ends_with("alive\n"), "round {round}: {answer:?}");
    }
    worker.fail("the test is over");
    admin.await.expect("ended");
}
