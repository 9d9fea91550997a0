//! Performing: carries out the effects of the pool, in their order. What an effect leads to is an event for
//! the next round.

use std::io;
use std::os::fd::AsFd;

use nix::sys::signal::Signal as OsSignal;
use tracing::{debug, error};

use super::control::{self, ClientId, StateAtKill};
use super::host::Host;
use super::listeners::Listeners;
use super::poller::{PollSource, WorkerFd};
use super::process::evidence::examine;
use super::process::generation::LoadedGeneration;
use super::process::policy::policy;
use super::process::strays::runs_program;
use super::process::violations::Violation;
use super::process::{WorkerProcess, cpus, spawn};
use super::report::announce;
use super::report::last_verdict::{self, RecordedVerdict};
use crate::base::exit::Exit;
use crate::base::ids::{Generation, Life, Slot};
use crate::config::{Address, FileMode, Settings, changes_refused};
use crate::lifeline::Command;
use crate::pool::{
    Announcement, Effect, Event, NotLoaded, OrphanedWork, Outcome, Policy, Pool, Signal, SystemdState,
    Ticket, Verdict,
};
use crate::sys::{clock, limits, memory};

/// What an effect led to.
#[derive(Debug)]
pub(super) enum Performed {
    /// Nothing that the pool must know.
    Done,
    /// An event for the pool.
    Happened(Event),
    /// The new master binary could not be executed; these events happened.
    NotHandedOver(Vec<Event>),
    /// The end of the loop.
    Over(Outcome),
}

impl Host {
    /// Performs one effect.
    pub(super) fn perform(&mut self, effect: Effect, pool: &Pool) -> Performed {
        match effect {
            Effect::Spawn { life, generation } => return Performed::Happened(self.spawn(life, generation)),
            Effect::Examine { life } => return self.examine(life),
            Effect::Load(generation) => {
                return Performed::Happened(Event::Loaded(self.load(generation).map(Box::new)));
            }
            Effect::Exit(outcome) => return Performed::Over(outcome),
            Effect::Signal { life, signal } => self.signal(life, signal),
            Effect::Steer(weights) => {
                self.persisted.weights = weights;
                self.steer();
            }
            Effect::Listen { slots } => self.listen(slots),
            Effect::Rehearse => return self.rehearse(pool),
            Effect::HandOver => return Performed::NotHandedOver(self.hand_over(pool)),
            Effect::Unload(generation) => drop(self.generations.remove(&generation)),
            Effect::Serve(generation) => self.serve(generation),
            Effect::TakeOver { by, work } => return self.take_over(by, work),
            Effect::StartStub => return self.start_stub(),
            Effect::StopStub => self.stop_stub(),
            Effect::Close => self.close_listeners(),
            Effect::Forewarn => self.tell_workers(&Command::StopSoon),
            Effect::Hasten => self.tell_workers(&Command::Stop),
            Effect::Probe { life } => return self.probe(life),
            Effect::Adopt { by, slot } => return self.adopt(by, slot),
            Effect::Disown { by, slot } => self.disown(by, slot),
            Effect::Answer { ticket, verdict } => self.answer(ticket, verdict),
            Effect::Announce(announcement) => self.announce(&announcement),
            Effect::Tell(state) => self.notify_service_manager(state, pool),
        }
        Performed::Done
    }

    fn spawn(&mut self, life: Life, generation: Generation) -> Event {
        match self.try_spawn(life, generation) {
            Ok(pid) => {
                self.records_outdated = true;
                Event::Spawned { life, pid }
            }
            Err(error) => {
                self.persisted.last_code =
                    limits::is_exhaustion(&error).then_some(Exit::NoResources.code().into());
                Event::SpawnFailed {
                    life,
                    reason: error.to_string(),
                }
            }
        }
    }

