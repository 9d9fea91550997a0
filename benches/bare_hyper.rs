//! The least an HTTP server on hyper can cost: one thread, one `service_fn`, one constant answer of the size
//! and type of `/healthz/liveness`. The bar for the worker's edge is server CPU per request within 1.25 times
//! of this.
//!
//! `cargo bench --bench bare_hyper -- --serve [ADDRESS]` serves until it is killed and prints its address (by
//! default a free port of 127.0.0.1) as its first line; without `--serve` it ends at once, so that a plain
//! `cargo bench` does not hang.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--serve");
    if arguments.next().is_none() {
        println!("bare_hyper: nothing to do without --serve [ADDRESS]");
        return Ok(());
    }
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(&address))
}

async fn serve(address: &str) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}

async fn answer(_request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"alive\n")));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}
