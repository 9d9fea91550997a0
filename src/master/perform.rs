//! What the pool wants is done, in the order given. What an effect leads to is an event for the next round.

use std::io;
use std::os::fd::AsFd;

use nix::sys::signal::Signal as OsSignal;
use tracing::{debug, error};

use super::control::{self, AtKill, ClientId};
use super::cpus;
use super::evidence::examine;
use super::generation::Generation;
use super::listeners::Listeners;
use super::oddities::Odd;
use super::policy::policy;
use super::process::Process;
use super::watch::{Part, Source};
use super::world::World;
use super::{announce, spawn, systemd};
use crate::base::exit::Exit;
use crate::base::ids::{Generation as Number, Life, Slot};
use crate::config::{Address, FileMode, Settings, changes_refused};
use crate::lifeline::Command;
use crate::pool::{Effect, Event, NotLoaded, OrphanedWork, Outcome, Policy, Pool, Signal, Ticket, Verdict};
use crate::sys::{clock, limits, memory};

/// What came of an effect.
#[derive(Debug)]
pub(super) enum Performed {
    /// Nothing the pool must hear of.
    Done,
    /// This happened.
    Happened(Event),
    /// Another binary could not be executed, and this happened meanwhile.
    NotHandedOver(Vec<Event>),
    /// The loop is over.
    Over(Outcome),
}

impl World {
    /// Does one thing.
    pub(super) fn perform(&mut self, effect: Effect, pool: &Pool) -> Performed {
        match effect {
            Effect::Spawn { life, generation } => return Performed::Happened(self.spawn(life, generation)),
            Effect::Examine { life } => return self.examine(life),
            Effect::Load(generation) => return Performed::Happened(Event::Loaded(self.load(generation))),
            Effect::Exit(outcome) => return Performed::Over(outcome),
            Effect::Signal { life, signal } => self.signal(life, signal),
            Effect::Steer(weights) => {
                self.kept.weights = weights;
                self.steer();
            }
            Effect::Listen { slots } => self.listen(slots),
            Effect::Rehearse => return self.rehearse(pool),
            Effect::HandOver => return Performed::NotHandedOver(self.hand_over(pool)),
            Effect::Unload(generation) => drop(self.generations.remove(&generation)),
            Effect::Serve(generation) => self.serve(generation),
            Effect::TakeOver { by, work } => return self.take_over(by, work),
            Effect::Close => self.listeners = Listeners::default(),
            Effect::Hasten => self.hasten(),
            Effect::Probe { life } => return self.probe(life),
            Effect::Adopt { by, slot } => return self.adopt(by, slot),
            Effect::Disown { by, slot } => self.disown(by, slot),
            Effect::Answer { ticket, verdict } => self.answer(ticket, verdict),
            Effect::Announce(announcement) => announce::announce(&announcement),
            Effect::Tell(state) => systemd::tell(state),
        }
        Performed::Done
    }

    fn spawn(&mut self, life: Life, generation: Number) -> Event {
        match self.try_spawn(life, generation) {
            Ok(pid) => {
                self.unrecorded = true;
                Event::Spawned { life, pid }
            }
            Err(error) => {
                self.kept.last_code =
                    limits::is_exhaustion(&error).then_some(Exit::NoResources.code().into());
                Event::SpawnFailed {
                    life,
                    reason: error.to_string(),
                }
            }
        }
    }

    fn try_spawn(&mut self, life: Life, number: Number) -> io::Result<i32> {
        let generation = self.generations.get(&number);
        let generation =
            generation.ok_or_else(|| io::Error::other(format!("generation {number} is gone")))?;
        let (bind, mode) = addresses_of(&generation.settings);
        // One that is rolled back to may have addresses that were let go of.
        self.open_addresses(&bind, mode).map_err(io::Error::other)?;
        let listeners = self.listeners.of(life.slot, &bind);
        let process = spawn::spawn(
            &self.nursery,
            life,
            number,
            &self.generations[&number],
            &listeners,
        )?;
        let pid = process.pid;
        let watched = self.watch_process(&process);
        self.processes.insert(life, process);
        self.steer_if_mixed();
        watched.map(|()| pid)
    }

    pub(super) fn watch_process(&self, process: &Process) -> io::Result<()> {
        let source = |part| Source::Worker(process.life.slot, process.life.epoch, part);
        self.watch.add(&process.notify.as_fd(), source(Part::Notify))?;
        if let Some(lifeline) = &process.lifeline {
            self.watch.add(lifeline, source(Part::Lifeline))?;
        }
        if let Some(stderr) = &process.stderr {
            self.watch.add(stderr, source(Part::Stderr))?;
        }
        self.watch.add(&process.pidfd, source(Part::Exit))
    }

