//! What waits to be written to a program, within bounds. Listeners go one at a time, as Node sends handles:
//! the next one goes when the program has acknowledged the last. It does not know what the lines say.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;
use tokio::net::UnixStream;

use super::reply::ReplyLine;
use super::session::{Delivery, MAX_LISTENERS, NodeFault};
use crate::sys::stream;

/// The number of bytes that may wait.
const MAX_WAITING_BYTES: usize = 256 << 10;
/// How often a listener that got lost is sent again, as by Node's own primary.
const MAX_RETRANSMISSIONS: u32 = 3;

/// A line and the listener that goes with it.
#[derive(Debug)]
struct Parcel {
    line: ReplyLine,
    listener: OwnedFd,
    retransmissions: u32,
}

#[derive(Debug, Default)]
enum Parcels {
    /// Nothing is on its way.
    #[default]
    Idle,
    /// It is being written.
    Writing(Parcel),
    /// It was written, and the program has said nothing yet.
    Unacknowledged(Parcel),
}

/// What waits to be written.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    lines: VecDeque<ReplyLine>,
    parcels: VecDeque<Parcel>,
    on_its_way: Parcels,
    /// How much of the present line or parcel is written.
    written: usize,
    waiting: usize,
}

impl Outbox {
    /// Puts a line behind those that wait.
    pub(super) fn push(&mut self, line: ReplyLine) -> Result<(), NodeFault> {
        self.waiting += line.len();
        self.lines.push_back(line);
        self.check()
    }

    /// Puts a listener behind those that wait.
    pub(super) fn push_listener(&mut self, line: ReplyLine, listener: OwnedFd) -> Result<(), NodeFault> {
        self.waiting += line.len();
        self.parcels.push_back(Parcel {
            line,
            listener,
            retransmissions: 0,
        });
        self.check()
    }

    fn check(&self) -> Result<(), NodeFault> {
        let (waiting, listeners) = (self.waiting, self.parcels.len());
        if waiting > MAX_WAITING_BYTES {
            return Err(NodeFault::DoesNotRead { waiting });
        }
        if listeners > MAX_LISTENERS {
            return Err(NodeFault::DoesNotAcknowledge { waiting: listeners });
        }
        Ok(())
    }

    /// The program has said what became of the listener that was sent last.
    pub(super) fn delivered(&mut self, delivery: Delivery) {
        match (std::mem::take(&mut self.on_its_way), delivery) {
            (Parcels::Unacknowledged(mut parcel), Delivery::Lost) => {
                parcel.retransmissions += 1;
                if parcel.retransmissions <= MAX_RETRANSMISSIONS {
                    self.waiting += parcel.line.len();
                    self.parcels.push_front(parcel);
                }
            }
            (Parcels::Unacknowledged(_) | Parcels::Idle, _) => {}
            (writing @ Parcels::Writing(_), _) => self.on_its_way = writing,
        }
    }

    /// Whether something could be written now.
    pub(super) fn wants_to_write(&self) -> bool {
        let idle = matches!(self.on_its_way, Parcels::Idle);
        let writing = matches!(self.on_its_way, Parcels::Writing(_));
        writing || !self.lines.is_empty() || (idle && !self.parcels.is_empty())
    }

    /// Writes as much as the program has room for.
    ///
    /// # Errors
    /// When the socket fails.
    pub(super) fn flush(&mut self, stream: &UnixStream) -> io::Result<()> {
        while self.wants_to_write() {
            match self.write(stream) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write(&mut self, stream: &UnixStream) -> io::Result<()> {
        // A line that was begun is finished before a listener goes.
        let line_begun = self.written > 0 && !matches!(self.on_its_way, Parcels::Writing(_));
        if !line_begun && matches!(self.on_its_way, Parcels::Idle) {
            self.on_its_way = self.parcels.pop_front().map_or(Parcels::Idle, Parcels::Writing);
        }
        let (line, listener) = match (&self.on_its_way, self.lines.front()) {
            (Parcels::Writing(parcel), _) => (&parcel.line, Some(&parcel.listener)),
            (Parcels::Idle | Parcels::Unacknowledged(_), Some(line)) => (line, None),
            (Parcels::Idle | Parcels::Unacknowledged(_), None) => return Ok(()),
        };
        let along = listener.filter(|_| self.written == 0).map(AsFd::as_fd);
        let rest = &line.as_bytes()[self.written..];
        let sent = stream.try_io(Interest::WRITABLE, || stream::send(stream.as_fd(), rest, along))?;
        self.written += sent;
        self.waiting -= sent;
        if sent == rest.len() {
            self.finish();
        }
        Ok(())
    }

    fn finish(&mut self) {
        self.written = 0;
        match std::mem::take(&mut self.on_its_way) {
            Parcels::Writing(parcel) => self.on_its_way = Parcels::Unacknowledged(parcel),
            other @ (Parcels::Idle | Parcels::Unacknowledged(_)) => {
                self.on_its_way = other;
                self.lines.pop_front();
            }
        }
    }
}
