//! The admin listener: metrics and health for whoever watches the cluster. Every worker accepts from the same socket, so one
//! that hangs takes nobody's question; each conversation is one answer long, so that the next question goes to whoever is awake.
//! It must not touch the service: no counter, no router, no connection of its.

mod admission;
mod answer;
mod host;
mod metrics_client;
mod text;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::worker::accept::listener::{Listener, Stream};
use crate::worker::connection::finish::linger;
use crate::worker::handle::Worker;
use admission::{Busy, Floor};
use answer::Clerk;
use metrics_client::Asker;
pub(super) use metrics_client::{Line, Told};

/// A client has so long for its request line and headers, which are one packet.
const HEAD: Duration = Duration::from_secs(1);
/// A client has so long for everything: a slow one keeps a place, and nothing else.
const LONGEST: Duration = Duration::from_secs(5);
/// After a failed accept it is tried again.
const PATIENCE: Duration = Duration::from_millis(200);
/// Request line and headers; hyper takes no smaller buffer.
const HEAD_BYTES: usize = 8192;

/// What answers at the admin listener.
pub(super) struct Admin {
    listener: Listener,
    worker: Worker,
    clerk: Arc<Clerk>,
}

impl Admin {
    /// To be called inside the runtime.
    pub(super) fn new(listener: Listener, worker: Worker, line: Line) -> Admin {
        let clerk = Arc::new(Clerk::new(worker.clone(), Asker::begin(line)));
        Admin {
            listener,
            worker,
            clerk,
        }
    }

    /// Answers until the drain, and then those who were let in.
    pub(super) async fn keep(self) {
        let mut floor = Floor::default();
        loop {
            let next = async {
                floor.room().await;
                let accepted = self.listener.accept().await;
                // Whoever could have gone may be busy by now.
                floor.room().await;
                accepted
            };
            let next = tokio::select! {
                biased;
                () = self.worker.draining() => break,
                next = next => next,
            };
            match next {
                Ok(stream) => floor.seat(|busy| converse(stream, Arc::clone(&self.clerk), busy)),
                Err(error) => {
                    tracing::debug!(%error, "an admin connection could not be accepted");
                    let _over = tokio::time::timeout(PATIENCE, self.worker.draining()).await;
                }
            }
        }
        floor.empty().await;
    }
}

/// One request, one answer. What a client does wrong is its own affair, and it has been told.
async fn converse(stream: Stream, clerk: Arc<Clerk>, busy: Busy) {
    let asked = busy.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        asked.set(true);
        let clerk = Arc::clone(&clerk);
        async move { Ok::<_, Infallible>(clerk.answer(&request).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD);
    let conversation = builder
        .serve_connection(TokioIo::new(stream), service)
        .without_shutdown();
    let conversed = tokio::time::timeout(LONGEST, conversation).await;
    busy.set(false);
    if let Ok(Ok(parts)) = conversed {
        linger(parts.io.into_inner()).await;
    }
}
