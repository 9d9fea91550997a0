//! The IPC channel and the beats of one program: what it says becomes events, and what it is answered goes
//! out without ever blocking. It does not know who starts the program.

use std::future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::stat::fstat;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

use super::line::{LineTooLong, NodeLines};
use super::outbox::Outbox;
use super::reply::{self, ReplyLine};
use super::request::{ListenTarget, NodeRequestId};
use super::session::{NodeEnd, NodeEvent, NodeFault, NodeSession};
use crate::sys::readiness;

/// How many bytes are read at once.
const READ_BYTES: usize = 16 << 10;

/// What the program is given.
#[derive(Debug)]
pub struct NodeDescriptors {
    /// Its end of the channel.
    pub channel: OwnedFd,
    /// The eventfd to which it writes its beats.
    pub beats: OwnedFd,
    /// The inode of [`channel`](NodeDescriptors::channel), by which the preload knows it again.
    pub channel_inode: u64,
}

/// Our end of the channel of one program.
#[derive(Debug)]
pub struct NodeChannel {
    session: NodeSession,
    lines: NodeLines,
    outbox: Outbox,
    /// None after its end.
    stream: Option<UnixStream>,
    /// An end that was found while something was sent, to be told.
    ended: Option<NodeEnd>,
    /// None when it failed.
    beats: Option<AsyncFd<OwnedFd>>,
    buffer: Box<[u8]>,
    /// That a line was too long is told once.
    told_too_long: bool,
}

