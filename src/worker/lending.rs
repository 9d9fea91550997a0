//! Asks the master for listeners of addresses that are not configured, and gives them back: a program names
//! them while it runs.

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
    /// The slot's listener of that address, or why there is none. Of one that was given back: the listener
    /// when others listen there still, so that what waits in it can be passed on.
    pub(crate) listener: Result<OwnedFd, Errno>,
}

/// Asks, and hears the answers.
#[derive(Debug)]
pub(crate) struct Lending {
    reports: mpsc::UnboundedSender<Report>,
    answers: mpsc::UnboundedReceiver<LendingAnswer>,
    asked: u64,
}

impl Lending {
    /// To be called inside the runtime.
    pub(super) fn new(lifeline: Arc<WorkerEnd>, answers: mpsc::UnboundedReceiver<LendingAnswer>) -> Lending {
        // Bounded by the listeners that a program may have or ask for.
        let (reports, mut sent) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(report) = sent.recv().await {
                if let Err(error) = lifeline.send(report).await {
                    tracing::debug!(%error, "the master is gone, so it is not asked for a listener");
                }
            }
        });
        Lending {
            reports,
            answers,
            asked: 0,
        }
    }

    /// Asks for a listener. Returns the number of the question. A master that is gone never answers.
    pub(crate) fn ask(&mut self, address: LentAddress) -> u64 {
        self.say(|number| Report::ListenerWanted { number, address })
    }

    /// Gives back a listener that was asked for with this address. Returns the number of the question.
    pub(crate) fn give_back(&mut self, address: LentAddress) -> u64 {
        self.say(|number| Report::ListenerReturned { number, address })
    }

    /// Reports are sent in turn: one that gives a listener back does not overtake the one that asked for it.
    fn say(&mut self, report: impl FnOnce(u64) -> Report) -> u64 {
        self.asked += 1;
        // The task that sends lives for as long as anybody asks.
        drop(self.reports.send(report(self.asked)));
        self.asked
    }

    /// The next answer; never returns once the master is gone.
    pub(crate) async fn answer(&mut self) -> LendingAnswer {
        match self.answers.recv().await {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}
