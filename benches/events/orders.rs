//! Orders by many clients, each on a connection of its own that is kept: paced, or as fast as they are
//! answered.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long an answer may take before the request is repeated.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The ids of confirmed orders, and when each client had its 201.
pub(crate) type Confirmed = Vec<(String, Instant)>;

/// How orders are placed.
pub(crate) struct Load {
    address: SocketAddr,
    clients: u32,
    /// Orders per second of all clients; as fast as they are answered without it.
    rate: Option<u32>,
}

static KEYS: AtomicU64 = AtomicU64::new(0);

impl Load {
    pub(crate) fn paced(address: SocketAddr, rate: u32) -> Load {
        Load {
            address,
            clients: 32,
            rate: Some(rate),
        }
    }

    pub(crate) fn closed(address: SocketAddr, clients: u32) -> Load {
        Load {
            address,
            clients,
            rate: None,
        }
    }

    /// Places orders until it is told to stop.
    pub(crate) fn run(&self, stop: &AtomicBool) -> Confirmed {
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..self.clients)
                .map(|client| scope.spawn(move || self.client(client, stop)))
                .collect();
            clients
                .into_iter()
                .flat_map(|client| client.join().unwrap_or_default())
                .collect()
        })
    }

    fn client(&self, client: u32, stop: &AtomicBool) -> Confirmed {
        let pace = self.rate.map(|rate| Duration::from_secs(1) * self.clients / rate);
        let mut next = Instant::now() + pace.unwrap_or_default() * client / self.clients;
        let (mut confirmed, mut connection) = (Vec::new(), None);
        while !stop.load(Ordering::Relaxed) {
            if let Some(pace) = pace {
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                next += pace;
            }
            let request = order();
            // The key makes one order of all tries.
            loop {
                if let Ok((201, body)) = ask(&mut connection, self.address, &request) {
                    let at = Instant::now();
                    let id = serde_json::from_str::<serde_json::Value>(&body).unwrap_or_default()["id"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned();
                    confirmed.push((id, at));
                    break;
                }
                connection = None;
            }
        }
        confirmed
    }
}

fn order() -> String {
    let sku = crate::stores::sku(fastrand::u32(..crate::stores::SKUS));
    let (customer, key) = (fastrand::u32(..10_000), KEYS.fetch_add(1, Ordering::Relaxed));
    let items = format!(r#"[{{"sku":"{sku}","quantity":1}}]"#);
    let body =
        format!(r#"{{"customer_id":"c-{customer}","items":{items},"payment":{{"method":"pm_card_visa"}}}}"#);
    format!(
        "POST /orders HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
         Idempotency-Key: e-{key}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// One request on a connection that is kept: status and body.
pub(crate) fn ask(
    kept: &mut Option<BufReader<TcpStream>>,
    address: SocketAddr,
    request: &str,
) -> io::Result<(u16, String)> {
    let connection = match kept {
        Some(connection) => connection,
        None => {
            let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_nodelay(true)?;
            kept.insert(BufReader::new(stream))
        }
    };
    connection.get_mut().write_all(request.as_bytes())?;
    let (mut status, mut length, mut line) = (0, 0, String::new());
    loop {
        line.clear();
        if connection.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            status = rest.get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        } else if let Some(rest) = line.strip_prefix("content-length: ") {
            length = rest.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
