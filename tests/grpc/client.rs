//! A client of gRPC: tonic's stubs over one HTTP/2 connection of hyper, which says nothing by itself (no
//! retries, no reconnecting).

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tonic::body::Body;
use tower::Service;

use crate::common::TIMEOUT;

/// One connection.
#[derive(Clone)]
pub(crate) struct Channel {
    sender: SendRequest<Body>,
}

impl Channel {
    pub(crate) async fn connect(address: SocketAddr) -> Channel {
        let stream = tokio::net::TcpStream::connect(address).await.expect("connected");
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("a handshake");
        tokio::spawn(connection);
        Channel { sender }
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&mut self, request: Request<Body>) -> Response<Incoming> {
        self.sender.send_request(request).await.expect("an answer")
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}

/// Whom every call is for.
pub(crate) fn origin(address: SocketAddr) -> Uri {
    format!("http://{address}").parse().expect("an origin")
}

pub(crate) fn in_runtime<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(TIMEOUT, future).await.expect("in time") })
}
