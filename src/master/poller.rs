//! What the master waits on: one epoll instance, and for each descriptor in it who it belongs to. It says what is readable, and
//! reads nothing itself.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::control::{ClientId, Interest};
use super::upgrade::Part as Rehearsing;
use crate::base::ids::{Epoch, Slot};

/// Something the master waits on. A worker is named by slot and epoch: the incarnation is always this master's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The signals' pipe.
    Signals,
    /// The control socket: somebody wants to come in.
    Control,
    /// One who came in there.
    Client(ClientId),
    /// The exit of a worker of an earlier master, by its place among them.
    Orphan(u32),
    /// One descriptor of a binary that rehearses an upgrade.
    Rehearsal(Rehearsing),
    /// One descriptor of one worker.
    Worker(Slot, Epoch, Part),
}

/// Which descriptor of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Its notify socket.
    Notify,
    /// Its lifeline.
    Lifeline,
    /// What it writes to stderr.
    Stderr,
    /// Its exit.
    Exit,
}

impl Part {
    const ALL: [Part; 4] = [Part::Notify, Part::Lifeline, Part::Stderr, Part::Exit];
}

impl Source {
    const SIGNALS: u64 = u64::MAX;
    const CONTROL: u64 = u64::MAX - 1;
    const VERDICT: u64 = u64::MAX - 2;
    const WORDS: u64 = u64::MAX - 3;
    const REHEARSED: u64 = u64::MAX - 4;
    /// Set for clients, clear for workers.
    const CLIENT: u64 = 1 << 63;
    /// Set for orphans, clear for workers.
    const ORPHAN: u64 = 1 << 62;

    /// `slot << 40 | epoch << 8 | part`, which leaves the highest byte free: a client has its highest bit, and no client's number
    /// gets up to the five that are not counted.
    fn encode(self) -> u64 {
        match self {
            Source::Signals => Source::SIGNALS,
            Source::Control => Source::CONTROL,
            Source::Rehearsal(Rehearsing::Verdict) => Source::VERDICT,
            Source::Rehearsal(Rehearsing::Words) => Source::WORDS,
            Source::Rehearsal(Rehearsing::Exit) => Source::REHEARSED,
            Source::Client(id) => Source::CLIENT | id.0,
            Source::Orphan(place) => Source::ORPHAN | u64::from(place),
            Source::Worker(slot, epoch, part) => {
                u64::from(slot.0) << 40 | u64::from(epoch.0) << 8 | part as u64
            }
        }
    }

    fn decode(data: u64) -> Option<Source> {
        match data {
            Source::SIGNALS => return Some(Source::Signals),
            Source::CONTROL => return Some(Source::Control),
            Source::VERDICT => return Some(Source::Rehearsal(Rehearsing::Verdict)),
            Source::WORDS => return Some(Source::Rehearsal(Rehearsing::Words)),
            Source::REHEARSED => return Some(Source::Rehearsal(Rehearsing::Exit)),
            client if client & Source::CLIENT != 0 => {
                return Some(Source::Client(ClientId(client & !Source::CLIENT)));
            }
            orphan if orphan & Source::ORPHAN != 0 => {
                return u32::try_from(orphan & !Source::ORPHAN).ok().map(Source::Orphan);
            }
            _worker => {}
        }
        let part = Part::ALL.into_iter().find(|part| *part as u64 == data & 0xff)?;
        let slot = u16::try_from(data >> 40).ok()?;
        let epoch = u32::try_from((data >> 8) & u64::from(u32::MAX)).ok()?;
        Some(Source::Worker(Slot(slot), Epoch(epoch), part))
    }
}

/// The epoll instance. Closing a descriptor takes it out.
#[derive(Debug)]
pub(super) struct Watch {
    epoll: Epoll,
}

impl Watch {
    pub(super) fn new() -> io::Result<Watch> {
        Ok(Watch {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
        })
    }

    pub(super) fn add(&self, fd: &impl AsFd, source: Source) -> io::Result<()> {
        Ok(self
            .epoll
            .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, source.encode()))?)
    }

    /// Something else is of interest from now on.
    pub(super) fn change(&self, fd: &impl AsFd, source: Source, interest: Interest) -> io::Result<()> {
        let flags = match interest {
            Interest::Readable => EpollFlags::EPOLLIN,
            // EPOLLHUP is always told.
            Interest::Gone => EpollFlags::empty(),
            Interest::Writable => EpollFlags::EPOLLOUT,
        };
        Ok(self
            .epoll
            .modify(fd, &mut EpollEvent::new(flags, source.encode()))?)
    }

    /// Takes a descriptor out that stays open.
    pub(super) fn remove(&self, fd: &impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Waits for something to be readable, at most that long (for ever when `None`). A signal may end the wait with nothing.
    pub(super) fn wait(&self, at_most: Option<Duration>) -> io::Result<Vec<Source>> {
        let mut events = [EpollEvent::empty(); 64];
        let timeout = at_most.map_or(EpollTimeout::NONE, whole_milliseconds);
        match self.epoll.wait(&mut events, timeout) {
            Ok(count) => Ok(events[..count]
                .iter()
                .filter_map(|event| Source::decode(event.data()))
                .collect()),
            Err(Errno::EINTR) => Ok(Vec::new()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Rounded up, so that the deadline has passed when the wait is over and nobody spins before it.
fn whole_milliseconds(duration: Duration) -> EpollTimeout {
    let up = duration.as_nanos().div_ceil(1_000_000);
    EpollTimeout::try_from(u32::try_from(up).unwrap_or(u32::MAX).min(i32::MAX as u32))
        .unwrap_or(EpollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_comes_back_as_it_went_in() {
        let workers = Part::ALL.into_iter().flat_map(|part| {
            [(0, 0), (7, 3), (u16::MAX, u32::MAX)]
                .map(|(slot, epoch)| Source::Worker(Slot(slot), Epoch(epoch), part))
        });
        let clients = [1, u64::from(u32::MAX), 1 << 62].map(|id| Source::Client(ClientId(id)));
        let orphans = [0, u32::MAX].map(Source::Orphan);
        for source in workers
            .chain(clients)
            .chain(orphans)
            .chain([Source::Signals, Source::Control])
            .chain([Rehearsing::Verdict, Rehearsing::Words, Rehearsing::Exit].map(Source::Rehearsal))
        {
            assert_eq!(Source::decode(source.encode()), Some(source));
        }
    }

    #[test]
    fn a_wait_is_never_shorter_than_asked() {
        assert_eq!(
            whole_milliseconds(Duration::from_micros(1)),
            EpollTimeout::from(1_u16)
        );
        assert_eq!(whole_milliseconds(Duration::ZERO), EpollTimeout::ZERO);
    }
}
