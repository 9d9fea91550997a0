//! The seam to a worker that runs a program of the user's in place of an application: what it is given. This
//! module must not know how a program is run.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::accept::adopted::AdoptionRequest;
use super::drain_mode::DrainMode;
use super::draining::DrainPlan;
use super::handle::Worker;
use super::lending::Lending;
use super::notify::Notify;
use crate::base::exit::Exit;
use crate::scoreboard::Cell;

/// Runs a program to its end.
pub(crate) type RunProgram = fn(ProgramWorker) -> Pin<Box<dyn Future<Output = WorkerExit>>>;

/// How a worker ends. One whose program ended by itself ends as the program did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkerExit {
    /// For a reason of its own.
    Own(Exit),
    /// With the exit code of its program.
    Code(u8),
    /// By the signal that ended its program.
    Signal(Signal),
}

/// A listener of the worker's slot.
#[derive(Debug)]
pub(crate) struct NamedListener {
    /// Its name in `LISTEN_FDNAMES`.
    pub(crate) name: String,
    pub(crate) fd: OwnedFd,
}

/// Where what a program prints goes, as the master gives it.
#[derive(Debug)]
pub(crate) struct OutputDescriptors {
    /// The memory file of the last lines, which the master reads.
    pub(crate) ring: Option<OwnedFd>,
    /// The file that takes the lines in place of the log.
    pub(crate) file: Option<OwnedFd>,
}

/// Everything that the worker of a program is given.
pub(crate) struct ProgramWorker {
    pub(crate) worker: Worker,
    /// The listeners of the addresses that the configuration names.
    pub(crate) listeners: Vec<NamedListener>,
    /// Where the master is told that the program is ready.
    pub(crate) notify: Notify,
    /// The cell that is stamped while the program is alive.
    pub(crate) cell: Cell,
    /// The worker's own beats, which vouch for no program: to be ended when those of the program begin.
    pub(crate) beats: JoinHandle<()>,
    /// The accept queues of other slots that are to be served.
    pub(crate) adoptions: mpsc::UnboundedReceiver<AdoptionRequest>,
    /// Asks the master for listeners of addresses that the program names.
    pub(crate) lending: Lending,
    /// Where what the program prints goes.
    pub(crate) output: OutputDescriptors,
    /// The file of the output, each time that the master has opened it anew.
    pub(crate) output_files: mpsc::UnboundedReceiver<OwnedFd>,
}

/// How long a drain may take, counted from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DrainLimits {
    /// For so long clients that are silent are kept.
    pub(crate) silence: Duration,
    /// Then everything is cut.
    pub(crate) end: Duration,
    mode: DrainMode,
}

impl DrainLimits {
    /// Whether other workers serve on, so that nothing presses.
    pub(crate) fn is_patient(self) -> bool {
        self.mode == DrainMode::Patient
    }

    /// Returns when the drain of a worker begins, or when it becomes faster than it was.
    pub(crate) async fn begun(worker: &Worker, before: Option<DrainLimits>) -> DrainLimits {
        let mode = worker.drain_mode_above(before.map(|limits| limits.mode)).await;
        let plan = DrainPlan::new(mode, worker.settings().cluster.drain_timeout);
        DrainLimits {
            silence: plan.silence,
            end: plan.end,
            mode,
        }
    }
}
