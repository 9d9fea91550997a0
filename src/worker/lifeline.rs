//! Listening to the master: its commands, and its end.

use std::sync::Arc;

use tokio::sync::watch;

use super::handle::{Haste, Worker};
use crate::lifeline::{Command, Report, WorkerEnd};
use crate::pool::Estate;

/// The worker's ears: from the start on they hear the end of the master, and commands are kept until the application is there.
pub(super) struct Ears {
    booted: watch::Sender<bool>,
}

impl Ears {
    /// Begins to listen. To be called inside the runtime.
    pub(super) fn open(line: WorkerEnd, worker: Worker) -> Ears {
        let (booted, is_booted) = watch::channel(false);
        tokio::spawn(listen(Arc::new(line), worker, is_booted));
        Ears { booted }
    }

    /// The application is there: its hooks can be called.
    pub(super) fn booted(&self) {
        self.booted.send_replace(true);
    }
}

async fn listen(line: Arc<WorkerEnd>, worker: Worker, booted: watch::Receiver<bool>) {
    while let Some(command) = line.receive().await {
        match command {
            Command::Inherit(estate) => {
                tokio::spawn(inherit(Arc::clone(&line), worker.clone(), booted.clone(), estate));
            }
            Command::Stop => worker.drain(Haste::Prompt),
        }
    }
    if !worker.is_draining() {
        tracing::warn!("the master is gone: answering what is in the queue, then draining");
    }
    worker.drain(Haste::Prompt);
}

/// Has the application take over an estate, and tells the master.
async fn inherit(line: Arc<WorkerEnd>, worker: Worker, mut booted: watch::Receiver<bool>, estate: Estate) {
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
