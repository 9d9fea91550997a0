//! Reading the master's commands, and noticing its end.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::errno::Errno;
use tokio::sync::{mpsc, watch};

use super::accept::adopted::AdoptionRequest;
use super::admin::{MasterLink, MetricsAnswer};
use super::drain_mode::DrainMode;
use super::handle::Worker;
use super::lending::{Lending, LendingAnswer};
use super::request::health;
use crate::base::ids::Slot;
use crate::lifeline::{Command, MAX_REASON, ReceivedCommand, Report, WorkerEnd};
use crate::pool::OrphanedWork;
use crate::sys::output;

/// The task that reads commands. From the start on it notices the end of the master; commands that need the
/// application are kept until the application has booted.
pub(super) struct CommandReader {
    booted: watch::Sender<bool>,
    streams: CommandStreams,
}

/// What the commands lead to, for those who serve it.
pub(super) struct CommandStreams {
    /// What the master wants done with the queues of other slots.
    pub(super) adoptions: mpsc::UnboundedReceiver<AdoptionRequest>,
    /// Asks the master for the metrics of the whole cluster.
    pub(super) link: MasterLink,
    /// Asks the master for listeners.
    pub(super) lending: Lending,
    /// The file of a program's output, each time that the master has opened it anew.
    pub(super) output_files: mpsc::UnboundedReceiver<OwnedFd>,
}

impl CommandReader {
    /// Begins to read. To be called inside the runtime.
    pub(super) fn start(lifeline: WorkerEnd, worker: Worker) -> CommandReader {
        let (booted, is_booted) = watch::channel(false);
        // Unbounded, because the master is trusted and says little: one command for each slot that has no
        // worker.
        let (adoption_sender, adoptions) = mpsc::unbounded_channel();
        let (metrics_sender, metrics) = mpsc::unbounded_channel();
        let (lent_sender, lent) = mpsc::unbounded_channel();
        let (file_sender, output_files) = mpsc::unbounded_channel();
        let lifeline = Arc::new(lifeline);
        let handler = CommandHandler {
            lifeline: Arc::clone(&lifeline),
            worker,
            booted: is_booted,
            adoptions: adoption_sender,
            metrics: metrics_sender,
            lent: lent_sender,
            output_files: file_sender,
        };
        tokio::spawn(handler.run());
        CommandReader {
            booted,
            streams: CommandStreams {
                adoptions,
                lending: Lending::new(Arc::clone(&lifeline), lent),
                link: MasterLink { lifeline, metrics },
                output_files,
            },
        }
    }

    /// The application has booted: its hooks can be called.
    pub(super) fn booted(self) -> CommandStreams {
        self.booted.send_replace(true);
        self.streams
    }
}

/// Handles the commands that were read.
struct CommandHandler {
    lifeline: Arc<WorkerEnd>,
    worker: Worker,
    booted: watch::Receiver<bool>,
    adoptions: mpsc::UnboundedSender<AdoptionRequest>,
    metrics: mpsc::UnboundedSender<MetricsAnswer>,
    lent: mpsc::UnboundedSender<LendingAnswer>,
    output_files: mpsc::UnboundedSender<OwnedFd>,
}

impl CommandHandler {
    async fn run(self) {
        while let Some(received) = self.lifeline.receive().await {
            self.handle(received);
        }
        if !self.worker.is_draining() {
            tracing::warn!("the master is gone: answering what is in the queue, then draining");
        }
        // The master has read what this process prints.
        if let Err(error) = output::discard() {
            tracing::warn!(%error, "what this worker prints has no reader any more");
        }
        self.worker.orphan();
    }

    fn handle(&self, ReceivedCommand { command, fds }: ReceivedCommand) {
        let context = || {
            (
                Arc::clone(&self.lifeline),
                self.worker.clone(),
                self.booted.clone(),
            )
        };
        match command {
            Command::TakeOver(work) => {
                let (lifeline, worker, booted) = context();
                tokio::spawn(take_over(lifeline, worker, booted, work));
            }
            Command::Probe => {
                let (lifeline, worker, booted) = context();
                tokio::spawn(probe(lifeline, worker, booted));
            }
            Command::StopSoon => self.worker.stop_soon(),
            Command::Stop => self.worker.drain(DrainMode::Prompt),
            Command::Adopt(slot) => self.adopt(slot, fds),
            Command::Disown(slot) => self.request(AdoptionRequest::Disown(slot)),
            // A worker without an admin listener never asked; the file is closed.
            Command::Metrics(number) => drop(self.metrics.send((number, fds))),
            Command::Listener { number, errno } => self.lent(number, errno, fds),
            Command::OutputFile => fds
                .into_iter()
                .for_each(|file| drop(self.output_files.send(file))),
        }
    }

    /// A worker without a program never asked; the listener is closed.
    fn lent(&self, number: u64, errno: i32, fds: Vec<OwnedFd>) {
        let listener = match (errno, fds.into_iter().next()) {
            (0, Some(listener)) => Ok(listener),
            // The descriptor did not arrive: this process can open no more.
            (0, None) => Err(Errno::EMFILE),
            (errno, _) => Err(Errno::from_raw(errno)),
        };
        drop(self.lent.send(LendingAnswer { number, listener }));
    }

    fn adopt(&self, slot: Slot, listeners: Vec<OwnedFd>) {
        if listeners.is_empty() {
            tracing::warn!(
                %slot,
                "another slot's listeners could not be adopted (too many open files): the master asks \
                 another worker"
            );
            let lifeline = Arc::clone(&self.lifeline);
            tokio::spawn(async move { lifeline.send(Report::NotAdopted(slot)).await });
            return;
        }
        self.request(AdoptionRequest::Adopt(slot, listeners));
    }

    /// A worker that drains does not receive these requests any more; the master finds another worker.
    fn request(&self, request: AdoptionRequest) {
        if let Err(unread) = self.adoptions.send(request) {
            tracing::debug!(
                slot = unread.0.slot().0,
                "this worker drains and serves no other slot's queue"
            );
        }
    }
}

/// Asks the application whether it is ready, and reports the answer to the master.
async fn probe(lifeline: Arc<WorkerEnd>, worker: Worker, mut booted: watch::Receiver<bool>) {
    if booted.wait_for(|booted| *booted).await.is_err() {
        return;
    }
    // In a task of its own, so that a panic is seen here.
    let asked = tokio::spawn(async move { health::readiness(&worker).await });
    let verdict = match asked.await {
        Ok(verdict) => verdict.map_err(|reason| reason.chars().take(MAX_REASON).collect()),
        Err(_panic) => Err("its readiness check panicked".to_owned()),
    };
    if let Err(error) = lifeline.send(Report::Probed(verdict)).await {
        tracing::debug!(%error, "the master is gone, so it is not told whether this worker is ready");
    }
}

/// Has the application take over orphaned work, and reports the end of it to the master.
async fn take_over(
    lifeline: Arc<WorkerEnd>,
    worker: Worker,
    mut booted: watch::Receiver<bool>,
    work: OrphanedWork,
) {
    if booted.wait_for(|booted| *booted).await.is_err() {
        return;
    }
    // In a task of its own, so that a panic is seen here.
    let taking = worker.clone();
    if tokio::spawn(async move { taking.take_over(work).await })
        .await
        .is_err()
    {
        return worker.fail(format!("taking over the work of {work} panicked"));
    }
    if let Err(error) = lifeline.send(Report::TakenOver(work)).await {
        tracing::debug!(%error, %work, "the master is gone, so it is not told of the takeover");
    }
}