    fn signal(&mut self, life: Life, signal: Signal) {
        let Some(process) = self.processes.get_mut(&life) else {
            return;
        };
        process.leaving = true;
        let signal = match signal {
            Signal::Terminate => OsSignal::SIGTERM,
            Signal::Kill => {
                // Afterwards there is nothing left to look at.
                process.at_kill = Some(AtKill::look(process.pid));
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

    /// A client that has left is told nothing.
    fn answer(&mut self, ticket: Ticket, verdict: Verdict) {
        let answer = control::answer(verdict, self);
        self.desk.answer(ClientId(ticket.0), answer, &self.watch);
    }

    fn listen(&mut self, slots: u16) {
        if let Err(error) = self.listeners.grow(slots) {
            error!("failed to open listeners for {slots} slots: {error}");
        }
    }

    fn load(&mut self, number: Number) -> Result<Policy, NotLoaded> {
        let settings = self
            .launch
            .load()
            .map_err(|error| NotLoaded::Configuration(error.to_string()))?
            .settings;
        memory::give_back();
        if let Some(newest) = self.newest() {
            refuse_what_is_fixed(&changes_refused(
                self.launch.sections,
                &newest.settings,
                &settings,
            ))
            .map_err(NotLoaded::Configuration)?;
        }
        let policy = policy(&settings, cpus::workers(&settings).workers);
        let (bind, mode) = addresses_of(&settings);
        let generation = Generation::open(&self.nursery.program.path, settings)
            .map_err(|error| NotLoaded::Binary(error.to_string()))?;
        self.open_addresses(&bind, mode)
            .map_err(|error| NotLoaded::Configuration(format!("cluster.bind: {error}")))?;
        self.generations.insert(number, generation);
        Ok(policy)
    }

    /// Whoever does not hear it drains as patiently as SIGTERM alone asks for.
    fn hasten(&self) {
        for process in self.processes.values() {
            if let Err(error) = process.command(&Command::Stop) {
                debug!(life = %process.life, "failed to tell a worker that the cluster stops: {error}");
            }
        }
    }

    /// A worker that hears of it and does nothing is late soon, is killed, and the pool finds another worker.
    fn take_over(&mut self, by: Life, work: OrphanedWork) -> Performed {
        let Some(process) = self.processes.get_mut(&by) else {
            return Performed::Done;
        };
        match process.command(&Command::TakeOver(work)) {
            Ok(()) => Performed::Done,
            Err(error) => {
                process.oddities.tell(by, &Odd::Deaf(error.to_string()));
                Performed::Happened(Event::NotTakenOver { by, work })
            }
        }
    }
}

impl World {
    fn adopt(&mut self, by: Life, slot: Slot) -> Performed {
        #[cfg(feature = "mutants")]
        self.listeners.close_retired(slot);
        let Some(process) = self.processes.get_mut(&by) else {
            return Performed::Done;
        };
        match process.hand_over(slot, &self.listeners.members_of(slot)) {
            Ok(()) => {
                debug!(%by, %slot, "adopts the queue of another slot");
                Performed::Done
            }
            Err(error) => {
                process.oddities.tell(by, &Odd::Deaf(error.to_string()));
                // Of many listeners some may have gone out before the rest did not.
                if let Err(error) = process.command(&Command::Disown(slot)) {
                    debug!(%by, %slot, "nor does it hear that it shall let go of it: {error}");
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
            debug!(%by, %slot, "failed to take back a queue: {error}");
        }
    }

    /// The answer comes over the lifeline; one that cannot be asked is not ready.
    fn probe(&self, life: Life) -> Performed {
        let Some(process) = self.processes.get(&life) else {
            return Performed::Done;
        };
        match process.command(&Command::Probe) {
            Ok(()) => Performed::Done,
            Err(error) => Performed::Happened(Event::Probed {
                life,
                verdict: Err(format!("it cannot be asked: {error}")),
            }),
        }
    }
}

fn refuse_what_is_fixed(keys: &[String]) -> Result<(), String> {
    match keys {
        [] => Ok(()),
        keys => Err(format!(
            "a reload cannot change {}; stop and start to change it",
            keys.join(", ")
        )),
    }
}

/// Where it listens, and with which mode at a path.
fn addresses_of(settings: &Settings) -> (Vec<Address>, FileMode) {
    (settings.cluster.bind.clone(), settings.cluster.socket_mode)
}
