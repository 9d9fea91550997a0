//! A client that sees every byte, every close and every reset.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Lower-case lines.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    /// The `code` of a problem document.
    pub(crate) fn code(&self) -> String {
        assert!(
            self.head.contains("content-type: application/problem+json"),
            "{self:?}"
        );
        let document: serde_json::Value = serde_json::from_str(&self.body).expect("a problem document");
        assert_eq!(document["status"], self.status, "{self:?}");
        document["code"].as_str().expect("a code").to_owned()
    }

    pub(crate) fn closes(&self) -> bool {
        self.head.contains("connection: close")
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("connected");
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("set");
        Client {
            stream: BufReader::new(stream),
        }
    }

    /// Has the kernel take little for this client, however much it would take for others.
    pub(crate) fn takes_little(&self) {
        let socket = socket2::SockRef::from(self.stream.get_ref());
        socket.set_recv_buffer_size(64 * 1024).expect("set");
    }

    pub(crate) fn send(&mut self, bytes: &str) {
        self.write(bytes.as_bytes());
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("written");
    }

    /// Says that nothing more will be said; answers are still read.
    pub(crate) fn say_no_more(&self) {
        let stream = self.stream.get_ref();
        stream.shutdown(std::net::Shutdown::Write).expect("shut down");
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.response().expect("an answer")
    }

    pub(crate) fn post(&mut self, path: &str, body: &str) -> Response {
        let length = body.len();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        self.response().expect("an answer")
    }

    pub(crate) fn response(&mut self) -> io::Result<Response> {
        let head = self.head()?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let status = head[9..12].parse().map_err(io::Error::other)?;
        Ok(Response {
            status,
            head,
            body: String::from_utf8(body).map_err(io::Error::other)?,
        })
    }

    fn head(&mut self) -> io::Result<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head)? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("closed after {head:?}"),
                ));
            }
        }
        Ok(head.to_lowercase())
    }

    /// The bytes as they come.
    pub(crate) fn stream(&mut self) -> &mut impl Read {
        &mut self.stream
    }

    /// What comes until the other side closes; a reset is an error.
    pub(crate) fn rest(&mut self) -> io::Result<String> {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).map(|_| rest)
    }
}
