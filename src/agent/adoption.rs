//! Serves the accept queues of slots that have no worker. Only its own program can answer, so each connection
//! is copied, byte by byte, to a new connection to the same address, which the kernel steers to a slot that
//! serves. The program sees this machine as the client then.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};

use crate::base::ids::Slot;
use crate::sys::socket;
use crate::worker::AdoptionRequest;

/// The most connections that are copied at once; further ones wait in their queue.
const MAX_COPIED: usize = 1024;

/// The most connections that are passed on from one queue that a program has left.
const MAX_PASSED_ON: usize = 64;

/// How long a queue waits for a program of its own, in milliseconds.
const PATIENCE: u16 = 1_000;

/// How long a handshake may take that had begun when a queue was left.
const HANDSHAKE: Duration = Duration::from_secs(1);

/// The queues that are served. Dropping a value of the map ends the threads of that slot.
#[derive(Debug)]
pub(super) struct AdoptedQueues {
    slots: BTreeMap<Slot, Vec<UnixStream>>,
    permits: Arc<Semaphore>,
}

impl AdoptedQueues {
    pub(super) fn new() -> AdoptedQueues {
        AdoptedQueues {
            slots: BTreeMap::new(),
            permits: Arc::new(Semaphore::new(MAX_COPIED)),
        }
    }

    /// Does what the master wants.
    pub(super) fn handle(&mut self, request: AdoptionRequest) {
        match request {
            AdoptionRequest::Adopt(slot, listeners) => {
                tracing::debug!(%slot, listeners = listeners.len(), "serving another slot's queue");
                for listener in listeners {
                    match serve(listener, Arc::clone(&self.permits)) {
                        Ok(running) => self.slots.entry(slot).or_default().push(running),
                        Err(error) => tracing::warn!(
                            %error,
                            "another slot's queue cannot be served: it is left to the next worker of that slot"
                        ),
                    }
                }
            }
            AdoptionRequest::Disown(slot) => drop(self.slots.remove(&slot)),
        }
    }

    /// Passes on what waits in the queue of a listener to those who listen at its address: what is there now,
    /// and what was being connected. Nothing new comes to it.
    pub(super) fn empty(&mut self, listener: OwnedFd) {
        // What waits there may come back to this very queue, when the others have left the address, too.
        let permits = Arc::new(Semaphore::new(MAX_PASSED_ON));
        if let Err(error) = empty(listener, permits) {
            tracing::warn!(%error, "connections wait in a queue that the program has closed");
        }
    }

    /// Serves no other queue any more; what was accepted is finished.
    pub(super) fn end(&mut self) {
        self.slots.clear();
    }

    /// Waits until no connection is copied any more, at most for this long.
    pub(super) async fn finished(&self, at_most: Duration) {
        let all = u32::try_from(MAX_COPIED).unwrap_or(u32::MAX);
        let _in_time = tokio::time::timeout(at_most, self.permits.acquire_many(all)).await;
    }
}

/// Accepts in a thread of its own: whether an accept may block is a flag of the listener, which the next
/// program of the slot may change at any time.
fn serve(listener: OwnedFd, permits: Arc<Semaphore>) -> io::Result<UnixStream> {
    let address = reachable(socket::local_address(&listener)?);
    let (running, ended) = UnixStream::pair()?;
    let (sender, accepted) = mpsc::channel(1);
    std::thread::Builder::new()
        .name("adopted-queue".to_owned())
        .spawn(move || accept(&listener, &ended, &sender))?;
    tokio::spawn(copy_all(accepted, address, permits));
    Ok(running)
}

/// A handshake that had begun ends within a second, or its client tries again, and comes elsewhere.
fn empty(listener: OwnedFd, permits: Arc<Semaphore>) -> io::Result<()> {
    // A path has one queue, from which all others take.
    let Ok(address) = socket::local_address(&listener) else {
        return Ok(());
    };
    let (sender, accepted) = mpsc::channel(1);
    std::thread::Builder::new()
        .name("left-queue".to_owned())
        .spawn(move || accept_for(HANDSHAKE, &listener, &sender))?;
    tokio::spawn(copy_all(accepted, reachable(address), permits));
    Ok(())
}

