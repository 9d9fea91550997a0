//! The admin listener: metrics and health for whoever watches the cluster. Every worker accepts from the same
//! socket, so a worker that hangs takes no client's question. Each connection carries one request, so that
//! the next request goes to a worker that is awake. It must not touch the service: none of its counters,
//! routes and connections.

mod admission;
mod answer;
mod host;
mod metrics_client;
mod prometheus_text;

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;

use crate::worker::accept::listener::{Listener, Stream};
use crate::worker::connection::checked::CheckedStream;
use crate::worker::connection::finish::{bare_line_feed, linger};
use crate::worker::handle::Worker;
use admission::{AdmittedClients, Busy};
use answer::AdminService;
use metrics_client::MetricsClient;
pub(super) use metrics_client::{MasterLink, MetricsAnswer};

/// The longest time for a request's head, which is one packet.
const HEAD_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest time for a connection: a slow client keeps a place that long, and nothing else.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// The time after which a failed accept is tried again.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);
/// The longest head; hyper takes no smaller buffer.
const HEAD_BYTES: usize = 8192;

/// What answers at the admin listener.
pub(super) struct Admin {
    listener: Listener,
    worker: Worker,
    service: Arc<AdminService>,
}

impl Admin {
    /// To be called inside the runtime.
    pub(super) fn new(listener: Listener, worker: Worker, link: MasterLink) -> Admin {
        let service = AdminService::new(worker.clone(), MetricsClient::start(link));
        Admin {
            listener,
            worker,
            service: Arc::new(service),
        }
    }

    /// Answers until the drain, and then the clients that were admitted.
    pub(super) async fn run(self) {
        let mut clients = AdmittedClients::default();
        loop {
            let next = async {
                clients.room().await;
                let accepted = self.listener.accept().await;
                // The client that could have been evicted may be busy by now.
                clients.room().await;
                accepted
            };
            let next = tokio::select! {
                biased;
                () = self.worker.draining() => break,
                next = next => next,
            };
            match next {
                Ok(stream) => clients.admit(|busy| serve(stream, Arc::clone(&self.service), busy)),
                Err(error) => {
                    tracing::debug!(%error, "an admin connection could not be accepted");
                    let _over = tokio::time::timeout(ACCEPT_RETRY, self.worker.draining()).await;
                }
            }
        }
        clients.all_served().await;
    }
}

/// Serves one request. hyper has told the client what was wrong with it, so an error is not reported.
async fn serve(stream: Stream, service: Arc<AdminService>, busy: Busy) {
    let begun = busy.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        begun.set(true);
        let service = Arc::clone(&service);
        Box::pin(async move { Ok::<_, Infallible>(service.answer(&request).await) })
    });
    let mut builder = http1::Builder::new();
    builder
        .keep_alive(false)
        // A client that closes its side behind its request still gets the answer.
        .half_close(true)
        .max_buf_size(HEAD_BYTES)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    let mut http = builder.serve_connection(TokioIo::new(CheckedStream::new(stream)), service);
    let serving = poll_fn(|cx| http.poll_without_shutdown(cx));
    let served = tokio::time::timeout(CONNECTION_TIMEOUT, serving).await;
    busy.set(false);
    let stream = http.into_parts().io.into_inner();
    match served {
        Err(_elapsed) => {}
        Ok(_) if stream.has_broken_head() => refuse(stream.into_stream()).await,
        Ok(Ok(())) => linger(stream.into_stream()).await,
        Ok(Err(_told)) => {}
    }
}

/// Answers a request that is not shown to hyper.
async fn refuse(mut stream: Stream) {
    let answer = bare_line_feed().to_http1();
    // A client that does not take its answer does not get it.
    if let Ok(Ok(())) = tokio::time::timeout(HEAD_TIMEOUT, stream.write_all(&answer)).await {
        linger(stream).await;
    }
}

#[cfg(test)]
mod tests;
