//! The loop: wait, ask the pool, act.

use std::collections::VecDeque;
use std::io;

use super::launch::Launch;
use super::perform::Performed;
use super::start::{self, StartError};
use super::world::World;
use crate::config::Settings;
use crate::pool::{Event, Outcome, Pool};
use crate::sys::{clock, memory};

/// Serves until it is told to stop.
///
/// # Errors
/// When it cannot even begin, or the system takes away what the loop stands on.
pub fn run(launch: Launch, settings: Settings) -> Result<End, StartError> {
    let started = start::start(launch, settings)?;
    let end = Master {
        pool: started.pool,
        world: started.world,
        looks: 0,
    }
    .serve()
    .map_err(StartError::Loop)?;
    match end.outcome {
        Outcome::Stopped => tracing::info!("stopped"),
        Outcome::Cut => tracing::warn!("stopped; some requests were cut"),
        Outcome::NeverReady => {
            tracing::error!("giving up: no worker ever became ready, and each left by itself")
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

/// After so many looks at the workers a start is over, and what only it needed is given back.
const SETTLED: u32 = 4;

struct Master {
    pool: Pool,
    world: World,
    looks: u32,
}

impl Master {
    fn serve(mut self) -> io::Result<End> {
        let mut effects = Vec::new();
        self.pool.start(clock::now(), &mut effects);
        let mut happened = VecDeque::new();
        loop {
            if let Some(outcome) = self.act(&mut effects, &mut happened) {
                return Ok(End {
                    outcome,
                    last_code: self.world.last_code,
                });
            }
            self.world.record_processes();
            self.world.release_hasty();
            crate::observe::flush();
            happened.extend(self.wait()?);
        }
    }

    /// Performs effects and decides on what they lead to, until nothing is left to do or decide.
    fn act(
        &mut self,
        effects: &mut Vec<crate::pool::Effect>,
        happened: &mut VecDeque<Event>,
    ) -> Option<Outcome> {
        loop {
            for effect in effects.drain(..) {
                match self.world.perform(effect) {
                    Performed::Done => {}
                    Performed::Happened(event) => happened.push_back(event),
                    Performed::Over(outcome) => return Some(outcome),
                }
            }
            if happened.is_empty() {
                return None;
            }
            self.pool.handle_all(clock::now(), happened.drain(..), effects);
        }
    }

    /// The master is to be small for months, and has read a configuration and a catalog.
    fn settle(&mut self) {
        self.looks = self.looks.saturating_add(1);
        if self.looks == SETTLED {
            memory::give_back();
            memory::forget_code();
        }
    }

    fn wait(&mut self) -> io::Result<Vec<Event>> {
        let now = clock::now();
        let deadline = self.pool.next_deadline(now);
        let earliest = deadline.into_iter().chain(self.world.desk.deadline()).min();
        let sources = self
            .world
            .watch
            .wait(earliest.map(|deadline| deadline.since(now)))?;
        let mut events = self.world.gather(&sources);
        let now = clock::now();
        self.world.expire_clients(now);
        events.extend(self.world.hear_clients(&self.pool, now));
        if deadline.is_some_and(|deadline| now >= deadline) {
            events.extend(self.world.observe(now));
            events.push(Event::Ticked);
            self.settle();
        }
        Ok(events)
    }
}
