//! Asks the master for listeners of addresses that are not configured: a program names them while it runs.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::errno::Errno;
use tokio::sync::mpsc;

use crate::lifeline::{LentAddress, Report, WorkerEnd};

/// The master's answer to one question.
#[derive(Debug)]
pub(crate) struct LendingAnswer {
    /// The number of the question.
    pub(crate) number: u64,
    /// The slot's listener of that address, or why there is none.
    pub(crate) listener: Result<OwnedFd, Errno>,
}

/// Asks, and hears the answers.
#[derive(Debug)]
pub(crate) struct Lending {
    lifeline: Arc<WorkerEnd>,
    answers: mpsc::UnboundedReceiver<LendingAnswer>,
    asked: u64,
}

impl Lending {
    pub(super) fn new(lifeline: Arc<WorkerEnd>, answers: mpsc::UnboundedReceiver<LendingAnswer>) -> Lending {
        Lending {
            lifeline,
            answers,
            asked: 0,
        }
    }

    /// Asks for a listener. Returns the number of the question. A master that is gone never answers.
    pub(crate) fn ask(&mut self, address: LentAddress) -> u64 {
        self.asked += 1;
        let number = self.asked;
        let lifeline = Arc::clone(&self.lifeline);
        tokio::spawn(async move {
            if let Err(error) = lifeline.send(Report::ListenerWanted { number, address }).await {
                tracing::debug!(%error, "the master is gone, so it is not asked for a listener");
            }
        });
        number
    }

    /// The next answer; never returns once the master is gone.
    pub(crate) async fn answer(&mut self) -> LendingAnswer {
        match self.answers.recv().await {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}
