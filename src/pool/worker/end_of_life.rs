//! How a worker's life ended, and what that means for a request that depended on the worker.

use super::pool_worker::PoolWorker;
use crate::pool::protocol::facts::{KillReason, ProcessExit};
use crate::pool::protocol::verdict::Failure;

/// How a life ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pool) enum EndOfLife {
    /// The process ended. `oom`: the kernel killed it for want of memory.
    Exited { exit: ProcessExit, oom: bool },
    /// The system refused to start the process, in these words.
    SpawnFailed(String),
    /// The worker drains without having been asked; how its process will exit is not known yet.
    LeftByItself,
}

impl EndOfLife {
    /// How the process exited, if there was one and it has exited.
    pub(in crate::pool) fn exit(&self) -> Option<ProcessExit> {
        match self {
            EndOfLife::Exited { exit, .. } => Some(*exit),
            EndOfLife::SpawnFailed(_) | EndOfLife::LeftByItself => None,
        }
    }

    /// Why a worker that was to fill a slot, and ended this way, did not.
    pub(in crate::pool) fn failure(&self, worker: &PoolWorker) -> Failure {
        let life = worker.life;
        match self {
            EndOfLife::SpawnFailed(reason) => Failure::SpawnFailed {
                life,
                reason: reason.clone(),
            },
            EndOfLife::LeftByItself => Failure::WentByItself { life },
            EndOfLife::Exited { exit, .. } => failure_of_exit(worker, *exit),
        }
    }
}

fn failure_of_exit(worker: &PoolWorker, exit: ProcessExit) -> Failure {
    let life = worker.life;
    match (worker.killed_for(), worker.ready_at) {
        (Some(KillReason::NeverReady), _) => Failure::NeverReady { life },
        (Some(_), _) => Failure::Hung { life },
        (None, None) => Failure::ExitedAtBoot { life, exit },
        (None, Some(_)) => Failure::DiedBaking { life, exit },
    }
}
