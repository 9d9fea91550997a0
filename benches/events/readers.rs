//! Readers of events: one that follows pages, one that follows a stream, and a thousand streams that are only
//! drained.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use serde_json::Value;

use crate::orders::ask;

const CONFIRMED: &str = "types=shop.order.confirmed.v1";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n")
}

/// The position behind all events.
pub(crate) fn now(address: SocketAddr) -> Result<String, String> {
    let asked = ask(&mut None, address, &get("/events?after=now"));
    let (_, body) = asked.map_err(|error| error.to_string())?;
    let page: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
    page["next"].as_str().map(str::to_owned).ok_or(body)
}

/// Follows the pages from a position; the orders in the order of their events.
pub(crate) fn follow_pages(address: SocketAddr, from: &str, is_done: impl Fn(usize) -> bool) -> Vec<String> {
    let (mut position, mut seen, mut connection) = (from.to_owned(), Vec::new(), None);
    while !is_done(seen.len()) {
        let request = get(&format!(
            "/events?{CONFIRMED}&limit=1000&wait=500ms&after={position}"
        ));
        let Ok((200, body)) = ask(&mut connection, address, &request) else {
            connection = None;
            continue;
        };
        let page: Value = serde_json::from_str(&body).unwrap_or_default();
        let items = page["items"].as_array().into_iter().flatten();
        seen.extend(items.filter_map(|item| Some(item["subject"].as_str()?.to_owned())));
        if let Some(next) = page["next"].as_str() {
            next.clone_into(&mut position);
        }
    }
    seen
}

/// Follows the stream from a position, over as many connections as it takes; when each order's event was
/// first seen.
pub(crate) fn follow_stream(
    address: SocketAddr,
    from: &str,
    is_done: impl Fn(&BTreeMap<String, Instant>) -> bool,
) -> BTreeMap<String, Instant> {
    let (mut last_id, mut seen) = (from.to_owned(), BTreeMap::new());
    while !is_done(&seen) {
        let Ok(mut lines) = open(address, &format!("Last-Event-ID: {last_id}\r\n")).map(BufReader::new)
        else {
            continue;
        };
        let (mut line, mut id) = (Vec::new(), None);
        while !is_done(&seen) {
            match lines.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(_) => break,
            }
            let at = Instant::now();
            let text = String::from_utf8_lossy(&line);
            if let Some(found) = text.strip_prefix("id: ") {
                id = Some(found.trim().to_owned());
            } else if let Some(data) = text.strip_prefix("data: ") {
                let event: Value = serde_json::from_str(data).unwrap_or_default();
                seen.entry(event["subject"].as_str().unwrap_or_default().to_owned())
                    .or_insert(at);
            } else if text.trim().is_empty()
                && let Some(told) = id.take()
            {
                last_id = told;
            }
            line.clear();
        }
    }
    seen
}

fn open(address: SocketAddr, header: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    let request = format!(
        "GET /events?{CONFIRMED}&after=now HTTP/1.1\r\nHost: bench\r\n\
         Accept: text/event-stream\r\n{header}\r\n"
    );
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}

/// Streams that are drained by one thread, except for some that nobody reads.
pub(crate) struct Streams {
    stop: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
    _stuck: Vec<TcpStream>,
}

impl Streams {
    pub(crate) fn open(address: SocketAddr, many: usize, stuck: usize) -> Result<Streams, String> {
        let opened = (0..many)
            .map(|_| open(address, ""))
            .collect::<Result<Vec<_>, _>>();
        let mut opened = opened.map_err(|error| format!("a stream could not be opened: {error}"))?;
        let unread = opened.split_off(opened.len() - stuck.min(opened.len()));
        let (stop, bytes) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let thread = std::thread::spawn({
            let (stop, bytes) = (Arc::clone(&stop), Arc::clone(&bytes));
            move || drain(opened, &stop, &bytes)
        });
        Ok(Streams {
            stop,
            bytes,
            thread: Some(thread),
            _stuck: unread,
        })
    }

    /// How many bytes were read.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn drain(mut streams: Vec<TcpStream>, stop: &AtomicBool, bytes: &AtomicU64) {
    let Ok(epoll) = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC) else {
        return;
    };
    for (at, stream) in streams.iter().enumerate() {
        let _ = stream.set_nonblocking(true);
        let _ = epoll.add(stream, EpollEvent::new(EpollFlags::EPOLLIN, at as u64));
    }
    let mut scratch = vec![0; 256 * 1024];
    let mut ready = vec![EpollEvent::empty(); 256];
    while !stop.load(Ordering::Relaxed) {
        let found = epoll.wait(&mut ready, EpollTimeout::from(100_u16)).unwrap_or(0);
        for event in &ready[..found] {
            let at = usize::try_from(event.data()).unwrap_or(0);
            match streams[at].read(&mut scratch) {
                Ok(0) => {
                    let _ = epoll.delete(&streams[at]);
                }
                Ok(read) => {
                    bytes.fetch_add(read as u64, Ordering::Relaxed);
                }
                Err(_) => {}
            }
        }
    }
}

/// How often the workers have read the events.
pub(crate) fn reads(address: SocketAddr) -> Result<u64, String> {
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .map_err(|error| error.to_string())?;
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("shop_events_reads_total "));
    value
        .and_then(|value| value.trim().parse().ok())
        .ok_or_else(|| "the metrics have no shop_events_reads_total".to_owned())
}
