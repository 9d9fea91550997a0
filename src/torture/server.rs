//! The PostgreSQL server that holds the databases of the tortured cluster: links to it that break right at a
//! `COMMIT`, and restarts. Knows of the protocol only how a `COMMIT` looks.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A simple query `COMMIT`, as the protocol has it (message `Q`).
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// The server, and the links to it.
pub(super) struct TorturedServer {
    url: String,
    links: Arc<Links>,
    restart: Option<String>,
}

/// Cuts that are to be made, and cuts that were.
#[derive(Default)]
struct Links {
    wanted: AtomicU32,
    made: AtomicU32,
}

impl TorturedServer {
    /// Listens on the loopback and leads on to the server that the URL names. `restart` is a command that
    /// restarts it, and takes `fast` or `immediate` as its last word.
    pub(super) fn new(url: &str, restart: Option<String>) -> Result<TorturedServer, String> {
        let unreadable =
            || format!("{url:?} names no server, expected postgres://user@host:port/name_{{service}}");
        let (before, rest) = url.split_once('@').ok_or_else(unreadable)?;
        let (authority, database) = rest.split_once('/').ok_or_else(unreadable)?;
        if !database.contains("{service}") {
            return Err(unreadable());
        }
        let with_port = match authority.contains(':') {
            true => authority.to_owned(),
            false => format!("{authority}:5432"),
        };
        let mut resolved = with_port
            .to_socket_addrs()
            .map_err(|error| format!("{with_port}: {error}"))?;
        let server = resolved.next().ok_or_else(unreadable)?;
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let links = Arc::new(Links::default());
        let shared = Arc::clone(&links);
        std::thread::spawn(move || shared.serve(&listener, server));
        Ok(TorturedServer {
            url: format!("{before}@{address}/{database}"),
            links,
            restart,
        })
    }

    /// The URL of the databases by way of the links.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Cuts the link on which the next `COMMIT` comes: in turn right before it is sent on, and when it was
    /// carried out, before its answer.
    pub(super) fn cut(&self) {
        self.links.wanted.fetch_add(1, Ordering::Relaxed);
    }

    /// How many links were cut.
    pub(super) fn cuts(&self) -> u32 {
        self.links.made.load(Ordering::Relaxed)
    }

    /// Restarts the server so many times, evenly until the end: in turn `fast` and `immediate`, which is a
    /// crash. How often it was done.
    pub(super) fn restart(&self, times: u32, began: Instant, duration: Duration) -> Result<u32, String> {
        let Some(restart) = self.restart.as_ref().filter(|_| times > 0) else {
            return Ok(0);
        };
        for number in 1..=times {
            let due = began + duration * number / (times + 1);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let mode = if number % 2 == 1 { "immediate" } else { "fast" };
            let restarted = Command::new("sh")
                .args(["-c", &format!("{restart} {mode}")])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            match restarted {
                Ok(status) if status.success() => {}
                ended => return Err(format!("`{restart} {mode}` ended with {ended:?}")),
            }
        }
        Ok(times)
    }
}

impl Links {
    fn serve(self: Arc<Links>, listener: &TcpListener, server: SocketAddr) {
        for client in listener.incoming().flatten() {
            let links = Arc::clone(&self);
            std::thread::spawn(move || {
                // A client of a server that is away finds its connection closed.
                if let Ok(server) = TcpStream::connect(server) {
                    links.lead(&client, &server);
                }
            });
        }
    }

    /// Leads one connection until either side ends it, or it is cut.
    fn lead(&self, client: &TcpStream, server: &TcpStream) {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let swallows = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pass(server, |answer| {
                    !swallows.load(Ordering::Acquire) && sent(client, answer)
                });
                end(client, server);
            });
            pass(client, |bytes| match self.cut_at(bytes) {
                None => sent(server, bytes),
                // The COMMIT never comes.
                Some((at, false)) => {
                    sent(server, &bytes[..at]);
                    false
                }
                // It does, and ends the link with its answer.
                Some((_, true)) => {
                    swallows.store(true, Ordering::Release);
                    sent(server, bytes)
                }
            });
            end(client, server);
        });
    }

    /// Where the `COMMIT` begins at which the link is to be cut, and whether it is sent on before.
    fn cut_at(&self, bytes: &[u8]) -> Option<(usize, bool)> {
        let at = bytes.windows(COMMIT.len()).position(|window| window == COMMIT)?;
        let take = |wanted: u32| wanted.checked_sub(1);
        self.wanted
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .ok()?;
        Some((at, self.made.fetch_add(1, Ordering::Relaxed) % 2 == 1))
    }
}

/// Reads from a stream until it ends or `forward` says so.
fn pass(mut from: &TcpStream, mut forward: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !forward(&buffer[..length]) {
            return;
        }
    }
}

fn sent(mut to: &TcpStream, bytes: &[u8]) -> bool {
    to.write_all(bytes).is_ok()
}

fn end(client: &TcpStream, server: &TcpStream) {
    let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_cut_before_the_commit_and_then_after_it() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://shop@{}/x_{{service}}", server.local_addr().unwrap());
        let tortured = TorturedServer::new(&url, None).unwrap();
        let address = tortured.url().split(['@', '/']).nth(3).unwrap().to_owned();
        let both = || {
            let client = TcpStream::connect(&address).unwrap();
            (client, server.accept().unwrap().0)
        };
        let received = |mut stream: &TcpStream| {
            let mut all = Vec::new();
            // A link that is cut may end with a reset.
            let _ = stream.read_to_end(&mut all);
            all
        };
        let (mut client, at_server) = both();
        tortured.cut();
        client.write_all(&[b"insert", COMMIT].concat()).unwrap();
        assert_eq!(received(&at_server), b"insert");
        assert!(received(&client).is_empty());
        let (mut client, mut at_server) = both();
        tortured.cut();
        client.write_all(COMMIT).unwrap();
        let mut commit = vec![0; COMMIT.len()];
        at_server.read_exact(&mut commit).unwrap();
        assert_eq!(commit, COMMIT);
        at_server.write_all(b"done").unwrap();
        assert!(received(&client).is_empty(), "the answer is lost");
        assert_eq!(tortured.cuts(), 2);
        let (mut client, mut at_server) = both();
        client.write_all(COMMIT).unwrap();
        at_server.write_all(b"done").unwrap();
        drop(at_server);
        assert_eq!(received(&client), b"done", "no cut was asked for");
    }

    #[test]
    fn a_url_without_a_server_is_refused() {
        for url in [
            "postgres:///a_{service}",
            "postgres://a@b",
            "postgres://a@127.0.0.1/shop",
        ] {
            assert!(TorturedServer::new(url, None).is_err(), "{url}");
        }
    }
}