    fn try_spawn(&mut self, life: Life, number: Generation) -> io::Result<i32> {
        let generation = self.generations.get(&number);
        let generation = generation
            .ok_or_else(|| io::Error::other(format!("generation {number} is not loaded any more")))?;
        let (bind, mode) = addresses_of(&generation.settings);
        // A generation that is rolled back to may have addresses that were closed. One whose socket file is
        // missing is bound again when it can be, and no reason to serve the others with fewer workers.
        self.open_addresses(&self.listeners.closed(&bind), mode)
            .map_err(io::Error::other)?;
        self.steer_probes();
        let listeners = self.listeners.of(life.slot, &bind);
        let group = self.strays.make_group(life);
        let process = spawn::spawn(
            &self.spawner,
            life,
            number,
            &self.generations[&number],
            &listeners,
            group.as_ref().map(AsFd::as_fd),
        )?;
        let pid = process.facts.pid;
        let polled = self.poll_process(&process);
        self.processes.insert(life, process);
        self.steer_if_mixed();
        polled.map(|()| pid)
    }

    /// Adds the descriptors of a worker to the poller.
    pub(super) fn poll_process(&self, process: &WorkerProcess) -> io::Result<()> {
        let source = |part| PollSource::Worker(process.facts.life.slot, process.facts.life.epoch, part);
        self.poller
            .add(&process.notify.as_fd(), source(WorkerFd::Notify))?;
        if let Some(lifeline) = &process.lifeline {
            self.poller.add(lifeline, source(WorkerFd::Lifeline))?;
        }
        if let Some(stderr) = &process.stderr {
            self.poller.add(stderr, source(WorkerFd::Stderr))?;
        }
        if let Some(log) = &process.log {
            self.poller.add(log, source(WorkerFd::Log))?;
        }
        self.poller.add(&process.pidfd, source(WorkerFd::Exit))
    }

    fn signal(&mut self, life: Life, signal: Signal) {
        let Some(process) = self.processes.get_mut(&life) else {
            return;
        };
        process.facts.draining = true;
        let signal = match signal {
            Signal::Terminate => OsSignal::SIGTERM,
            Signal::Kill => {
                // After the kill the state can no longer be read.
                let pid = process.facts.pid;
                process.facts.at_kill = Some(match process.output {
                    Some(_) => StateAtKill::look_at_program(pid),
                    None => StateAtKill::look(pid),
                });
                OsSignal::SIGKILL
            }
        };
        if let Err(error) = process.signal(signal) {
            debug!(%life, "failed to send {signal}: {error}");
        }
        self.steer_if_mixed();
    }

    fn examine(&mut self, life: Life) -> Performed {
        let now = clock::now();
        let Some(process) = self.processes.get_mut(&life) else {
            return Performed::Done;
        };
        let activity = examine(process, now);
        Performed::Happened(Event::Examined { life, activity })
    }

    /// Sends a verdict to the client that waits for it; a client that has left gets none.
    fn answer(&mut self, ticket: Ticket, verdict: Verdict) {
        let answer = control::answer(verdict, self);
        self.control.answer(ClientId(ticket.0), answer, &self.poller);
    }

    fn announce(&mut self, announcement: &Announcement) {
        announce::announce(announcement);
        let last = &mut self.persisted.last_verdict;
        if let Some(verdict) = RecordedVerdict::of(announcement, last.as_ref(), clock::now()) {
            *last = Some(verdict);
        }
    }

    fn notify_service_manager(&mut self, state: SystemdState, pool: &Pool) {
        let last = self.persisted.last_verdict.as_ref();
        self.service_manager
            .notify(state, || last_verdict::serving(pool, last));
    }

    /// Has the service manager keep the listeners for the next master.
    pub(super) fn update_store(&mut self) {
        self.service_manager.update_store(|| self.listeners.to_store());
    }

    /// Takes no new connections. If the service manager keeps the listeners, they wait for the next master.
    fn close_listeners(&mut self) {
        if self.service_manager.leave_store() {
            self.listeners.leave_files();
        }
        self.listeners = Listeners::default();
    }

    /// Keeps the service manager's description of the cluster up to date.
    pub(super) fn update_service_manager(&mut self, pool: &Pool) {
        let last = self.persisted.last_verdict.as_ref();
        self.service_manager.update(|| last_verdict::serving(pool, last));
    }

    fn listen(&mut self, slots: u16) {
        if let Err(error) = self.listeners.grow(slots) {
            error!("failed to open listeners for {slots} slots: {error}");
        }
        self.service_manager.set_store_outdated();
    }