/// Where clients on this machine reach a listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Accepts until the other end of `ended` is closed, then what is in the queue by then. A queue that is taken
/// back at once is left alone: its next program is being started.
fn accept(listener: &OwnedFd, ended: &UnixStream, accepted: &mpsc::Sender<std::net::TcpStream>) {
    let mut end = [PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
    if nix::poll::poll(&mut end, PATIENCE).is_ok_and(|ready| ready > 0) {
        return;
    }
    loop {
        let mut fds = [
            PollFd::new(listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(ended.as_fd(), PollFlags::POLLIN),
        ];
        if nix::poll::poll(&mut fds, PollTimeout::NONE).is_err() {
            continue;
        }
        let [queue, end] = fds.map(|fd| fd.any().unwrap_or(false));
        if end {
            return accept_waiting(listener, accepted);
        }
        if !queue {
            continue;
        }
        match SockRef::from(listener).accept() {
            Ok((socket, _)) => {
                if accepted.blocking_send(socket.into()).is_err() {
                    return;
                }
            }
            // The next program of the slot was faster, or the client has gone.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if crate::sys::limits::is_exhaustion(&error) => {
                tracing::warn!(%error, "another slot's queue is not served any more");
                return;
            }
            Err(_) => {}
        }
    }
}

/// Accepts what is in the queue or comes within this time.
fn accept_for(time: Duration, listener: &OwnedFd, accepted: &mpsc::Sender<std::net::TcpStream>) {
    let until = std::time::Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(std::time::Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        match nix::poll::poll(&mut fds, left) {
            Ok(0) => return,
            Ok(_) => {}
            Err(_) => continue,
        }
        if let Ok((socket, _)) = SockRef::from(listener).accept()
            && accepted.blocking_send(socket.into()).is_err()
        {
            return;
        }
    }
}

/// Accepts what is in the queue by now, and no more: under load there is always a next one.
fn accept_waiting(listener: &OwnedFd, accepted: &mpsc::Sender<std::net::TcpStream>) {
    let waiting = socket::accept_queue(listener).unwrap_or(0);
    for _ in 0..waiting {
        let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        let is_there = nix::poll::poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0);
        let Some(Ok((socket, _))) = is_there.then(|| SockRef::from(listener).accept()) else {
            return;
        };
        if accepted.blocking_send(socket.into()).is_err() {
            return;
        }
    }
}

async fn copy_all(
    mut accepted: mpsc::Receiver<std::net::TcpStream>,
    address: SocketAddr,
    permits: Arc<Semaphore>,
) {
    while let Some(client) = accepted.recv().await {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        tokio::spawn(async move {
            if let Err(error) = copy(client, address).await {
                tracing::debug!(%error, %address, "a connection of another slot's queue ended early");
            }
            drop(permit);
        });
    }
}

async fn copy(client: std::net::TcpStream, address: SocketAddr) -> io::Result<()> {
    client.set_nonblocking(true)?;
    let mut client = TcpStream::from_std(client)?;
    let mut program = TcpStream::connect(address).await?;
    tokio::io::copy_bidirectional(&mut client, &mut program)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn a_listener_of_all_addresses_is_reached_by_the_loopback() {
        let reach = |text: &str| reachable(text.parse().expect("an address")).to_string();
        assert_eq!(reach("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(reach("[::]:80"), "[::1]:80");
        assert_eq!(reach("192.0.2.1:80"), "192.0.2.1:80");
    }

    #[tokio::test]
    async fn what_waits_in_a_queue_is_copied_to_who_serves() {
        // The listener of the slot without a worker, and the one to which its address leads.
        let any = "127.0.0.1:0".parse().expect("an address");
        let (dead, serving) = (
            socket::listen(any).expect("bound"),
            TcpListener::bind(any).expect("bound"),
        );
        let address = socket::local_address(&dead).expect("an address");
        let mut client = TcpStream::connect(address).await.expect("connected");
        client.write_all(b"hello").await.expect("written");
        let (ended, accepted) = (UnixStream::pair().expect("a pair"), mpsc::channel(1));
        let (sender, receiver) = accepted;
        let thread = std::thread::spawn(move || accept(&dead, &ended.1, &sender));
        let leads_to = serving.local_addr().expect("an address");
        tokio::spawn(copy_all(receiver, leads_to, Arc::new(Semaphore::new(1))));
        serving.set_nonblocking(true).expect("set");
        let serving = tokio::net::TcpListener::from_std(serving).expect("watched");
        let (mut copied, _) = serving.accept().await.expect("accepted");
        let mut text = [0; 5];
        copied.read_exact(&mut text).await.expect("read");
        assert_eq!(&text, b"hello");
        copied.write_all(b"world").await.expect("written");
        client.read_exact(&mut text).await.expect("read");
        assert_eq!(&text, b"world");
        drop(ended.0);
        tokio::task::spawn_blocking(|| thread.join().expect("ended"))
            .await
            .expect("joined");
    }
}
