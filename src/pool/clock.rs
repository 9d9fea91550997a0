//! The pool's time: the instant of the last batch of events, when to look at the workers next, the last stall
//! of the master, and the pool's randomness.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::random::Random;
use super::worker::heartbeat::{Stall, look_behind};
use crate::base::time::{Grid, Monotonic};

/// Time as the pool knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PoolClock {
    /// When the pool was last asked.
    now: Monotonic,
    /// When to look at the beats of all workers.
    next_look: Monotonic,
    /// The last stretch during which the master did not run.
    stall: Stall,
    random: Random,
}

impl PoolClock {
    pub(super) fn new(now: Monotonic, seed: u64) -> PoolClock {
        PoolClock {
            now,
            next_look: now,
            stall: Stall::default(),
            random: Random::seeded(seed),
        }
    }

    pub(super) fn now(&self) -> Monotonic {
        self.now
    }

    pub(super) fn next_look(&self) -> Monotonic {
        self.next_look
    }

    pub(super) fn stall(&self) -> Stall {
        self.stall
    }

    pub(super) fn draw(&mut self) -> u64 {
        self.random.draw()
    }

    /// The first instant of all.
    pub(super) fn start(&mut self, now: Monotonic) {
        self.now = now;
    }

    /// Takes the new time. `due`: when the pool should have been asked; `interval`: the distance of two
    /// points of the beats' grid. Being asked long after `due` means that the master (or the whole machine)
    /// got no CPU or was stopped; the length of that stall is returned, because it is held against no worker.
    pub(super) fn advance(
        &mut self,
        now: Monotonic,
        due: Option<Monotonic>,
        interval: Duration,
    ) -> Option<Duration> {
        self.now = now.max(self.now);
        let behind = look_behind(interval);
        if self.next_look <= self.now {
            let point = Grid::new(interval).after(Monotonic(self.now.0.saturating_sub(nanos(behind))));
            self.next_look = point + behind;
        }
        let from = due.filter(|&due| self.now.since(due) > behind)?;
        self.stall = Stall { from, to: self.now };
        Some(self.stall.length())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
