//! Workers that outlived their master. The master records its workers while they live; the next master waits
//! for them and names them in its log.
//!
//! A new master never listens beside a living orphan: its sockets would come after the orphan's in the
//! SO_REUSEPORT group, and the steering program would count them wrongly.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout};
use serde::{Deserialize, Serialize};

use crate::base::ids::Life;
use crate::base::time::Monotonic;
use crate::config::Address;
use crate::master::listeners::{AddressError, probe};
use crate::master::poller::{PollSource, Poller};
use crate::sys::durable::{Durability, replace_file};
use crate::sys::{clock, pidfd, procfs};

/// One worker in the record file. The start time tells it apart from a later process with the same pid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::master) struct WorkerRecord {
    pub(in crate::master) life: Life,
    pub(in crate::master) pid: i32,
    pub(in crate::master) started: u64,
}

/// The file in the run directory that lists the living workers.
#[derive(Debug)]
pub(in crate::master) struct WorkerRecords {
    path: PathBuf,
    /// The addresses that the programs of the workers have asked for.
    lent: PathBuf,
}

impl WorkerRecords {
    pub(in crate::master) fn in_dir(run_dir: &Path) -> WorkerRecords {
        WorkerRecords {
            path: run_dir.join("workers.json"),
            lent: run_dir.join("lent.json"),
        }
    }

    /// Replaces the list of lent addresses.
    pub(in crate::master) fn write_lent(&self, addresses: &[Address]) -> io::Result<()> {
        if addresses.is_empty() && !self.lent.exists() {
            return Ok(());
        }
        replace_file(
            &self.lent,
            &serde_json::to_vec(addresses)?,
            Durability::ProcessExit,
        )
    }

    /// The addresses that the last master had lent: its workers may still listen there.
    pub(in crate::master) fn lent(&self) -> Vec<Address> {
        let text = fs::read(&self.lent).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Replaces the records. They need not survive a power cut, because no worker does.
    pub(in crate::master) fn write(&self, records: &[WorkerRecord]) -> io::Result<()> {
        replace_file(&self.path, &serde_json::to_vec(records)?, Durability::ProcessExit)
    }

    /// The workers of the last master that are still alive. A record file that cannot be read lists none; the
    /// probe of the addresses still finds the processes that listen.
    pub(in crate::master) fn living(&self) -> Vec<Orphan> {
        let text = fs::read(&self.path).unwrap_or_default();
        let records: Vec<WorkerRecord> = serde_json::from_slice(&text).unwrap_or_default();
        records.into_iter().filter_map(Orphan::open).collect()
    }
}

/// A living worker of a dead master.
#[derive(Debug)]
pub(in crate::master) struct Orphan {
    pub(in crate::master) record: WorkerRecord,
    pub(in crate::master) pidfd: OwnedFd,
}

impl Orphan {
    fn open(record: WorkerRecord) -> Option<Orphan> {
        let pidfd = pidfd::open(record.pid).ok()?;
        // Read after the pidfd was opened, so both are about the same process.
        let stat = procfs::stat(record.pid).ok()?;
        (stat.started == record.started && stat.state != 'Z').then_some(Orphan { record, pidfd })
    }

    /// Kills the orphan: no other process would ever end it.
    fn kill(&self, why: &str) {
        let WorkerRecord { life, pid, .. } = self.record;
        tracing::warn!(%life, pid, "killing a worker of the last master: {why}");
        if let Err(error) = pidfd::signal(self.pidfd.as_fd(), nix::sys::signal::Signal::SIGKILL) {
            tracing::debug!(pid, "failed to kill a worker of the last master: {error}");
        }
    }

    fn listens_on(&self, address: &Address) -> bool {
        matches!(address, Address::Tcp(tcp) if procfs::listens_at(self.record.pid, *tcp))
    }

    fn is_alive(&self) -> bool {
        !wait_for_exit(std::slice::from_ref(self), Duration::ZERO)
    }
}

/// The living workers of earlier masters. The master waits for their ends: until then they may begin work
/// under their old identities.
#[derive(Debug, Default)]
pub(in crate::master) struct Orphans {
    living: BTreeMap<u32, Orphan>,
}

impl Orphans {
    /// Takes the living orphans and polls their exits.
    pub(in crate::master) fn new(orphans: Vec<Orphan>, poller: &Poller) -> io::Result<Orphans> {
        Orphans::restored((0..).zip(orphans).collect(), poller)
    }

    /// The orphans of the master before this binary, with the numbers that they had there.
    pub(in crate::master) fn restored(living: BTreeMap<u32, Orphan>, poller: &Poller) -> io::Result<Orphans> {
        for (&place, orphan) in &living {
            poller.add(&orphan.pidfd, PollSource::Orphan(place))?;
        }
        Ok(Orphans { living })
    }

