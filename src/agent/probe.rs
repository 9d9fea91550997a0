//! One probe: a GET over HTTP/1.1 that reaches the program of exactly one slot, and whether it is answered
//! well.
//!
//! All slots listen at the same address. A probe comes from the address of its slot
//! ([`crate::base::probe_source`]), by which the steering program knows where it belongs. While a slot has no
//! worker that serves, other workers accept from its listener as well, so the kernel is asked who took the
//! connection, before anything is sent: an answer of another program says nothing.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::evidence::{TakenBy, taken_by};
use super::facts::{ProgramFacts, ProgramListeners, UsedMode};
use crate::base::probe_source::probe_source;
use crate::base::time::span;
use crate::config::HttpPath;

/// How often a connection that another worker took is made again.
const MOST_CONNECTIONS: usize = 8;
/// Who took a connection is asked after this, then after twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// The longest head of an answer that is read.
const MOST_HEAD_BYTES: usize = 16 * 1024;

/// Why a probe failed; completes "the last one because …".
#[derive(Debug)]
pub enum ProbeFailure {
    /// There is no listener that a probe can reach.
    Unreachable(Unprobable),
    /// The connection was not made.
    Connect(SocketAddr, std::io::Error),
    /// The program did not take the connection in time.
    NotTaken(Duration),
    /// Workers of other slots took every connection.
    TakenByOthers,
    /// The program took the connection and did not answer in time.
    NoAnswer(Duration),
    /// What it answered is not HTTP, or it closed the connection.
    NoHttp(hyper::Error),
    /// It answered that it is not well.
    Status(StatusCode),
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProbeFailure::Unreachable(reason) => reason.fmt(f),
            ProbeFailure::Connect(address, error) => {
                write!(f, "no connection to {address} was made: {error}")
            }
            ProbeFailure::NotTaken(after) => {
                write!(
                    f,
                    "the program did not take the connection within {}",
                    span(*after)
                )
            }
            ProbeFailure::TakenByOthers => f.write_str("workers of other slots took the connections"),
            ProbeFailure::NoAnswer(after) => {
                write!(
                    f,
                    "the program took the connection and did not answer within {}",
                    span(*after)
                )
            }
            ProbeFailure::NoHttp(error) => {
                write!(f, "the program gave no answer of HTTP/1.1: {error}")
            }
            ProbeFailure::Status(status) => {
                write!(f, "the program answered {status}, expected a status below 400")
            }
        }
    }
}

/// Why a program cannot be probed at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unprobable {
    /// It binds by itself.
    BindsByItself,
    /// It has no listener yet, or none of its own that takes IPv4.
    NoListener,
}

impl fmt::Display for Unprobable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unprobable::BindsByItself => {
                "a program that binds its address by itself (run.listen = \"reuseport\") shares it with \
                 those of other slots, and nobody can say which of them a probe reaches: let it take the \
                 slot's listeners (run.listen = \"fds\" or \"node\"), or leave run.probe out and have it say \
                 WATCHDOG=1 and READY=1"
            }
            Unprobable::NoListener => {
                "it has no TCP listener of its own that takes IPv4, and a probe reaches no other: give it an \
                 IPv4 address (cluster.bind), or leave the probe out and have it say WATCHDOG=1 and READY=1"
            }
        })
    }
}

/// Where a probe of this program goes.
///
/// # Errors
/// Why it cannot be probed.
pub fn probed_address(program: &ProgramFacts) -> Result<SocketAddr, Unprobable> {
    probed_at(program.mode, &program.listeners)
}

/// Where a probe of a program goes that gets its connections in this way.
///
/// # Errors
/// Why it cannot be probed.
pub fn probed_at(mode: UsedMode, listeners: &ProgramListeners) -> Result<SocketAddr, Unprobable> {
    if mode == UsedMode::Reuseport {
        return Err(Unprobable::BindsByItself);
    }
    let reached = listeners.reached_by_ipv4();
    let own = reached.iter().find(|(_, own)| *own);
    own.map(|(address, _)| *address).ok_or(Unprobable::NoListener)
}

/// Asks the program, and waits this long for the connection to be taken and answered, both together.
///
/// # Errors
/// Why it is not known to be well.
pub async fn probe(
    program: &ProgramFacts,
    path: &HttpPath,
    at_most: Duration,
) -> Result<StatusCode, ProbeFailure> {
    let address = probed_address(program).map_err(ProbeFailure::Unreachable)?;
    let connect = connect(program, address);
    let until = Instant::now() + at_most;
    let connection = tokio::time::timeout_at(until, connect)
        .await
        .map_err(|_| ProbeFailure::NotTaken(at_most))??;
    let status = tokio::time::timeout_at(until, ask(connection, address, path))
        .await
        .map_err(|_| ProbeFailure::NoAnswer(at_most))?
        .map_err(ProbeFailure::NoHttp)?;
    if status.as_u16() < 400 {
        Ok(status)
    } else {
        Err(ProbeFailure::Status(status))
    }
}

/// A connection that this program has taken, as far as the kernel tells.
async fn connect(program: &ProgramFacts, address: SocketAddr) -> Result<TcpStream, ProbeFailure> {
    let source = SocketAddr::new(probe_source(program.slot).into(), 0);
    let refused = |error| ProbeFailure::Connect(address, error);
    for _ in 0..MOST_CONNECTIONS {
        let socket = TcpSocket::new_v4().map_err(refused)?;
        socket.bind(source).map_err(refused)?;
        let connection = socket.connect(address).await.map_err(refused)?;
        let client = connection.local_addr().map_err(refused)?;
        if is_taken_by_program(program.pid, address, client).await {
            return Ok(connection);
        }
    }
    Err(ProbeFailure::TakenByOthers)
}

/// Waits until somebody has taken the connection. Where the kernel does not tell who, it counts as taken by
/// the program, or a program that may not be looked at could never be probed.
///
/// The kernel's table may have a hundred thousand rows, so it is read in a thread of its own, and at most
/// half of the time.
async fn is_taken_by_program(pid: i32, address: SocketAddr, client: SocketAddr) -> bool {
    let mut pause = FIRST_PAUSE;
    loop {
        let asked = Instant::now();
        let taken = spawn_blocking(move || taken_by(pid, address, client)).await;
        match taken.unwrap_or(TakenBy::Unknown) {
            TakenBy::Nobody => sleep(pause.max(asked.elapsed())).await,
            TakenBy::Program | TakenBy::Unknown => return true,
            TakenBy::Another => return false,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn ask(
    connection: TcpStream,
    address: SocketAddr,
    path: &HttpPath,
) -> Result<StatusCode, hyper::Error> {
    let (mut sender, driver) = http1::Builder::new()
        .max_buf_size(MOST_HEAD_BYTES)
        .handshake(TokioIo::new(connection))
        .await?;
    let request = http::Request::get(path.as_str())
        .header(http::header::HOST, address.to_string())
        .header(http::header::USER_AGENT, "cluster-probe")
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .expect("a configured path is one of HTTP");
    let answer = sender.send_request(request);
    tokio::pin!(driver, answer);
    // The connection ends with this function: nobody reads the body.
    tokio::select! {
        biased;
        answer = &mut answer => Ok(answer?.status()),
        ended = &mut driver => {
            ended?;
            Ok(answer.await?.status())
        }
    }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
