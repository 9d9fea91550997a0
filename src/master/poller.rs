//! What the master waits on: one epoll instance, and for each descriptor in it who it belongs to. It says
//! what is readable, and reads nothing itself.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::control::{ClientId, Interest};
use super::upgrade::RehearsalFd;
use crate::base::ids::{Epoch, Slot};

/// What a polled descriptor belongs to. A worker is named by slot and epoch; its incarnation is always this
/// master's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PollSource {
    /// The pipe that signal handlers write to.
    Signals,
    /// The control socket.
    Control,
    /// A client of the control socket.
    Client(ClientId),
    /// The exit of a worker of an earlier master, by its number among them.
    Orphan(u32),
    /// The exit of the stub.
    Stub,
    /// The files of `run.watch`.
    Files,
    /// A descriptor of a binary that rehearses an upgrade.
    Rehearsal(RehearsalFd),
    /// A descriptor of a worker.
    Worker(Slot, Epoch, WorkerFd),
}

/// A descriptor of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkerFd {
    /// The notify socket.
    Notify,
    /// The lifeline.
    Lifeline,
    /// The read end of its stderr.
    Stderr,
    /// The read end of the pipe for its log lines.
    Log,
    /// The pidfd, which reports its exit.
    Exit,
}

impl WorkerFd {
    const ALL: [WorkerFd; 5] = [
        WorkerFd::Notify,
        WorkerFd::Lifeline,
        WorkerFd::Stderr,
        WorkerFd::Log,
        WorkerFd::Exit,
    ];
}

impl PollSource {
    const SIGNALS: u64 = u64::MAX;
    const CONTROL: u64 = u64::MAX - 1;
    const VERDICT: u64 = u64::MAX - 2;
    const OUTPUT: u64 = u64::MAX - 3;
    const REHEARSAL_EXIT: u64 = u64::MAX - 4;
    const STUB: u64 = u64::MAX - 5;
    const FILES: u64 = u64::MAX - 6;
    /// Set for clients, clear for workers.
    const CLIENT: u64 = 1 << 63;
    /// Set for orphans, clear for workers.
    const ORPHAN: u64 = 1 << 62;

    /// `slot << 40 | epoch << 8 | part`, which leaves the highest byte free: a client has its highest bit,
    /// and no client's number gets up to the seven that are not counted.
    fn encode(self) -> u64 {
        match self {
            PollSource::Signals => PollSource::SIGNALS,
            PollSource::Control => PollSource::CONTROL,
            PollSource::Stub => PollSource::STUB,
            PollSource::Files => PollSource::FILES,
            PollSource::Rehearsal(RehearsalFd::Verdict) => PollSource::VERDICT,
            PollSource::Rehearsal(RehearsalFd::Output) => PollSource::OUTPUT,
            PollSource::Rehearsal(RehearsalFd::Exit) => PollSource::REHEARSAL_EXIT,
            PollSource::Client(id) => PollSource::CLIENT | id.0,
            PollSource::Orphan(place) => PollSource::ORPHAN | u64::from(place),
            PollSource::Worker(slot, epoch, part) => {
                u64::from(slot.0) << 40 | u64::from(epoch.0) << 8 | part as u64
            }
        }
    }

    fn decode(data: u64) -> Option<PollSource> {
        match data {
            PollSource::SIGNALS => return Some(PollSource::Signals),
            PollSource::CONTROL => return Some(PollSource::Control),
            PollSource::STUB => return Some(PollSource::Stub),
            PollSource::FILES => return Some(PollSource::Files),
            PollSource::VERDICT => return Some(PollSource::Rehearsal(RehearsalFd::Verdict)),
            PollSource::OUTPUT => return Some(PollSource::Rehearsal(RehearsalFd::Output)),
            PollSource::REHEARSAL_EXIT => return Some(PollSource::Rehearsal(RehearsalFd::Exit)),
            client if client & PollSource::CLIENT != 0 => {
                return Some(PollSource::Client(ClientId(client & !PollSource::CLIENT)));
            }
            orphan if orphan & PollSource::ORPHAN != 0 => {
                return u32::try_from(orphan & !PollSource::ORPHAN)
                    .ok()
                    .map(PollSource::Orphan);
            }
            _worker => {}
        }
        let part = WorkerFd::ALL
            .into_iter()
            .find(|part| *part as u64 == data & 0xff)?;
        let slot = u16::try_from(data >> 40).ok()?;
        let epoch = u32::try_from((data >> 8) & u64::from(u32::MAX)).ok()?;
        Some(PollSource::Worker(Slot(slot), Epoch(epoch), part))
    }
}

/// The epoll instance. Closing a descriptor removes it.
#[derive(Debug)]
pub(super) struct Poller {
    epoll: Epoll,
}

impl Poller {
    pub(super) fn new() -> io::Result<Poller> {
        Ok(Poller {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
        })
    }

    pub(super) fn add(&self, fd: &impl AsFd, source: PollSource) -> io::Result<()> {
        Ok(self
            .epoll
            .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, source.encode()))?)
    }

    /// Changes the readiness that is waited for.
    pub(super) fn change(&self, fd: &impl AsFd, source: PollSource, interest: Interest) -> io::Result<()> {
        let flags = match interest {
            Interest::Readable => EpollFlags::EPOLLIN,
            // EPOLLHUP is always reported.
            Interest::Gone => EpollFlags::empty(),
            Interest::Writable => EpollFlags::EPOLLOUT,
        };
        Ok(self
            .epoll
            .modify(fd, &mut EpollEvent::new(flags, source.encode()))?)
    }

    /// Removes a descriptor that stays open.
    pub(super) fn remove(&self, fd: &impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Waits for something to be readable, at most that long (for ever when `None`). A signal may end the
    /// wait with nothing.
    pub(super) fn wait(&self, at_most: Option<Duration>) -> io::Result<Vec<PollSource>> {
        let mut events = [EpollEvent::empty(); 64];
        let timeout = at_most.map_or(EpollTimeout::NONE, whole_milliseconds);
        match self.epoll.wait(&mut events, timeout) {
            Ok(count) => Ok(events[..count]
                .iter()
                .filter_map(|event| PollSource::decode(event.data()))
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
        let workers = WorkerFd::ALL.into_iter().flat_map(|part| {
            [(0, 0), (7, 3), (u16::MAX, u32::MAX)]
                .map(|(slot, epoch)| PollSource::Worker(Slot(slot), Epoch(epoch), part))
        });
        let clients = [1, u64::from(u32::MAX), 1 << 62].map(|id| PollSource::Client(ClientId(id)));
        let orphans = [0, u32::MAX].map(PollSource::Orphan);
        for source in workers
            .chain(clients)
            .chain(orphans)
            .chain([
                PollSource::Signals,
                PollSource::Control,
                PollSource::Stub,
                PollSource::Files,
            ])
            .chain([RehearsalFd::Verdict, RehearsalFd::Output, RehearsalFd::Exit].map(PollSource::Rehearsal))
        {
            assert_eq!(PollSource::decode(source.encode()), Some(source));
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
