//! The admin listener as its clients see it.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::{Admin, MasterLink, MetricsAnswer};
use crate::base::ids::{Generation, Life};
use crate::config::Settings;
use crate::lifeline::WorkerEnd;
use crate::sys::seqpacket;
use crate::worker::accept::listener::Listener;
use crate::worker::{Identity, Worker};

/// A running admin listener at a socket in its own directory.
struct Running {
    directory: tempfile::TempDir,
    worker: Worker,
    _lifeline: (OwnedFd, mpsc::UnboundedSender<MetricsAnswer>),
}

impl Running {
    fn start() -> Running {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("listener");
        let bound = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        let listener = Listener::new(bound.into()).expect("a listener");
        let identity = Identity {
            life: Life::of(1, 0, 1),
            generation: Generation(1),
        };
        let (master, lifeline) = seqpacket::pair().expect("a pair");
        let (sender, metrics) = mpsc::unbounded_channel();
        let lifeline = Arc::new(WorkerEnd::new(lifeline).expect("watched"));
        let worker = Worker::detached(identity, Settings::default());
        let admin = Admin::new(listener, worker.clone(), MasterLink { lifeline, metrics });
        tokio::spawn(admin.run());
        Running {
            directory,
            worker,
            _lifeline: (master, sender),
        }
    }

    /// Everything that is answered to these bytes, which an end of file follows if `ends`.
    async fn answer(&self, bytes: &str, ends: bool) -> String {
        let path = self.directory.path().join("listener");
        let mut client = UnixStream::connect(&path).await.expect("connected");
        client.write_all(bytes.as_bytes()).await.expect("written");
        if ends {
            client.shutdown().await.expect("shut down");
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("no reset");
        answer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.worker.fail("the test is over");
    }
}

/// Clients that close their sending side right behind their request, as `nc -N` does.
#[tokio::test]
async fn a_request_before_an_end_of_file_is_answered() {
    let running = Running::start();
    for round in 0..100 {
        let request = "GET /healthz/liveness HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let answer = running.answer(request, true).await;
        assert!(answer.ends_with("alive\n"), "round {round}: {answer:?}");
    }
}

#[tokio::test]
async fn a_line_that_ends_without_a_carriage_return_is_refused() {
    let running = Running::start();
    for head in [
        "GET /healthz/liveness HTTP/1.1\nHost: localhost\n\n",
        "GET /healthz/liveness HTTP/1.1\r\nHost: localhost\n\r\n",
        "\nGET /healthz/liveness HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let answer = running.answer(head, false).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{head:?}: {answer:?}"
        );
        assert!(answer.contains("bad_request"), "{head:?}: {answer:?}");
    }
}
