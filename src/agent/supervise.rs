//! The life of one program: it is started, becomes ready, serves, is asked to end, ends. Its worker answers
//! for it to the master in the meantime.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::adoption::AdoptedQueues;
use super::conversation::{Conversation, Heard};
use super::drain::Drain;
use super::facts::ProgramFacts;
use super::launch::{LaunchError, Launched, ProgramLaunch};
use super::node::preload::NodePreload;
use super::node::session::NodeEvent;
use super::notify::{ProgramNotification, ProgramNotify};
use super::output::{OutputContext, ProgramOutput};
use super::process_tree::{Deaths, ProcessTree};
use super::pulse::{Pulse, PulseSource};
use super::readiness::{ReadySignals, wait_until_ready};
use super::unused::{UnusedListeners, configured_listeners};
use super::vouching::beat_for;
use crate::base::exit::Exit;
use crate::base::millis::ms;
use crate::config::ReadyRule;
use crate::output_ring::OutputRing;
use crate::scoreboard::Cell;
use crate::sys::limits;
use crate::worker::{
    AdoptionRequest, DrainLimits, Notify, OutputDescriptors, ProgramWorker, Worker, WorkerExit, print_error,
};

/// Runs the program of the settings to its end.
pub(crate) fn run(given: ProgramWorker) -> Pin<Box<dyn Future<Output = WorkerExit>>> {
    Box::pin(async move {
        match Supervision::begin(given) {
            Ok(supervision) => supervision.run().await,
            Err(error) => {
                // The master logs it, and shows it to the person who asked for the reload.
                print_error(&error.to_string());
                WorkerExit::Own(exit_of(&error))
            }
        }
    })
}

/// A command that is wrong stays wrong until a person changes it.
fn exit_of(error: &LaunchError) -> Exit {
    match error {
        LaunchError::System(_) => Exit::NoResources,
        LaunchError::Command(refusal) if refusal.is_passing() => Exit::NoResources,
        LaunchError::Preload { error, .. } if limits::is_exhaustion(error) => Exit::NoResources,
        LaunchError::Preload { .. } => Exit::Unwritable,
        LaunchError::Command(_)
        | LaunchError::NoNode(_)
        | LaunchError::NoListeners
        | LaunchError::NeverReady(_) => Exit::BadConfig,
    }
}

/// A program that runs, and all that is known of it.
pub(super) struct Supervision {
    pub(super) worker: Worker,
    /// Where the master is told of the program.
    pub(super) master: Notify,
    pub(super) cell: Cell,
    /// The worker's own beats, until those of the program begin.
    pub(super) beats: JoinHandle<()>,
    /// The beats of the program, which end with the reason why it is given up.
    pub(super) vouching: Option<JoinHandle<String>>,
    pub(super) notes: watch::Receiver<Option<String>>,
    pub(super) adoptions: mpsc::UnboundedReceiver<AdoptionRequest>,
    pub(super) adopted: AdoptedQueues,
    pub(super) output_files: mpsc::UnboundedReceiver<OwnedFd>,
    pub(super) facts: ProgramFacts,
    pub(super) tree: ProcessTree,
    pub(super) conversation: Option<Conversation>,
    pub(super) notify: ProgramNotify,
    pub(super) output: ProgramOutput,
    pub(super) pulse: Pulse,
    pub(super) notified: watch::Sender<bool>,
    pub(super) listening: watch::Sender<bool>,
    /// Why the program did not answer as it should, when it was last asked whether it is ready.
    pub(super) ready_failure: watch::Sender<Option<String>>,
    /// A Node program has spoken on its channel.
    pub(super) speaks: bool,
    /// Why its channel was given up.
    pub(super) given_up: Option<String>,
    /// That it listens by itself was told.
    pub(super) told_own: bool,
    pub(super) is_ready: bool,
    /// Which of its listeners nobody accepts from.
    pub(super) unused: UnusedListeners,
    pub(super) was_late: bool,
    pub(super) drain: Option<Drain>,
    pub(super) begun: Instant,
    /// What `status` shows of the program.
    pub(super) shown: String,
    /// Kept until the program has ended, because each thread of it loads the file.
    pub(super) _preload: Option<NodePreload>,
}