impl NodeChannel {
    /// Makes a channel and what the program is to be given of it. To be called inside a runtime.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn new() -> io::Result<(NodeChannel, NodeDescriptors)> {
        let (stream, theirs) = UnixStream::pair()?;
        let theirs = theirs.into_std()?;
        theirs.set_nonblocking(false)?;
        let beats: OwnedFd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?.into();
        let descriptors = NodeDescriptors {
            channel_inode: fstat(&theirs)?.st_ino,
            channel: theirs.into(),
            beats: beats.try_clone()?,
        };
        let channel = NodeChannel {
            session: NodeSession::default(),
            lines: NodeLines::default(),
            outbox: Outbox::default(),
            stream: Some(stream),
            ended: None,
            beats: Some(readiness::watch(beats, Interest::READABLE)?),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            told_too_long: false,
        };
        Ok((channel, descriptors))
    }

    /// Waits for what the program does next. It may be dropped at any time and called again: nothing is lost.
    /// After [`NodeEvent::End`], which comes once, only beats come, if any.
    pub async fn next(&mut self) -> NodeEvent {
        loop {
            // A program that never stops talking must not keep the runtime from its other tasks.
            tokio::task::coop::consume_budget().await;
            if let Some(event) = self.step() {
                return event;
            }
            if self.wait().await {
                return NodeEvent::Beat;
            }
        }
    }

    /// Whether the channel has not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// What the program listens on, as it was granted and not closed yet.
    pub fn held(&self) -> impl Iterator<Item = &ListenTarget> {
        self.session.held()
    }

    /// Answers a request with a listener. False when the request is not open any more.
    pub fn grant(&mut self, request: NodeRequestId, listener: OwnedFd) -> bool {
        self.session.grant(request).is_some_and(|line| {
            let pushed = self.outbox.push_listener(line, listener);
            self.judge(pushed);
            true
        })
    }

    /// Answers a request with an error number, which the server's `error` event carries. False when the
    /// request is not open any more.
    pub fn refuse(&mut self, request: NodeRequestId, errno: Errno) -> bool {
        self.session.refuse(request, errno).is_some_and(|line| {
            self.push(line);
            true
        })
    }

    /// Begins a drain: the program closes its servers, and disconnects when their connections are gone. The
    /// preload closes idle connections after the timeout; the caller ends what is left after that.
    pub fn disconnect(&mut self, timeout: Duration) {
        for line in self.session.disconnect(timeout) {
            self.push(line);
        }
    }

    /// After [`NodeChannel::disconnect`]: idle connections are closed after this timeout now. (A second
    /// `disconnect` would close the channel at once.)
    pub fn hurry(&mut self, timeout: Duration) {
        let line = self.session.hurry(timeout);
        self.push(line);
    }

    /// Sends a message to the application (`process.on('message')`).
    pub fn send(&mut self, message: &serde_json::Value) {
        self.push(reply::application(message));
    }

    fn push(&mut self, line: ReplyLine) {
        let pushed = self.outbox.push(line);
        self.judge(pushed);
    }

    /// A fault ends the channel; the next event says so.
    fn judge<T>(&mut self, result: Result<T, NodeFault>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(fault) => {
                self.end(NodeEnd::GivenUp(fault));
                None
            }
        }
    }

    fn end(&mut self, end: NodeEnd) {
        if self.stream.take().is_some() {
            self.ended = Some(end);
        }
        self.outbox = Outbox::default();
    }

    /// The next event that is there already, after one read at most.
    fn step(&mut self) -> Option<NodeEvent> {
        let mut event = self.buffered();
        if event.is_none() {
            self.read();
            event = self.buffered();
        }
        self.flush();
        event.or_else(|| self.ended.take().map(NodeEvent::End))
    }

    /// The first event in the lines that were read.
    fn buffered(&mut self) -> Option<NodeEvent> {
        while self.stream.is_some() {
            let taken = match self.lines.line() {
                Ok(None) => return None,
                Ok(Some(line)) => self.session.take(line),
                Err(LineTooLong) if std::mem::replace(&mut self.told_too_long, true) => continue,
                Err(LineTooLong) => return Some(NodeEvent::TooLong),
            };
            let step = self.judge(taken)?;
            if let Some(delivery) = step.delivery {
                self.outbox.delivered(delivery);
            }
            if let Some(line) = step.reply {
                self.push(line);
            }
            match step.event {
                Some(NodeEvent::End(end)) => self.end(end),
                Some(event) => return Some(event),
                None => {}
            }
        }
        None
    }

    /// The kernel closes descriptors that come along, because no room is offered for them.
    fn read(&mut self) {
        let Some(stream) = &self.stream else {
            return;
        };
        match stream.try_read(&mut self.buffer) {
            Ok(0) => self.end(NodeEnd::Closed),
            Ok(length) => self.lines.feed(&self.buffer[..length]),
            Err(error) => self.failed(&error),
        }
    }

    fn flush(&mut self) {
        let flushed = self.stream.as_ref().map(|stream| self.outbox.flush(stream));
        if let Some(Err(error)) = flushed {
            match error.kind() {
                // What the program has said before is still to be read.
                io::ErrorKind::BrokenPipe => self.outbox = Outbox::default(),
                _ => self.failed(&error),
            }
        }
    }

    fn failed(&mut self, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
            io::ErrorKind::ConnectionReset => self.end(NodeEnd::Closed),
            _ => {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
                self.end(NodeEnd::GivenUp(NodeFault::Socket(errno)));
            }
        }
    }

    /// Waits until there may be something to do. True for a beat.
    async fn wait(&mut self) -> bool {
        let interest = match self.outbox.wants_to_write() {
            true => Interest::READABLE | Interest::WRITABLE,
            false => Interest::READABLE,
        };
        let beat = tokio::select! {
            () = ready(self.stream.as_ref(), interest) => return false,
            beat = beaten(self.beats.as_ref()) => beat,
        };
        if beat.is_err() {
            self.beats = None;
        }
        beat.is_ok()
    }
}

async fn ready(stream: Option<&UnixStream>, interest: Interest) {
    match stream {
        // An error is met again by the read that follows.
        Some(stream) => drop(stream.ready(interest).await),
        None => future::pending().await,
    }
}

async fn beaten(beats: Option<&AsyncFd<OwnedFd>>) -> io::Result<()> {
    let Some(beats) = beats else {
        return future::pending().await;
    };
    loop {
        let mut guard = beats.readable().await?;
        let read = |beats: &AsyncFd<OwnedFd>| Ok(nix::unistd::read(beats.as_fd(), &mut [0; 8])?);
        if let Ok(read) = guard.try_io(read) {
            return read.map(drop);
        }
    }
}