    /// Removes the orphan with this number, which has exited; returns its life.
    pub(in crate::master) fn remove(&mut self, number: u32) -> Option<Life> {
        self.living.remove(&number).map(|orphan| orphan.record.life)
    }

    /// The lives of the orphans.
    pub(in crate::master) fn lives(&self) -> impl Iterator<Item = Life> + '_ {
        self.living.values().map(|orphan| orphan.record.life)
    }

    /// Every orphan with its number.
    pub(in crate::master) fn all(&self) -> impl Iterator<Item = (u32, &Orphan)> {
        self.living.iter().map(|(place, orphan)| (*place, orphan))
    }

    /// The orphans for the record file: the master after this one has to know them, too.
    pub(in crate::master) fn records(&self) -> impl Iterator<Item = WorkerRecord> + '_ {
        self.living.values().map(|orphan| orphan.record.clone())
    }
}

/// How long a killed process may take to exit; it is longer only while the process waits for a disk.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to search for the process that has an address, while no client is served yet.
const SEARCH_AT_START: Duration = Duration::from_secs(2);

/// Until when the last master's workers may keep an address.
#[derive(Clone, Copy, Debug)]
pub(in crate::master) struct OrphanGrace {
    /// A worker whose event loop runs has closed its listeners by then, because it learns at once that its
    /// master has ended.
    pub(in crate::master) hung: Monotonic,
    /// A worker has answered its requests by then.
    pub(in crate::master) drained: Monotonic,
}

/// Waits until no process listens on any of the addresses, as long as there are orphans that may. An orphan
/// that keeps an address beyond [`OrphanGrace`] is killed; an orphan that only finishes its requests is left
/// alone.
///
/// # Errors
/// [`AddressError::Taken`] names the processes that still listen.
pub(in crate::master) fn wait_for_addresses(
    addresses: &[Address],
    orphans: &mut Vec<Orphan>,
    grace: OrphanGrace,
) -> Result<(), AddressError> {
    let mut searched_for_hung = false;
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
                .for_each(|orphan| orphan.kill("it did not drain in time (drain_timeout) and still listens"));
            while orphans.iter().any(Orphan::is_alive) && clock::now() < grace.drained + EXIT_TIMEOUT {
                wait_for_exit(orphans, Duration::from_millis(100));
                orphans.retain(Orphan::is_alive);
            }
        }
        if now >= grace.drained || orphans.is_empty() || !matches!(error, AddressError::Taken { .. }) {
            // An orphan that died a moment ago may have been the last one that listened.
            return addresses
                .iter()
                .try_for_each(|address| probe(address, SEARCH_AT_START));
        }
        if now >= grace.hung && !searched_for_hung {
            searched_for_hung = true;
            let listens = |orphan: &&Orphan| addresses.iter().any(|address| orphan.listens_on(address));
            orphans.iter().filter(listens).for_each(|orphan| {
                orphan.kill("it hangs: it did not close its listener within heartbeat_timeout")
            });
        }
        // An orphan closes its listeners well before it exits, and no event reports that: look again soon.
        wait_for_exit(orphans, Duration::from_millis(10));
    }
}

/// Whether one of the orphans exited within `at_most`.
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

    const LIFE: Life = Life::of(1, 0, 1);

    #[test]
    fn a_later_process_with_the_same_pid_is_no_orphan() {
        let directory = tempfile::tempdir().expect("a directory");
        let records = WorkerRecords::in_dir(directory.path());
        assert!(records.living().is_empty());
        let pid = nix::unistd::getpid().as_raw();
        let started = procfs::stat(pid).expect("readable").started;
        let record = |started| WorkerRecord {
            life: LIFE,
            pid,
            started,
        };
        records
            .write(&[record(started), record(started + 1)])
            .expect("written");
        let living: Vec<_> = records.living().into_iter().map(|orphan| orphan.record).collect();
        assert_eq!(living, [record(started)]);
        records.write_lent(&[]).expect("nothing to write");
        assert!(records.lent().is_empty() && !records.lent.exists());
        let lent = [Address::Unix("/run/app.sock".into())];
        records.write_lent(&lent).expect("written");
        assert_eq!(records.lent(), lent);
    }

    #[test]
    fn the_process_that_listens_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = Address::Tcp(listener.local_addr().expect("an address"));
        let grace = OrphanGrace {
            hung: Monotonic(0),
            drained: Monotonic(0),
        };
        let error = wait_for_addresses(&[address], &mut Vec::new(), grace).expect_err("it is taken");
        let pid = nix::unistd::getpid().as_raw();
        assert!(error.to_string().contains(&format!("pid {pid} (")), "{error}");
    }
}