/// What happens next to a program.
enum Step {
    Died,
    Drain(DrainLimits),
    Deadline,
    Ready(String),
    Node(NodeEvent),
    /// The program has closed this listener.
    QueueLeft(OwnedFd),
    Notified(ProgramNotification),
    Adoption(AdoptionRequest),
    OutputFile(OwnedFd),
    Note,
    /// The program should be ready by now.
    Late,
    /// It should accept from all of its listeners by now.
    Unused,
    GivenUp(String),
}

impl Supervision {
    fn begin(given: ProgramWorker) -> Result<Supervision, LaunchError> {
        let begun = Instant::now();
        let ProgramWorker {
            worker,
            listeners,
            notify: master,
            cell,
            beats,
            adoptions,
            lending,
            output,
            output_files,
        } = given;
        let deaths = Deaths::hear()?;
        let notify = ProgramNotify::bind()?;
        let (output, pipes) = ProgramOutput::open(output_context(&worker, output)?)?;
        let settings = worker.settings();
        let launch = ProgramLaunch {
            run: &settings.run,
            identity: worker.identity(),
            listeners: &listeners,
            notify: notify.name(),
            beat_interval: settings.cluster.heartbeat_interval,
            beat_timeout: settings.cluster.heartbeat_timeout,
        };
        let launched = launch.start(&pipes)?;
        drop(pipes);
        output.started(launched.child.pid);
        let Launched {
            child,
            mode,
            given,
            channel,
            preload,
        } = launched;
        let facts = ProgramFacts {
            pid: child.pid,
            slot: worker.identity().life.slot,
            mode,
            listeners: given,
        };
        let configured = configured_listeners(&listeners);
        let known = facts.listeners.clone();
        let conversation = channel.map(|channel| Conversation::new(channel, lending, listeners, known));
        Ok(Supervision {
            notes: worker.status_notes(),
            worker,
            master,
            cell,
            beats,
            vouching: None,
            adoptions,
            adopted: AdoptedQueues::new(),
            output_files,
            facts,
            tree: ProcessTree::new(&child, deaths)?,
            conversation,
            notify,
            output,
            pulse: Pulse::default(),
            notified: watch::Sender::new(false),
            listening: watch::Sender::new(false),
            ready_failure: watch::Sender::new(None),
            speaks: false,
            given_up: None,
            told_own: false,
            is_ready: false,
            unused: UnusedListeners::of(&configured),
            was_late: false,
            drain: None,
            begun,
            shown: String::new(),
            _preload: preload,
        })
    }

    async fn run(mut self) -> WorkerExit {
        tracing::debug!(pid = self.tree.main(), "the program has been started");
        let mut ready = Box::pin(self.readiness());
        while !self.is_over() {
            let step = self.next(ready.as_mut()).await;
            self.take(step);
        }
        self.end().await
    }

    /// Waits until the program is ready, and says how that was known.
    fn readiness(&self) -> impl Future<Output = String> + use<> {
        let rule = self.worker.settings().run.ready.clone();
        let (facts, output) = (self.facts.clone(), self.output.clone());
        let signals = ReadySignals {
            notified: self.notified.subscribe(),
            listening: self.listening.subscribe(),
            failure: self.ready_failure.clone(),
        };
        async move {
            let line = match &rule {
                ReadyRule::Log(pattern) => Some(pattern.clone()),
                _ => None,
            };
            let logged = async {
                match line {
                    Some(pattern) => output.matched(move |line| pattern.regex().is_match(line)).await,
                    None => std::future::pending().await,
                }
            };
            wait_until_ready(&rule, &facts, signals, logged).await
        }
    }

    /// The program has ended, and nobody waits for what it has left.
    fn is_over(&self) -> bool {
        match &self.drain {
            // Wrappers may end at once and leave the program to finish.
            Some(drain) => drain.is_over || self.tree.has_ended(),
            None => self.tree.ended().is_some(),
        }
    }

