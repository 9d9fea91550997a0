//! The socket of a connection that has switched to another protocol, as the application and the
//! connection's own task share it. The application may use it on any thread. It must not know what is
//! decided about the connection.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::worker::accept::listener::Stream;

/// The application's end. Dropping it closes the connection.
#[derive(Debug)]
pub(in crate::worker) struct ApplicationEnd(Arc<UpgradedSocket>);

impl ApplicationEnd {
    pub(in crate::worker) fn new(socket: Arc<UpgradedSocket>) -> ApplicationEnd {
        ApplicationEnd(socket)
    }

    pub(in crate::worker) fn lock(&self) -> MutexGuard<'_, SharedSocket> {
        self.0.lock()
    }
}

impl Drop for ApplicationEnd {
    fn drop(&mut self) {
        let mut shared = self.0.lock();
        shared.is_given_up = true;
        shared.task.wake_by_ref();
    }
}

/// The socket of an upgraded connection.
#[derive(Debug)]
pub(in crate::worker) struct UpgradedSocket {
    shared: Mutex<SharedSocket>,
}

#[derive(Debug)]
pub(in crate::worker) struct SharedSocket {
    /// Absent once the connection's task has taken it to close it.
    stream: Option<Stream>,
    /// Bytes that the client sent behind its request, before it had the answer.
    early: Vec<u8>,
    /// The task of the connection.
    task: Waker,
    /// Who waits for bytes of the client, and who for room: they are told when the stream is taken.
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The kernel takes no more bytes for the client.
    is_blocked: bool,
    /// The client has closed its side.
    has_ended: bool,
    /// The application has dropped its end.
    is_given_up: bool,
}

/// Keeps the waker up to date, without cloning the same one again.
fn keep(place: &mut Option<Waker>, waker: &Waker) {
    match place {
        Some(known) => known.clone_from(waker),
        None => *place = Some(waker.clone()),
    }
}

/// What the application meets once the stream was taken.
pub(in crate::worker) fn was_cut() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "the worker has cut this connection",
    )
}

impl SharedSocket {
    /// The number of bytes that the kernel holds for the client, while it takes no more for it. A client
    /// that has taken everything keeps nobody waiting, also when the application gave its write up.
    pub(in crate::worker) fn blocked_bytes(&mut self) -> Option<usize> {
        let unsent = self.stream.as_ref().and_then(|stream| stream.unsent().ok());
        let unsent = unsent.filter(|_| self.is_blocked).unwrap_or(0);
        self.is_blocked = unsent > 0;
        self.is_blocked.then_some(unsent)
    }

    pub(in crate::worker) fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    pub(in crate::worker) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_shutdown(cx),
            None => Poll::Ready(Err(was_cut())),
        }
    }

    pub(in crate::worker) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Err(was_cut()));
        };
        if !self.early.is_empty() {
            let many = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early[..many]);
            self.early.drain(..many);
            self.early.shrink_to_fit();
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(stream).poll_read(cx, buf);
        match read {
            Poll::Pending => keep(&mut self.reader, cx.waker()),
            Poll::Ready(_) => self.has_ended |= buf.filled().len() == before && buf.remaining() > 0,
        }
        read
    }

    /// Writes, and tells the connection's task when the client begins to take nothing, and when it goes on.
    pub(in crate::worker) fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut Stream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Err(was_cut()));
        };
        let written = write(Pin::new(stream), cx);
        if written.is_pending() {
            keep(&mut self.writer, cx.waker());
        }
        if self.is_blocked != written.is_pending() {
            self.is_blocked = written.is_pending();
            self.task.wake_by_ref();
        }
        written
    }
}

impl UpgradedSocket {
    pub(in crate::worker) fn new(stream: Stream, early: Vec<u8>, task: Waker) -> UpgradedSocket {
        let shared = SharedSocket {
            stream: Some(stream),
            early,
            task,
            reader: None,
            writer: None,
            is_blocked: false,
            has_ended: false,
            is_given_up: false,
        };
        UpgradedSocket {
            shared: Mutex::new(shared),
        }
    }

    /// Takes the stream away from the application, which is told when it waits. Whether the client had
    /// closed its side.
    pub(in crate::worker) fn take(&self) -> Option<(Stream, bool)> {
        let mut shared = self.lock();
        let stream = shared.stream.take();
        let waiting = [shared.reader.take(), shared.writer.take()];
        let has_ended = shared.has_ended;
        drop(shared);
        waiting.into_iter().flatten().for_each(Waker::wake);
        Some((stream?, has_ended))
    }

    /// Nobody holds the lock for longer than one system call.
    pub(in crate::worker) fn lock(&self) -> MutexGuard<'_, SharedSocket> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