    fn load(&mut self, number: Generation) -> Result<Policy, NotLoaded> {
        let loaded = self.launch.load().map_err(|error| error.to_string());
        let settings = loaded
            .and_then(|effective| self.listeners.with_passed(effective))
            .map_err(NotLoaded::Configuration)?;
        memory::give_back();
        if let Some(newest) = self.newest() {
            refuse_fixed_keys(&changes_refused(
                self.launch.sections,
                &newest.settings,
                &settings,
            ))
            .map_err(NotLoaded::Configuration)?;
        }
        let policy = policy(&settings, cpus::workers(&settings).workers);
        let (bind, mode) = addresses_of(&settings);
        let binary = self.spawner.program.location.find();
        let generation = binary
            .and_then(|path| LoadedGeneration::open(&path, settings))
            .map_err(|error| NotLoaded::Binary(error.to_string()))?;
        self.open_addresses(&bind, mode)
            .map_err(|error| NotLoaded::Configuration(format!("cluster.bind: {error}")))?;
        let data_dir = &self.directories.data;
        self.strays.watch(runs_program(&generation.settings), data_dir);
        self.generations.insert(number, generation);
        Ok(policy)
    }

    /// Tells every worker that the cluster stops, or will. A worker that cannot be told drains as after
    /// SIGTERM alone.
    fn tell_workers(&self, command: &Command) {
        for process in self.processes.values() {
            if let Err(error) = process.command(command) {
                debug!(life = %process.facts.life, "failed to tell a worker that the cluster stops: {error}");
            }
        }
    }

    /// Asks a worker to take over orphaned work. A worker that does not do it will be late and killed, and
    /// the pool asks another.
    fn take_over(&mut self, by: Life, work: OrphanedWork) -> Performed {
        let Some(process) = self.processes.get_mut(&by) else {
            return Performed::Done;
        };
        match process.command(&Command::TakeOver(work)) {
            Ok(()) => Performed::Done,
            Err(error) => {
                process
                    .violations
                    .report(by, &Violation::Unreachable(error.to_string()));
                Performed::Happened(Event::NotTakenOver { by, work })
            }
        }
    }
}

impl Host {
    fn adopt(&mut self, by: Life, slot: Slot) -> Performed {
        #[cfg(feature = "mutants")]
        self.listeners.close_retired(slot);
        let Some(process) = self.processes.get_mut(&by) else {
            return Performed::Done;
        };
        match process.hand_over(slot, &self.listeners.members_of(slot)) {
            Ok(()) => {
                debug!(%by, %slot, "a worker adopts the queue of another slot");
                Performed::Done
            }
            Err(error) => {
                process
                    .violations
                    .report(by, &Violation::Unreachable(error.to_string()));
                // Some of the listeners may have been sent before one failed.
                if let Err(error) = process.command(&Command::Disown(slot)) {
                    debug!(%by, %slot, "failed to take back a queue that a worker could not adopt: {error}");
                }
                Performed::Happened(Event::NotAdopted { by, slot })
            }
        }
    }

    fn disown(&self, by: Life, slot: Slot) {
        let Some(process) = self.processes.get(&by) else {
            return;
        };
        if let Err(error) = process.command(&Command::Disown(slot)) {
            debug!(%by, %slot, "failed to take back a queue from a worker: {error}");
        }
    }

    /// Asks a worker for its readiness; the answer comes over the lifeline. A worker that cannot be asked is
    /// not ready.
    fn probe(&self, life: Life) -> Performed {
        let Some(process) = self.processes.get(&life) else {
            return Performed::Done;
        };
        match process.command(&Command::Probe) {
            Ok(()) => Performed::Done,
            Err(error) => Performed::Happened(Event::Probed {
                life,
                verdict: Err(format!("the worker cannot be asked: {error}")),
            }),
        }
    }
}

fn refuse_fixed_keys(keys: &[String]) -> Result<(), String> {
    match keys {
        [] => Ok(()),
        keys => Err(format!(
            "a reload cannot change {}; stop and start to change it",
            keys.join(", ")
        )),
    }
}

/// The addresses of the settings, and the mode of unix sockets.
fn addresses_of(settings: &Settings) -> (Vec<Address>, FileMode) {
    (settings.cluster.bind.clone(), settings.cluster.socket_mode)
}