    async fn next(&mut self, ready: Pin<&mut impl Future<Output = String>>) -> Step {
        let deadline = self.drain.map(|drain| drain.deadline());
        let limits = self.drain.map(|drain| drain.limits);
        let main = self.tree.main();
        let late = self.begun + self.worker.settings().cluster.ready_timeout * 3 / 4;
        let unused = self.unused.next_look().filter(|_| self.drain.is_none());
        let given_up = async {
            match &mut self.vouching {
                Some(vouching) => vouching.await.ok(),
                None => std::future::pending().await,
            }
        };
        let said = async {
            match &mut self.conversation {
                Some(conversation) => conversation.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.tree.changed() => Step::Died,
            limits = DrainLimits::begun(&self.worker, limits) => Step::Drain(limits),
            () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                Step::Deadline
            }
            how = ready, if !self.is_ready => Step::Ready(how),
            heard = said => match heard {
                Heard::Node(event) => Step::Node(event),
                Heard::QueueLeft(listener) => Step::QueueLeft(listener),
            },
            said = self.notify.next(main) => Step::Notified(said),
            Some(request) = self.adoptions.recv() => Step::Adoption(request),
            Some(file) = self.output_files.recv() => Step::OutputFile(file),
            Ok(()) = self.notes.changed() => Step::Note,
            Some(reason) = given_up => Step::GivenUp(reason),
            () = tokio::time::sleep_until(unused.unwrap_or_else(Instant::now)), if unused.is_some() => Step::Unused,
            () = tokio::time::sleep_until(late), if !self.is_ready && !self.was_late => Step::Late,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Died => {}
            Step::Drain(limits) => self.drain(limits),
            Step::Deadline => self.deadline(),
            Step::Unused => self.look_for_unused_listeners(),
            Step::Ready(how) => self.ready(&how),
            Step::Node(event) => self.heard(event),
            Step::QueueLeft(listener) => self.adopted.empty(listener),
            Step::Notified(said) => self.notified(said),
            Step::Adoption(request) if self.drain.is_none() => self.adopted.handle(request),
            Step::Adoption(_) => {}
            Step::OutputFile(file) => self.output.replace_file(file),
            Step::Note => self.show(),
            Step::Late => self.late(),
            Step::GivenUp(reason) => {
                self.vouching = None;
                self.give_up(&format!("the program: {reason}"));
            }
        }
    }

    fn ready(&mut self, how: &str) {
        self.is_ready = true;
        if self.drain.is_some() {
            return;
        }
        // The first beat must be there before the master looks for it.
        self.cell.stamp();
        self.beats.abort();
        let beats = beat_for(
            self.facts.clone(),
            self.pulse.clone(),
            self.worker.clone(),
            self.cell.clone(),
        );
        self.vouching = Some(tokio::spawn(beats));
        if self.was_late {
            self.master.trouble(None);
        }
        let took_ms = ms(self.begun.elapsed());
        tracing::debug!(took_ms, pid = self.tree.main(), "ready: {how}");
        self.shown = format!("program {}: {how}", self.tree.main());
        self.master.ready(&self.shown);
        self.tell_way(how);
        self.unused.begin();
    }

    fn notified(&mut self, said: ProgramNotification) {
        match said {
            ProgramNotification::Ready => drop(self.notified.send_replace(true)),
            ProgramNotification::Alive => {
                self.pulse.beat(PulseSource::Watchdog);
            }
            ProgramNotification::Failed => self.give_up("the program has said WATCHDOG=trigger"),
            ProgramNotification::Status(status) => {
                self.shown = format!("program {}: {status}", self.tree.main());
                self.show();
            }
        }
    }
}

fn output_context(worker: &Worker, given: OutputDescriptors) -> io::Result<OutputContext> {
    // A master of an older build keeps no last lines.
    let ring = given
        .ring
        .map_or_else(|| OutputRing::create_fd("cluster-output"), Ok)?;
    Ok(OutputContext {
        slot: worker.identity().life.slot,
        ring: OutputRing::open(ring).map_err(io::Error::other)?,
        file: given.file,
    })
}
