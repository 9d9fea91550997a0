//! The smallest HTTP client: one request per connection. It is written by hand, so that the server is not
//! tested with its own library.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long the client waits for a connection and for each part of an answer.
pub(super) const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// A complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HttpAnswer {
    pub(super) status: u16,
    pub(super) body: String,
}

pub(super) fn get(address: SocketAddr, path: &str) -> io::Result<HttpAnswer> {
    receive(send(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: torture\r\nConnection: close\r\n\r\n"),
    )?)
}

pub(super) fn post(address: SocketAddr, path: &str, key: &str, body: &str) -> io::Result<HttpAnswer> {
    receive(send(address, &order(path, key, body))?)
}

/// Sends a request and closes the connection before the answer.
pub(super) fn post_and_leave(address: SocketAddr, path: &str, key: &str, body: &str) {
    // Any outcome is allowed.
    drop(send(address, &order(path, key, body)));
}

pub(super) fn patch(address: SocketAddr, path: &str, body: &str) -> io::Result<HttpAnswer> {
    receive(send(address, &with_body("PATCH", path, "", body))?)
}

fn order(path: &str, key: &str, body: &str) -> String {
    with_body("POST", path, &format!("Idempotency-Key: {key}\r\n"), body)
}

fn with_body(method: &str, path: &str, header: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: torture\r\nConnection: close\r\n{header}\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

pub(super) fn send(address: SocketAddr, request: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, HTTP_TIMEOUT)?;
    stream.set_read_timeout(Some(HTTP_TIMEOUT))?;
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}

fn receive(mut stream: TcpStream) -> io::Result<HttpAnswer> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is incomplete"))
}

/// Parses a complete answer with a `Content-Length`; `None` for an incomplete one.
fn parse(text: &str) -> Option<HttpAnswer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    })?;
    (body.len() == length).then(|| HttpAnswer {
        status,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_answer_is_none() {
        let whole = "HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}";
        let answer = parse(whole).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (201, "{}"));
        for cut in 0..whole.len() {
            assert_eq!(parse(&whole[..cut]), None, "{cut}");
        }
    }
}
