//! Workers that outlived their master: recorded while they live, waited for by the next master, and named.
//!
//! A new master never listens beside a living orphan: its sockets would sit behind the orphan's in the group, and the steering
//! program would count them wrongly.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout};
use serde::{Deserialize, Serialize};

use super::durable::{Sync, replace};
use crate::base::ids::Life;
use crate::base::time::Monotonic;
use crate::config::Address;
use crate::master::poller::{Source, Watch};
use crate::sys::{clock, pidfd, procfs, socket};

/// One worker as the records name it: the start time tells it from a later process with its pid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::master) struct Record {
    pub(in crate::master) life: Life,
    pub(in crate::master) pid: i32,
    pub(in crate::master) started: u64,
}

/// The file that names the living workers.
#[derive(Debug)]
pub(in crate::master) struct Records {
    path: PathBuf,
}

impl Records {
    pub(in crate::master) fn of(run_dir: &Path) -> Records {
        Records {
            path: run_dir.join("workers.json"),
        }
    }

    /// Replaces the records. They need not survive a power cut: no worker does.
    pub(in crate::master) fn write(&self, records: &[Record]) -> io::Result<()> {
        replace(&self.path, &serde_json::to_vec(records)?, Sync::Lazily)
    }

    /// Those of the last master's workers that are still alive. A record that cannot be read names nobody; the probe of the
    /// addresses finds those who listen all the same.
    pub(in crate::master) fn living(&self) -> Vec<Orphan> {
        let text = fs::read(&self.path).unwrap_or_default();
        let records: Vec<Record> = serde_json::from_slice(&text).unwrap_or_default();
        records.into_iter().filter_map(Orphan::find).collect()
    }
}

/// A living worker of a dead master.
#[derive(Debug)]
pub(in crate::master) struct Orphan {
    pub(in crate::master) record: Record,
    pub(in crate::master) pidfd: OwnedFd,
}

impl Orphan {
    fn find(record: Record) -> Option<Orphan> {
        let pidfd = pidfd::open(record.pid).ok()?;
        // Read after the descriptor was opened, so both are about the same process.
        let stat = procfs::stat(record.pid).ok()?;
        (stat.started == record.started && stat.state != 'Z').then_some(Orphan { record, pidfd })
    }

    /// Nobody else will ever end it.
    fn kill(&self, why: &str) {
        let Record { life, pid, .. } = self.record;
        tracing::warn!(%life, pid, "killing a worker of the last master: {why}");
        if let Err(error) = pidfd::signal(self.pidfd.as_fd(), nix::sys::signal::Signal::SIGKILL) {
            tracing::debug!(pid, "failed to kill it: {error}");
        }
    }

    fn keeps(&self, address: &Address) -> bool {
        matches!(address, Address::Tcp(tcp) if procfs::listens_at(self.record.pid, *tcp))
    }

    fn is_alive(&self) -> bool {
        !wait_for_exit(std::slice::from_ref(self), Duration::ZERO)
    }
}

/// The living workers of earlier masters, whose ends are waited for: until then they may begin work under their old names.
#[derive(Debug, Default)]
pub(in crate::master) struct Orphans {
    living: BTreeMap<u32, Orphan>,
}

impl Orphans {
    /// Those who are alive, each with its exit watched.
    pub(in crate::master) fn watched(orphans: Vec<Orphan>, watch: &Watch) -> io::Result<Orphans> {
        Orphans::kept((0..).zip(orphans).collect(), watch)
    }

    /// The same, each with the place that it had before this binary.
    pub(in crate::master) fn kept(living: BTreeMap<u32, Orphan>, watch: &Watch) -> io::Result<Orphans> {
        for (&place, orphan) in &living {
            watch.add(&orphan.pidfd, Source::Orphan(place))?;
        }
        Ok(Orphans { living })
    }

    /// Its exit was told: who it was.
    pub(in crate::master) fn bury(&mut self, place: u32) -> Option<Life> {
        self.living.remove(&place).map(|orphan| orphan.record.life)
    }

    /// Every one, with its place.
    pub(in crate::master) fn all(&self) -> impl Iterator<Item = (u32, &Orphan)> {
        self.living.iter().map(|(place, orphan)| (*place, orphan))
    }

    /// For the records: a third master has to know them, too.
    pub(in crate::master) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.living.values().map(|orphan| orphan.record.clone())
    }
}

/// Why the addresses cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Somebody listens there.
    #[error("{address} is in use{}; stop that program, or choose another --bind", named(.holders))]
    Taken {
        /// Where.
        address: Address,
        /// Who, as far as this user may see.
        holders: Vec<String>,
    },
    /// The system said no.
    #[error("failed to listen on {address}: {source}{}", hint(.source))]
    Io {
        /// Where.
        address: Address,
        /// The system's words.
        source: io::Error,
    },
}

fn named(holders: &[String]) -> String {
    if holders.is_empty() {
        String::new()
    } else {
        format!(" by {}", holders.join(", "))
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            " (ports below 1024 need root or CAP_NET_BIND_SERVICE; start as root with --user to let the workers run as another)"
        }
        io::ErrorKind::AddrNotAvailable => " (no interface of this machine has that address)",
        _ => "",
    }
}

