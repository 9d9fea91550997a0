//! The smallest HTTP client: one request, one connection, the status.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Sends one request on a connection of its own; the status of the answer.
pub(crate) fn ask(address: SocketAddr, request: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(request.as_bytes())?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let status = std::str::from_utf8(&head[9..])
        .ok()
        .and_then(|digits| digits.parse().ok());
    status.ok_or_else(|| io::Error::other("no status"))
}

/// A GET.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
}

/// One order.
pub(crate) fn order() -> String {
    let sku = crate::stores::sku(fastrand::u32(..crate::stores::SKUS));
    let items = format!(r#"[{{"sku":"{sku}","quantity":1}}]"#);
    let body = format!(r#"{{"customer_id":"c-1","items":{items},"payment":{{"method":"pm_card_visa"}}}}"#);
    let head =
        "POST /orders HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nContent-Type: application/json\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Asks until the answer has that status; how long that took.
pub(crate) fn until(
    address: SocketAddr,
    request: &str,
    status: u16,
    within: Duration,
) -> Result<Duration, String> {
    let began = Instant::now();
    let mut last = String::new();
    while began.elapsed() < within {
        match ask(address, request) {
            Ok(found) if found == status => return Ok(began.elapsed()),
            Ok(found) => last = format!("status {found}"),
            Err(error) => last = error.to_string(),
        }
        // Refused connections come back at once: a tenth of a millisecond is fine enough, and leaves the core
        // to the server.
        std::thread::sleep(Duration::from_micros(100));
    }
    Err(format!("no {status} within {within:?}; last: {last}"))
}
