//! A listener borrowed from the master, and the streams that come out of it. It must not know what is done with them.

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

use crate::sys::socket;
use crate::sys::watch::watch;

/// A borrowed listener. The socket behind it stays open in the master when this one is dropped.
#[derive(Debug)]
pub(in crate::worker) struct Listener {
    socket: AsyncFd<OwnedFd>,
    family: Family,
}

/// That a queue was said to hold somebody.
pub(in crate::worker) type Readiness<'listener> = AsyncFdReadyGuard<'listener, OwnedFd>;

#[derive(Clone, Copy, Debug)]
enum Family {
    Tcp,
    Unix,
}

impl Listener {
    /// Takes over an inherited descriptor. Its O_NONBLOCK flag is shared with everyone who ever held it, so it is set again.
    /// To be called inside the runtime.
    pub(in crate::worker) fn new(fd: OwnedFd) -> io::Result<Listener> {
        let socket = SockRef::from(&fd);
        socket.set_nonblocking(true)?;
        let family = if socket.domain()? == Domain::UNIX {
            Family::Unix
        } else {
            // Connections inherit both from their listener, which costs none of them a system call.
            socket.set_tcp_nodelay(true)?;
            socket.set_tcp_keepalive(&keepalive())?;
            Family::Tcp
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

    /// What the runtime knows about the queue, for [`Listener::forget`]; returns at once after a failed accept.
    pub(in crate::worker) async fn readiness(&self) -> io::Result<Readiness<'_>> {
        self.socket.readable().await
    }

    /// The queue was seen empty after this was known.
    pub(in crate::worker) fn forget(&self, readiness: io::Result<Readiness<'_>>) {
        if let Ok(mut readiness) = readiness {
            readiness.clear_ready();
        }
    }

    fn stream(&self, socket: Socket, peer: Option<SocketAddr>) -> io::Result<Stream> {
        socket.set_nonblocking(true)?;
        let pipe = match self.family {
            Family::Tcp => Pipe::Tcp(TcpStream::from_std(socket.into())?),
            Family::Unix => Pipe::Unix(UnixStream::from_std(socket.into())?),
        };
        Ok(Stream { pipe, peer })
    }
}

/// A peer that is gone without a word (its machine, its cable) is noticed after two minutes at the latest, even while nothing
/// is to be said to it.
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10))
        .with_retries(6)
}

/// One accepted connection's bytes.
#[derive(Debug)]
pub(in crate::worker) struct Stream {
    pipe: Pipe,
    /// Who is at the other end; nobody can say on a unix socket.
    pub(in crate::worker) peer: Option<SocketAddr>,
}

#[derive(Debug)]
enum Pipe {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Writes what the kernel takes at once, for answers to those who are not let in. The runtime is not asked, because it
    /// does not know yet that a new connection can be written to.
    pub(in crate::worker) fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket().send(bytes)
    }

    /// Reads what the kernel has now, whatever the runtime knows. Nothing read is the end of the stream.
    pub(in crate::worker) fn read_now(&self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let mut socket = &*self.socket();
        let read = socket.read(buf.initialize_unfilled())?;
        buf.advance(read);
        Ok(())
    }

    /// How many bytes the kernel holds that the client has not taken.
    pub(in crate::worker) fn unsent(&self) -> io::Result<usize> {
        socket::unsent(&*self.socket())
    }

    /// Ends with a reset and keeps nothing: the client takes nothing, and the kernel would hold the rest for it for minutes.
    pub(in crate::worker) fn abort(self) {
        // Where the kernel refuses, it is a plain close.
        let _plain = self.socket().set_linger(Some(Duration::ZERO));
    }

    fn socket(&self) -> SockRef<'_> {
        match &self.pipe {
            Pipe::Tcp(stream) => SockRef::from(stream),
            Pipe::Unix(stream) => SockRef::from(stream),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.pipe {
            Pipe::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Pipe::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.pipe {
            Pipe::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Pipe::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.pipe {
            Pipe::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Pipe::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.pipe {
            Pipe::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Pipe::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
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
        match &mut self.pipe {
            Pipe::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Pipe::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }
}
