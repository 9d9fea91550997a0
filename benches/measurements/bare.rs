//! What to compare with: hyper on a current-thread runtime, answering one request, with nothing around it.
//! Runs as a process of its own, which is this program again.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::{client, server};

const CHILD: &str = "CLUSTER_FIGURES_BARE";

/// The process; killed when dropped.
pub(crate) struct Bare {
    child: Child,
    address: SocketAddr,
}

impl Bare {
    /// Starts it and waits until it answers.
    pub(crate) fn start() -> Result<Bare, String> {
        let address = server::free_address().map_err(|error| error.to_string())?;
        let exe = std::env::current_exe().map_err(|error| error.to_string())?;
        let child = Command::new(exe)
            .env(CHILD, address.to_string())
            .spawn()
            .map_err(|error| error.to_string())?;
        let bare = Bare { child, address };
        client::until(
            address,
            &client::get("/healthz/liveness"),
            200,
            Duration::from_secs(5),
        )?;
        Ok(bare)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // Both fail only for a child that is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The whole of the process; `None` in the parent.
pub(crate) fn child_main() -> Option<ExitCode> {
    let address = std::env::var(CHILD).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let Err(error) = runtime.block_on(serve(&address));
    eprintln!("bare: {error}");
    Some(ExitCode::FAILURE)
}

async fn serve(address: &str) -> std::io::Result<Infallible> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            // A client that goes away is no news.
            drop(
                http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer))
                    .await,
            );
        });
    }
}

async fn answer(_request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"{\"status\":\"ok\"}")));
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    Ok(response)
}
