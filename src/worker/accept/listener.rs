//! A listener borrowed from the master, and the streams of its connections. It must not know what is done
//! with them.

use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, TcpKeepalive};
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::config::Address;
use crate::sys::readiness::watch;
use crate::sys::socket;

/// A borrowed listener. The socket behind it stays open in the master when this one is dropped.
#[derive(Debug)]
pub(in crate::worker) struct Listener {
    socket: AsyncFd<OwnedFd>,
    family: SocketFamily,
}

/// The runtime's knowledge that a queue is not empty.
pub(in crate::worker) type Readiness<'listener> = AsyncFdReadyGuard<'listener, OwnedFd>;

#[derive(Clone, Copy, Debug)]
enum SocketFamily {
    Tcp,
    Unix,
}

impl Listener {
    /// Takes over an inherited descriptor. Its O_NONBLOCK flag is shared with every process that ever held
    /// it, so it is set again. To be called inside the runtime.
    pub(in crate::worker) fn new(fd: OwnedFd) -> io::Result<Listener> {
        let socket = SockRef::from(&fd);
        socket.set_nonblocking(true)?;
        let family = if socket.domain()? == Domain::UNIX {
            SocketFamily::Unix
        } else {
            // Connections inherit both from their listener, which costs none of them a system call.
            socket.set_tcp_nodelay(true)?;
            socket.set_tcp_keepalive(&keepalive())?;
            SocketFamily::Tcp
        };
        Ok(Listener {
            socket: watch(fd, Interest::READABLE)?,
            family,
        })
    }

    /// The next connection. Dropping the future loses none.
    pub(in crate::worker) async fn accept(&self) -> io::Result<Stream> {
        let (socket, peer) = self
            .socket
            .async_io(Interest::READABLE, |fd| SockRef::from(fd).accept())
            .await?;
        self.stream(socket, peer.as_socket())
    }

    /// The next connection that is in the queue now.
    pub(in crate::worker) fn accept_now(&self) -> io::Result<Option<Stream>> {
        let listener = SockRef::from(self.socket.get_ref());
        listener.set_nonblocking(true)?;
        match listener.accept() {
            Ok((socket, peer)) => self.stream(socket, peer.as_socket()).map(Some),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes down that the runtime believes the queue not empty, for [`Listener::forget`]. Returns at once
    /// after a failed accept.
    pub(in crate::worker) async fn readiness(&self) -> io::Result<Readiness<'_>> {
        self.socket.readable().await
    }

    /// The queue was seen empty after this was taken down.
    pub(in crate::worker) fn forget(&self, readiness: io::Result<Readiness<'_>>) {
        if let Ok(mut readiness) = readiness {
            readiness.clear_ready();
        }
    }

    /// Where it is bound; unknown when the kernel does not say so.
    pub(in crate::worker) fn address(&self) -> Option<Address> {
        let bound = SockRef::from(self.socket.get_ref()).local_addr().ok()?;
        let path = || bound.as_pathname().map(|path| Address::Unix(path.to_owned()));
        bound.as_socket().map(Address::Tcp).or_else(path)
    }

    fn stream(&self, socket: Socket, peer: Option<SocketAddr>) -> io::Result<Stream> {
        socket.set_nonblocking(true)?;
        let socket = match self.family {
            SocketFamily::Tcp => ClientSocket::Tcp(TcpStream::from_std(socket.into())?),
            SocketFamily::Unix => ClientSocket::Unix(UnixStream::from_std(socket.into())?),
        };
        Ok(Stream { socket, peer })
    }
}

/// A peer that disappears without a packet (its machine, its cable) is noticed after two minutes at the
/// latest, even while nothing is sent to it.
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10))
        .with_retries(6)
}

/// One accepted connection's bytes.
#[derive(Debug)]
pub(in crate::worker) struct Stream {
    socket: ClientSocket,
    /// The address of the client; unknown on a unix socket.
    pub(in crate::worker) peer: Option<SocketAddr>,
}

#[derive(Debug)]
enum ClientSocket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Writes what the kernel takes at once, for answers to clients that are refused. The runtime is not
    /// asked, because it does not know yet that a new connection can be written to.
    pub(in crate::worker) fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        self.as_socket().send(bytes)
    }

    /// Reads what the kernel has now, whatever the runtime knows. If nothing is read, the stream has ended.
    pub(in crate::worker) fn read_now(&self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let mut socket = &*self.as_socket();
        let read = socket.read(buf.initialize_unfilled())?;
        buf.advance(read);
        Ok(())
    }

    /// The number of bytes that the kernel holds and the client has not taken.
    pub(in crate::worker) fn unsent(&self) -> io::Result<usize> {
        socket::unsent(&*self.as_socket())
    }

    /// Ends the connection with a reset. The client takes nothing, and the kernel would hold the rest for it
    /// for minutes.
    pub(in crate::worker) fn abort(self) {
        // Where the kernel refuses, it is a plain close.
        let _plain = self.as_socket().set_linger(Some(Duration::ZERO));
    }

    fn as_socket(&self) -> SockRef<'_> {
        match &self.socket {
            ClientSocket::Tcp(stream) => SockRef::from(stream),
            ClientSocket::Unix(stream) => SockRef::from(stream),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.socket {
            ClientSocket::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            ClientSocket::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            ClientSocket::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            ClientSocket::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            ClientSocket::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            ClientSocket::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            ClientSocket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            ClientSocket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            ClientSocket::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            ClientSocket::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }
}
