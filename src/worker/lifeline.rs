//! Listening to the master: its commands, and its end.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::accept::adopted::Wish;
use super::admin::{Line, Told};
use super::handle::{Haste, Worker};
use super::request::health;
use crate::base::ids::Slot;
use crate::lifeline::{Command, MAX_REASON, Received, Report, WorkerEnd};
use crate::pool::OrphanedWork;

/// The worker's ears: from the start on they hear the end of the master, and commands are kept until the application is there.
pub(super) struct Ears {
    booted: watch::Sender<bool>,
    wishes: mpsc::UnboundedReceiver<Wish>,
    line: Line,
}

impl Ears {
    /// Begins to listen. To be called inside the runtime.
    pub(super) fn open(line: WorkerEnd, worker: Worker) -> Ears {
        let (booted, is_booted) = watch::channel(false);
        // Unbounded, for the master is trusted and says little: one word for each slot that has no worker.
        let (annexes, wishes) = mpsc::unbounded_channel();
        let (figures, told) = mpsc::unbounded_channel();
        let end = Arc::new(line);
        let ears = Mind {
            line: Arc::clone(&end),
            worker,
            booted: is_booted,
            annexes,
            figures,
        };
        tokio::spawn(ears.listen());
        let line = Line { end, told };
        Ears { booted, wishes, line }
    }

    /// The application is there: its hooks can be called. What the master wants of other slots' queues, and the way to ask it for
    /// the numbers of the whole cluster.
    pub(super) fn booted(self) -> (mpsc::UnboundedReceiver<Wish>, Line) {
        self.booted.send_replace(true);
        (self.wishes, self.line)
    }
}

/// Between the ears and the hands.
struct Mind {
    line: Arc<WorkerEnd>,
    worker: Worker,
    booted: watch::Receiver<bool>,
    annexes: mpsc::UnboundedSender<Wish>,
    figures: mpsc::UnboundedSender<Told>,
}

impl Mind {
    async fn listen(self) {
        while let Some(received) = self.line.receive().await {
            self.obey(received);
        }
        if !self.worker.is_draining() {
            tracing::warn!("the master is gone: answering what is in the queue, then draining");
        }
        self.worker.orphan();
    }

    fn obey(&self, Received { command, fds }: Received) {
        let hands = || (Arc::clone(&self.line), self.worker.clone(), self.booted.clone());
        match command {
            Command::Inherit(estate) => {
                let (line, worker, booted) = hands();
                tokio::spawn(inherit(line, worker, booted, estate));
            }
            Command::Probe => {
                let (line, worker, booted) = hands();
                tokio::spawn(probe(line, worker, booted));
            }
            Command::Stop => self.worker.drain(Haste::Prompt),
            Command::Adopt(slot) => self.adopt(slot, fds),
            Command::Disown(slot) => self.wish(Wish::Disown(slot)),
            // Where nobody asks nobody listens, and the file is closed.
            Command::Figures(number) => drop(self.figures.send((number, fds))),
        }
    }

    fn adopt(&self, slot: Slot, listeners: Vec<OwnedFd>) {
        if listeners.is_empty() {
            tracing::warn!(%slot, "another slot's listeners could not be taken over (too many open files): the master asks somebody else");
            let line = Arc::clone(&self.line);
            tokio::spawn(async move { line.send(Report::NotAdopted(slot)).await });
            return;
        }
        self.wish(Wish::Adopt(slot, listeners));
    }

    /// A worker that drains has stopped listening to this, and the master finds another one.
    fn wish(&self, wish: Wish) {
        if let Err(unheard) = self.annexes.send(wish) {
            tracing::debug!(wish = ?unheard.0, "this worker drains and serves no other slot's queue");
        }
    }
}

/// Asks the application and tells the master.
async fn probe(line: Arc<WorkerEnd>, worker: Worker, mut booted: watch::Receiver<bool>) {
    if booted.wait_for(|booted| *booted).await.is_err() {
        return;
    }
    // In a task of its own, so that a panic is seen here.
    let asked = tokio::spawn(async move { health::readiness(&worker).await });
    let verdict = match asked.await {
        Ok(verdict) => verdict.map_err(|reason| reason.chars().take(MAX_REASON).collect()),
        Err(_panic) => Err("its readiness check panicked".to_owned()),
    };
    if let Err(error) = line.send(Report::Probed(verdict)).await {
        tracing::debug!(%error, "nobody is there to be told of the readiness");
    }
}

/// Has the application take over an estate, and tells the master.
async fn inherit(
    line: Arc<WorkerEnd>,
    worker: Worker,
    mut booted: watch::Receiver<bool>,
    estate: OrphanedWork,
) {
    if booted.wait_for(|booted| *booted).await.is_err() {
        return;
    }
    // In a task of its own, so that a panic is seen here.
    if tokio::spawn(worker.inherit(estate)).await.is_err() {
        return worker.fail(format!("taking over {estate:?} panicked"));
    }
    if let Err(error) = line.send(Report::Inherited(estate)).await {
        tracing::debug!(%error, ?estate, "nobody is there to be told of what was taken over");
    }
}