/// A killed process is gone soon, unless the disk keeps it.
const AFTER_THE_KILL: Duration = Duration::from_secs(5);

/// So long is looked for whoever has an address, when nobody is served yet.
const AT_START: Duration = Duration::from_secs(2);

/// How long the last master's workers may keep an address.
#[derive(Clone, Copy, Debug)]
pub(in crate::master) struct Grace {
    /// One whose event loop turns has let go of it by then: its master's end was told to it at once.
    pub(in crate::master) hung: Monotonic,
    /// Whatever one had to answer is answered by then.
    pub(in crate::master) drained: Monotonic,
}

/// Waits until nobody listens at any of the addresses, for as long as orphans live that may. One that keeps an address beyond its
/// [`Grace`] is killed; those that only finish what they have are left alone.
///
/// # Errors
/// [`AddressError::Taken`] names whoever still listens.
pub(in crate::master) fn wait_for_addresses(
    addresses: &[Address],
    orphans: &mut Vec<Orphan>,
    grace: Grace,
) -> Result<(), AddressError> {
    let mut looked_for_hung = false;
    loop {
        let taken = addresses
            .iter()
            .find_map(|address| probe(address, Duration::ZERO).err());
        let Some(error) = taken else { return Ok(()) };
        orphans.retain(Orphan::is_alive);
        let now = clock::now();
        if now >= grace.drained {
            orphans
                .iter()
                .for_each(|orphan| orphan.kill("it did not drain in time and keeps its address"));
            while orphans.iter().any(Orphan::is_alive) && clock::now() < grace.drained + AFTER_THE_KILL {
                wait_for_exit(orphans, Duration::from_millis(100));
                orphans.retain(Orphan::is_alive);
            }
        }
        if now >= grace.drained || orphans.is_empty() || !matches!(error, AddressError::Taken { .. }) {
            // Whoever died a moment ago may have been the last who listened.
            return addresses.iter().try_for_each(|address| probe(address, AT_START));
        }
        if now >= grace.hung && !looked_for_hung {
            looked_for_hung = true;
            let keeps = |orphan: &&Orphan| addresses.iter().any(|address| orphan.keeps(address));
            orphans.iter().filter(keeps).for_each(|orphan| {
                orphan.kill("it hangs: it did not let go of its address within heartbeat_timeout")
            });
        }
        // An orphan lets go of its listeners well before it exits, and no event tells of that: look again soon.
        wait_for_exit(orphans, Duration::from_millis(10));
    }
}

/// Whether nobody listens there; a path is probed when it is opened.
///
/// # Errors
/// [`AddressError::Taken`] names whoever does, as far as they are found within `search`.
pub(in crate::master) fn probe(address: &Address, search: Duration) -> Result<(), AddressError> {
    let Address::Tcp(tcp) = address else { return Ok(()) };
    socket::probe(*tcp).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => AddressError::Taken {
            address: address.clone(),
            holders: holders(*tcp, search),
        },
        _ => AddressError::Io {
            address: address.clone(),
            source,
        },
    })
}

fn holders(address: SocketAddr, search: Duration) -> Vec<String> {
    let pids = procfs::listeners_at(address, search);
    pids.iter()
        .map(|&pid| format!("pid {pid} ({})", procfs::command_line(pid)))
        .collect()
}

/// Whether one of them exited within that time.
fn wait_for_exit(orphans: &[Orphan], at_most: Duration) -> bool {
    let mut fds: Vec<PollFd<'_>> = orphans
        .iter()
        .map(|orphan| PollFd::new(orphan.pidfd.as_fd(), PollFlags::POLLIN))
        .collect();
    let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::MAX);
    nix::poll::poll(&mut fds, timeout).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{Epoch, Incarnation, Slot};

    const LIFE: Life = Life {
        incarnation: Incarnation(1),
        slot: Slot(0),
        epoch: Epoch(1),
    };

    #[test]
    fn only_the_very_process_is_an_orphan_and_not_one_with_its_pid() {
        let directory = tempfile::tempdir().expect("a directory");
        let records = Records::of(directory.path());
        assert!(records.living().is_empty());
        let pid = nix::unistd::getpid().as_raw();
        let started = procfs::stat(pid).expect("readable").started;
        let record = |started| Record {
            life: LIFE,
            pid,
            started,
        };
        records
            .write(&[record(started), record(started + 1)])
            .expect("written");
        let living: Vec<_> = records.living().into_iter().map(|orphan| orphan.record).collect();
        assert_eq!(living, [record(started)]);
    }

    #[test]
    fn whoever_listens_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = Address::Tcp(listener.local_addr().expect("an address"));
        let grace = Grace {
            hung: Monotonic(0),
            drained: Monotonic(0),
        };
        let error = wait_for_addresses(&[address], &mut Vec::new(), grace).expect_err("it is taken");
        let pid = nix::unistd::getpid().as_raw();
        assert!(error.to_string().contains(&format!("pid {pid} (")), "{error}");
    }
}
