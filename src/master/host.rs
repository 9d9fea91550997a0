//! The operating system's side of the master: the processes, generations, listeners and files that it holds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::control::{ClientId, ControlServer, EndedOutputs, OomMonitor, Postmortems};
use super::file_changes::FileWatch;
use super::listeners::Listeners;
use super::poller::Poller;
use super::process::generation::LoadedGeneration;
use super::process::spawn::Spawner;
use super::process::strays::Strays;
use super::process::stub::StubProcess;
use super::process::{WorkerFacts, WorkerProcess};
use super::report::last_verdict::RecordedVerdict;
use super::report::lost_sockets::LostSockets;
use super::report::systemd::ServiceManager;
use super::start::build::Build;
use super::start::directories::Directories;
use super::start::launch::Launch;
use super::start::orphans::{Orphans, WorkerRecord, WorkerRecords};
use super::start::pid_file::PidFile;
use super::upgrade::RehearsalStage;
use crate::base::ids::{Epoch, Generation, Incarnation, Life, Slot};
use crate::base::time::Monotonic;
use crate::metrics::Ledger;
use crate::sys::signals::Signals;

/// Everything that the master holds, except the pool, which decides.
pub(super) struct Host {
    pub(super) incarnation: Incarnation,
    /// Plain data, which an upgrade carries over.
    pub(super) persisted: Persisted,
    pub(super) poller: Poller,
    pub(super) signals: Signals,
    pub(super) processes: BTreeMap<Life, WorkerProcess>,
    pub(super) generations: BTreeMap<Generation, LoadedGeneration>,
    pub(super) listeners: Listeners,
    /// The sockets that are said to be missing.
    pub(super) lost_sockets: LostSockets,
    pub(super) spawner: Spawner,
    /// Workers of earlier masters that are still alive.
    pub(super) orphans: Orphans,
    pub(super) records: WorkerRecords,
    /// Whether a worker started or ended since the records were written.
    pub(super) records_outdated: bool,
    pub(super) launch: Launch,
    /// The working directory as it was named at the start.
    pub(super) working_directory: PathBuf,
    pub(super) control: ControlServer,
    /// When the last stop signal arrived.
    pub(super) last_stop_signal: Option<Monotonic>,
    pub(super) service_manager: ServiceManager,
    /// The stub, while no worker can serve.
    pub(super) stub: Option<StubProcess>,
    /// The files whose change reloads.
    pub(super) file_watch: Option<FileWatch>,
    /// What the programs of workers printed that have ended lately.
    pub(super) ended_outputs: EndedOutputs,
    /// The stage of an upgrade of this master.
    pub(super) upgrade: RehearsalStage,
    /// What is known of the processes that programs may have left behind.
    pub(super) strays: Strays,
    /// The running binary.
    pub(super) build: Build,
    /// The pid file, which is removed with this value.
    pub(super) pid_file: Option<PidFile>,
    /// The directories, whose locks are held while this value exists.
    pub(super) directories: Directories,
}

/// The plain data of a master. An upgrade carries it over unchanged. A new field needs nothing else for that
/// but a higher `VERSION` in `upgrade::state`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Persisted {
    /// When this master's process began to serve.
    pub(super) began: Monotonic,
    /// Number of upgrades in this process.
    pub(super) upgrades: u32,
    /// Clients that sent `--no-wait`: they are answered as soon as their command has begun.
    pub(super) no_wait: Vec<ClientId>,
    pub(super) postmortems: Postmortems,
    /// The counters of all lives.
    pub(super) ledger: Ledger,
    pub(super) oom: OomMonitor,
    /// How the last operation on the whole cluster ended.
    pub(super) last_verdict: Option<RecordedVerdict>,
    /// The log lines that the binaries before this one have dropped in this process.
    pub(super) log_lines_dropped: u64,
    /// The weights by which new connections are steered.
    pub(super) weights: Vec<(Slot, u16)>,
    /// The exit code of the last worker that exited by itself, or the code for why a worker could not be
    /// started. A master that gives up because no worker becomes ready exits with it.
    pub(super) last_code: Option<i32>,
}

impl Persisted {
    /// The data of a master that starts.
    pub(super) fn new(now: Monotonic) -> Persisted {
        Persisted {
            began: now,
            upgrades: 0,
            no_wait: Vec::new(),
            postmortems: Postmortems::default(),
            ledger: Ledger::default(),
            oom: OomMonitor::new(),
            last_verdict: None,
            log_lines_dropped: 0,
            weights: Vec::new(),
            last_code: None,
        }
    }
}

impl Host {
    /// The worker of that slot and epoch, until it has been reaped.
    pub(super) fn process(&mut self, slot: Slot, epoch: Epoch) -> Option<&mut WorkerProcess> {
        self.processes.get_mut(&Life::new(self.incarnation, slot, epoch))
    }

    /// The newest loaded generation.
    pub(super) fn newest(&self) -> Option<&LoadedGeneration> {
        self.generations
            .last_key_value()
            .map(|(_, generation)| generation)
    }

    /// Writes the records of the living workers for the next master, if they changed. This is done when
    /// nothing is more urgent: the next master only names the workers in its log by them, and a failure has
    /// no other effect.
    pub(super) fn record_processes(&mut self) {
        if !std::mem::take(&mut self.records_outdated) {
            return;
        }
        let records = self.processes.values().map(|process| {
            let WorkerFacts {
                life, pid, started, ..
            } = &process.facts;
            WorkerRecord {
                life: *life,
                pid: *pid,
                started: *started,
            }
        });
        let records: Vec<WorkerRecord> = records
            .chain(self.orphans.records())
            .chain(self.stub.as_ref().map(|stub| stub.record(self.incarnation)))
            .collect();
        if let Err(error) = self.records.write(&records) {
            tracing::warn!("failed to write the records of the living workers: {error}");
        }
        if let Err(error) = self.records.write_lent(&self.listeners.lent_addresses()) {
            tracing::warn!("failed to write the record of the addresses that programs asked for: {error}");
        }
    }
}
