//! The admin listener: metrics and health for whoever watches the cluster. Every worker accepts from the same socket, so one
//! that hangs takes nobody's question; each conversation is one answer long, so that the next question goes to whoever is awake.
//! It must not touch the service: no counter, no router, no connection of its.

mod answer;
mod asker;
mod host;
mod text;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::Semaphore;

use super::drive::linger;
use super::handle::Worker;
use super::listener::{Listener, Stream};
use answer::Clerk;
use asker::Asker;
pub(super) use asker::{Line, Told};

/// As many are talked with at once; more wait for this worker or another one.
const PLACES: u32 = 16;
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
        let places = Arc::new(Semaphore::new(PLACES as usize));
        loop {
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, self.listener.accept().await)
            };
            let next = tokio::select! {
                biased;
                () = self.worker.draining() => break,
                next = next => next,
            };
            match next {
                (Ok(place), Ok(stream)) => {
                    let clerk = Arc::clone(&self.clerk);
                    tokio::spawn(async move {
                        converse(stream, clerk).await;
                        drop(place);
                    });
                }
                (_, Err(error)) => {
                    tracing::debug!(%error, "an admin connection could not be accepted");
                    let _over = tokio::time::timeout(PATIENCE, self.worker.draining()).await;
                }
                (Err(closed), Ok(_)) => unreachable!("nobody closes the places: {closed}"),
            }
        }
        // When all places are free nobody is talked with.
        let _all = places.acquire_many(PLACES).await;
    }
}

/// One request, one answer. What a client does wrong is its own affair, and it has been told.
async fn converse(stream: Stream, clerk: Arc<Clerk>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let clerk = Arc::clone(&clerk);
        async move { Ok::<_, Infallible>(clerk.answer(&request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.keep_alive(false).max_buf_size(HEAD_BYTES);
    let conversation = builder
        .serve_connection(TokioIo::new(stream), service)
        .without_shutdown();
    if let Ok(Ok(parts)) = tokio::time::timeout(LONGEST, conversation).await {
        linger(parts.io.into_inner()).await;
    }
}
