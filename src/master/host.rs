//! What the master holds and acts upon: processes, generations, listeners, and the files that name them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::build::Build;
use super::control::{ClientId, ControlServer, OomMonitor, Postmortems};
use super::directories::Directories;
use super::launch::Launch;
use super::listeners::Listeners;
use super::orphans::{Orphans, WorkerRecord, WorkerRecords};
use super::pid_file::PidFile;
use super::poller::Poller;
use super::process::WorkerProcess;
use super::process::generation::LoadedGeneration;
use super::process::spawn::Spawner;
use super::upgrade::Upgrade;
use crate::base::ids::{Epoch, Generation, Incarnation, Life, Slot};
use crate::base::time::Monotonic;
use crate::metrics::Ledger;
use crate::sys::signals::Signals;

/// Everything but the brain.
pub(super) struct Host {
    pub(super) incarnation: Incarnation,
    /// What is data and nothing else.
    pub(super) kept: Persisted,
    pub(super) watch: Poller,
    pub(super) signals: Signals,
    pub(super) processes: BTreeMap<Life, WorkerProcess>,
    pub(super) generations: BTreeMap<Generation, LoadedGeneration>,
    pub(super) listeners: Listeners,
    pub(super) nursery: Spawner,
    /// Workers of earlier masters that are still alive.
    pub(super) orphans: Orphans,
    pub(super) records: WorkerRecords,
    /// Whether somebody came or went since the records were written.
    pub(super) unrecorded: bool,
    pub(super) launch: Launch,
    pub(super) desk: ControlServer,
    /// When a signal asked for a stop last.
    pub(super) stop_heard: Option<Monotonic>,
    /// How far an upgrade of this master has come.
    pub(super) upgrade: Upgrade,
    /// Which binary this is.
    pub(super) build: Build,
    /// Removed with this.
    pub(super) pid_file: Option<PidFile>,
    /// Their locks are held for as long as this lives.
    pub(super) directories: Directories,
}

pub(super) use Host as World;

/// What the master remembers that is data and nothing else: it goes along, as it is, when another binary becomes the master. A field
/// that is added here needs no other line for that, but a higher `VERSION` in `upgrade::state`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Persisted {
    /// When this master's process began to serve.
    pub(super) began: Monotonic,
    /// How often another binary took over in this process.
    pub(super) upgrades: u32,
    /// Those who want to know only that what they asked for has begun.
    pub(super) hasty: Vec<ClientId>,
    pub(super) graves: Postmortems,
    /// What all lives have counted; handed on to the next master whole.
    pub(super) ledger: Ledger,
    pub(super) oom: OomMonitor,
    /// How new connections are steered.
    pub(super) weights: Vec<(Slot, u16)>,
    /// The code the last worker left with by itself, or that says why it could not even be started; for a master that gives up
    /// because none boots.
    pub(super) last_code: Option<i32>,
}

impl Persisted {
    /// Of a master that begins.
    pub(super) fn new(now: Monotonic) -> Persisted {
        Persisted {
            began: now,
            upgrades: 0,
            hasty: Vec::new(),
            graves: Postmortems::default(),
            ledger: Ledger::default(),
            oom: OomMonitor::new(),
            weights: Vec::new(),
            last_code: None,
        }
    }
}

impl Host {
    /// The worker that was started as that filling of that slot, while it has not been reaped.
    pub(super) fn process(&mut self, slot: Slot, epoch: Epoch) -> Option<&mut WorkerProcess> {
        self.processes.get_mut(&Life {
            incarnation: self.incarnation,
            slot,
            epoch,
        })
    }

    /// The youngest generation whose configuration was taken.
    pub(super) fn newest(&self) -> Option<&LoadedGeneration> {
        self.generations
            .last_key_value()
            .map(|(_, generation)| generation)
    }

    /// Writes down who lives, for the master after this one, if that changed. Done when there is nothing more urgent: until then
    /// that master would miss a name in a message. To fail here costs it the same.
    pub(super) fn record_processes(&mut self) {
        if !std::mem::take(&mut self.unrecorded) {
            return;
        }
        let records = self.processes.values().map(|process| {
            let WorkerProcess {
                life, pid, started, ..
            } = process;
            WorkerRecord {
                life: *life,
                pid: *pid,
                started: *started,
            }
        });
        let records: Vec<WorkerRecord> = records.chain(self.orphans.records()).collect();
        if let Err(error) = self.records.write(&records) {
            tracing::warn!("failed to write down the living workers: {error}");
        }
    }
}
