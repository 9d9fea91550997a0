//! The loop: wait, ask the pool, act.

use std::collections::VecDeque;
use std::io;

use super::launch::Launch;
use super::perform::Performed;
use super::start::{self, StartError, Started};
use super::upgrade;
use super::world::World;
use crate::config::Settings;
use crate::config::settings::LogSettings;
use crate::pool::{Effect, Event, Outcome, Pool};
use crate::sys::{clock, memory};

/// Serves until it is told to stop.
///
/// # Errors
/// When it cannot even begin, or the system takes away what the loop stands on.
pub fn run(launch: Launch, settings: Settings) -> Result<End, StartError> {
    let mut started = start::start(launch, settings)?;
    let mut effects = Vec::new();
    started.pool.start(clock::now(), &mut effects);
    end_of(started, effects, Vec::new())
}

/// Serves on where the master before this binary was, in this process, until it is told to stop. `log` is told how the cluster logs,
/// as soon as that is known.
///
/// # Errors
/// When it cannot go on from there. The workers drain then, as after any death of their master.
pub fn go_on(launch: Launch, log: impl FnOnce(&LogSettings)) -> Result<End, StartError> {
    let mut going_on = upgrade::go_on(launch, log)?;
    going_on.started.world.kept.upgrades += 1;
    end_of(going_on.started, Vec::new(), going_on.happened)
}

fn end_of(started: Started, effects: Vec<Effect>, happened: Vec<Event>) -> Result<End, StartError> {
    let master = Master {
        pool: started.pool,
        world: started.world,
        looks: 0,
    };
    let end = master.serve(effects, happened.into()).map_err(StartError::Loop)?;
    match end.outcome {
        Outcome::Stopped => tracing::info!("stopped"),
        Outcome::Cut => tracing::warn!("stopped; some requests were cut"),
        Outcome::NeverReady => {
            tracing::error!(
                "giving up: no worker ever became ready: each left by itself or could not be started"
            )
        }
    }
    Ok(end)
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// What the pool says.
    pub outcome: Outcome,
    /// The code the last worker left with by itself.
    pub last_code: Option<i32>,
}

/// After so many looks at the workers a start or a reload is over, and what only it needed is given back.
const SETTLED: u32 = 4;

struct Master {
    pool: Pool,
    world: World,
    looks: u32,
}

impl Master {
    fn serve(mut self, mut effects: Vec<Effect>, mut happened: VecDeque<Event>) -> io::Result<End> {
        loop {
            if let Some(outcome) = self.act(&mut effects, &mut happened) {
                return Ok(End {
                    outcome,
                    last_code: self.world.kept.last_code,
                });
            }
            self.world.record_processes();
            self.world.release_hasty();
            crate::observe::flush();
            happened.extend(self.gather()?);
        }
    }

    /// Performs effects and decides on what they lead to, until nothing is left to do or decide.
    fn act(&mut self, effects: &mut Vec<Effect>, happened: &mut VecDeque<Event>) -> Option<Outcome> {
        loop {
            for effect in effects.drain(..) {
                if matches!(effect, Effect::Serve(_)) {
                    self.looks = 0;
                }
                match self.world.perform(effect, &self.pool) {
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

    /// The master is to be small for months, and has read a configuration.
    fn settle(&mut self) {
        self.looks = self.looks.saturating_add(1);
        if self.looks == SETTLED {
            memory::give_back();
            memory::forget_program();
        }
    }

    /// Waits until something is readable or due, and says what happened.
    fn gather(&mut self) -> io::Result<Vec<Event>> {
        let now = clock::now();
        let deadline = self.pool.next_deadline(now);
        let beside = [self.world.desk.deadline(), self.world.upgrade.deadline()];
        let earliest = deadline.into_iter().chain(beside.into_iter().flatten()).min();
        let sources = self
            .world
            .watch
            .wait(earliest.map(|deadline| deadline.since(now)))?;
        let mut events = self.world.gather(&sources, &self.pool);
        let now = clock::now();
        self.world.expire_clients(now);
        self.world.expire_rehearsal(now);
        self.world.tell_figures(&self.pool, now);
        if deadline.is_some_and(|deadline| now >= deadline) {
            events.extend(self.world.observe(now));
            self.world.desk.mend(&self.world.watch);
            events.push(Event::Looked);
            self.settle();
        }
        Ok(events)
    }
}
