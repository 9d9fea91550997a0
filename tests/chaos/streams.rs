//! The load over HTTP/2 with prior knowledge: requests side by side on one connection. What the server names
//! as not taken is sent again, as every client may (RFC 9113, 8.7), and counted. It must not know what is
//! done to the server meanwhile.

use std::cell::Cell;
use std::error::Error;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::client::{Asked, Call, TIMEOUT, connect};
use super::request_log::End;

/// One connection at a time, and another when the server has said GOAWAY.
pub(crate) struct Streams {
    address: SocketAddr,
    connection: Mutex<Option<Connection>>,
}

#[derive(Clone)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    from: Option<SocketAddr>,
    /// It has carried an answer.
    used: Rc<Cell<bool>>,
}

/// Why there is no answer.
enum Refusal {
    /// It was never sent, because the connection takes no more.
    Unsent,
    /// It was sent, and the server says that it did not look at it.
    Untaken,
    Failed(End),
}

impl Streams {
    pub(crate) fn new(address: SocketAddr) -> Streams {
        let connection = Mutex::new(None);
        Streams { address, connection }
    }

    /// Sends a request until it is taken, and reads its answer.
    pub(crate) async fn ask(&self, call: Call) -> Asked {
        let mut asked = Asked {
            end: End::TimedOut,
            from: None,
            again: 0,
        };
        if let Ok(end) = tokio::time::timeout(TIMEOUT, self.exchange(call, &mut asked)).await {
            asked.end = end;
        }
        asked
    }

    async fn exchange(&self, call: Call, asked: &mut Asked) -> End {
        loop {
            let connection = match self.connection().await {
                Ok(connection) => connection,
                Err(end) => return end,
            };
            asked.from = connection.from;
            match connection.clone().exchange(call).await {
                Ok(end) => return end,
                Err(Refusal::Failed(end)) => {
                    self.leave(&connection).await;
                    return end;
                }
                Err(Refusal::Untaken) => asked.again += 1,
                Err(Refusal::Unsent) => {}
            }
            self.leave(&connection).await;
        }
    }

    async fn connection(&self) -> Result<Connection, End> {
        let mut kept = self.connection.lock().await;
        if let Some(open) = kept.as_ref().filter(|open| !open.sender.is_closed()) {
            return Ok(open.clone());
        }
        let fresh = Connection::open(connect(self.address).await?).await?;
        *kept = Some(fresh.clone());
        Ok(fresh)
    }

    /// Nobody is to begin anything on it any more.
    async fn leave(&self, connection: &Connection) {
        let mut kept = self.connection.lock().await;
        kept.take_if(|kept| Rc::ptr_eq(&kept.used, &connection.used));
    }
}

impl Connection {
    async fn open(stream: TcpStream) -> Result<Connection, End> {
        let from = stream.local_addr().ok();
        let shaken = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|_| End::ResetNew)?;
        tokio::spawn(connection);
        Ok(Connection {
            sender,
            from,
            used: Rc::default(),
        })
    }

    async fn exchange(mut self, call: Call) -> Result<End, Refusal> {
        let response = match self.sender.try_send_request(request(call)).await {
            Ok(response) => response,
            Err(error) if error.message().is_some() => return Err(Refusal::Unsent),
            Err(error) if is_untaken(error.error()) => return Err(Refusal::Untaken),
            Err(_) if self.used.get() => return Err(Refusal::Failed(End::ResetReused)),
            Err(_) => return Err(Refusal::Failed(End::ResetNew)),
        };
        let status = response.status().as_u16();
        let whole = response.into_body().collect().await;
        whole.map_err(|_| Refusal::Failed(End::Cut))?;
        self.used.set(true);
        Ok(End::of(status))
    }
}

fn request(call: Call) -> http::Request<Full<Bytes>> {
    let Call { method, path, body } = call;
    let request = http::Request::builder()
        .method(method)
        .uri(format!("http://chaos{path}"))
        .header("content-type", "application/json");
    request
        .body(Full::from(body.as_bytes()))
        .expect("a request as it is written above")
}

/// REFUSED_STREAM, or a stream beyond the last one that a GOAWAY without an error names: the server has not
/// looked at it. `tests/worker/http2.rs` proves that this is true of ours.
fn is_untaken(error: &hyper::Error) -> bool {
    error.source().is_some_and(|source| {
        let said = format!("{source:?}");
        said.contains("REFUSED_STREAM, Remote") || said.contains("NO_ERROR, Remote")
    })
}
