//! The master's loop: gather events, let the pool decide, perform its effects.

use std::collections::VecDeque;
use std::io;

use super::host::Host;
use super::perform::Performed;
use super::start::launch::Launch;
use super::start::{self, StartError, Started};
use super::upgrade;
use crate::config::Effective;
use crate::config::settings::LogSettings;
use crate::pool::{Effect, Event, Outcome, Pool};
use crate::sys::{clock, memory};

/// Starts a cluster and serves until it is told to stop.
///
/// # Errors
/// When the master cannot start, or waiting for events fails.
pub fn run(launch: Launch, effective: Effective) -> Result<MasterEnd, StartError> {
    let mut started = start::start(launch, effective)?;
    let mut effects = Vec::new();
    started.pool.start(clock::now(), &mut effects);
    end_of(started, effects, Vec::new())
}

/// Takes over from the master binary before this one, in this process, and serves until it is told to stop.
/// `log` is called with the settings of the log as soon as they are known.
///
/// # Errors
/// When this binary cannot take over. The workers drain then, as after any death of their master.
pub fn go_on(launch: Launch, log: impl FnOnce(&LogSettings)) -> Result<MasterEnd, StartError> {
    let mut going_on = upgrade::go_on(launch, log)?;
    going_on.started.host.persisted.upgrades += 1;
    end_of(going_on.started, Vec::new(), going_on.happened)
}

fn end_of(started: Started, effects: Vec<Effect>, happened: Vec<Event>) -> Result<MasterEnd, StartError> {
    let mut master = MasterLoop {
        pool: started.pool,
        host: started.host,
        samplings: 0,
    };
    master.host.watch_files(master.pool.generation());
    let end = master.serve(effects, happened.into()).map_err(StartError::Loop)?;
    match end.outcome {
        Outcome::Stopped => tracing::info!("stopped"),
        Outcome::Cut => {
            tracing::warn!("stopped; requests were cut, or programs killed that may have had some")
        }
        Outcome::NeverReady => {
            tracing::error!(
                "giving up: no worker ever became ready: each exited by itself or could not be started"
            )
        }
    }
    Ok(end)
}

/// How the cluster ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MasterEnd {
    /// The outcome of the stop.
    pub outcome: Outcome,
    /// The exit code of the last worker that exited by itself.
    pub last_code: Option<i32>,
}

/// Number of samplings after which a start or a reload is over, and the memory that only it needed is given
/// back.
const SAMPLINGS_TO_SETTLE: u32 = 4;

struct MasterLoop {
    pool: Pool,
    host: Host,
    samplings: u32,
}

impl MasterLoop {
    fn serve(mut self, mut effects: Vec<Effect>, mut happened: VecDeque<Event>) -> io::Result<MasterEnd> {
        loop {
            if let Some(outcome) = self.act(&mut effects, &mut happened) {
                self.host.kill_last_strays();
                return Ok(MasterEnd {
                    outcome,
                    last_code: self.host.persisted.last_code,
                });
            }
            self.host.record_processes();
            self.host.answer_no_wait_clients();
            self.host.update_service_manager(&self.pool);
            self.host.update_store();
            crate::observe::flush();
            happened.extend(self.gather()?);
        }
    }

    /// Performs effects and decides on what they lead to, until nothing is left to do or decide.
    fn act(&mut self, effects: &mut Vec<Effect>, happened: &mut VecDeque<Event>) -> Option<Outcome> {
        loop {
            for effect in effects.drain(..) {
                if matches!(effect, Effect::Serve(_)) {
                    self.samplings = 0;
                }
                match self.host.perform(effect, &self.pool) {
                    Performed::Done => {}
                    Performed::Happened(event) => happened.push_back(event),
                    Performed::NotHandedOver(events) => happened.extend(events),
                    Performed::Over(outcome) => return Some(outcome),
                }
            }
            if happened.is_empty() {
                return None;
            }
            self.pool.handle_all(clock::now(), happened.drain(..), effects);
        }
    }

    /// Gives memory back once a start or a reload is over, because a master runs for months.
    fn settle(&mut self) {
        self.samplings = self.samplings.saturating_add(1);
        if self.samplings == SAMPLINGS_TO_SETTLE {
            memory::give_back();
            memory::forget_program();
        }
    }

    /// Waits until something is readable or due, and returns what happened.
    fn gather(&mut self) -> io::Result<Vec<Event>> {
        let now = clock::now();
        let deadline = self.pool.next_deadline(now);
        let other_deadlines = [
            self.host.control.deadline(),
            self.host.upgrade.deadline(),
            self.host.service_manager.deadline(),
            self.host.file_watch_deadline(),
            self.host.stub_deadline(),
        ];
        let earliest = deadline
            .into_iter()
            .chain(other_deadlines.into_iter().flatten())
            .min();
        let sources = self
            .host
            .poller
            .wait(earliest.map(|deadline| deadline.since(now)))?;
        let mut events = self.host.gather(&sources, &self.pool);
        let now = clock::now();
        self.host.service_manager.prove_alive(now);
        self.host.expire_clients(now);
        self.host.expire_rehearsal(now);
        self.host.send_metrics(&self.pool, now);
        events.extend(self.host.reload_changed_files(&self.pool, now));
        events.extend(self.host.watch_stub(now));
        if deadline.is_some_and(|deadline| now >= deadline) {
            events.extend(self.host.sample_workers(now));
            events.extend(self.host.restore_sockets());
            self.host.close_deserted(now);
            events.push(Event::Looked);
            self.settle();
        }
        Ok(events)
    }
}
