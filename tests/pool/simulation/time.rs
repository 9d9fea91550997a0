//! Time in the simulation: what happens next, what a look at the workers finds, and what an event means
//! for the simulation itself.

use std::time::Duration;

use cluster::base::ids::Life;
use cluster::base::time::Monotonic;
use cluster::pool::{Event, Notification, OrphanedWork, ProcessExit, Sample};

use super::{Process, Simulation, ms};

impl Simulation {
    /// Something will happen then.
    pub(crate) fn schedule(&mut self, after: Duration, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), event);
    }

    /// Lets that much time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = self.now.max(end);
    }

    /// Lets time pass until that holds; panics when it does not within a simulated hour.
    pub(crate) fn run_until(&mut self, what: &str, holds: impl Fn(&Simulation) -> bool) {
        let end = self.now + ms(3_600_000);
        while !holds(self) {
            assert!(
                self.step(end),
                "{what}: did not come; {:?} {:?}",
                self.states(),
                self.announced.last()
            );
        }
    }

    /// The next thing that happens before `end`, if any.
    pub(crate) fn step(&mut self, end: Monotonic) -> bool {
        let queued = self.queue.keys().next().map(|(at, _)| *at);
        let due = self.pool.next_deadline(self.now);
        let Some(next) = queued.into_iter().chain(due).min().filter(|next| *next <= end) else {
            return false;
        };
        if self.exit.is_some() {
            return false;
        }
        self.now = self.now.max(next);
        if queued.is_some_and(|queued| queued <= next) {
            let (_, event) = self.queue.pop_first().expect("it was looked at");
            let mut events = vec![event];
            while self.batches
                && let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= next)
            {
                events.push(entry.remove());
            }
            events.retain(|event| self.comes(event));
            self.happen_all(events);
        } else {
            self.wakes += 1;
            self.look();
        }
        true
    }

    /// What a shell does when the deadline is reached.
    pub(crate) fn look(&mut self) {
        let lives: Vec<Life> = self.pool.lives().collect();
        let mut events: Vec<Event> = lives.iter().filter_map(|life| self.sample_of(*life)).collect();
        events.push(Event::Looked);
        self.not_handed.clear();
        self.happen_all(events);
    }

    pub(super) fn sample_of(&self, life: Life) -> Option<Event> {
        let process = self.processes.get(&life).filter(|process| process.ready)?;
        let grid = 250_000_000;
        let alive = process.hung.unwrap_or(self.now);
        let beat = Monotonic(alive.0 / grid * grid);
        let beat = if process.starved { Monotonic(0) } else { beat };
        let sample = Sample {
            beat,
            lock_held_since: process.lock,
            // A worker that hangs is answering something.
            in_flight: process.sample.in_flight.max(u32::from(process.hung.is_some())),
            ..process.sample
        };
        Some(Event::Observed { life, sample })
    }

    /// Events of processes that are gone by now do not come; the others do.
    fn comes(&self, event: &Event) -> bool {
        let about = match event {
            Event::Notified { life, .. } | Event::Died { life, .. } | Event::Spawned { life, .. } => {
                Some(*life)
            }
            Event::TakenOver { by, .. } => Some(*by),
            // Said by the shell itself.
            Event::NotAdopted { .. } | Event::NotTakenOver { .. } => None,
            Event::SpawnFailed { .. }
            | Event::Observed { .. }
            | Event::Examined { .. }
            | Event::OrphanEnded { .. }
            | Event::Asked { .. }
            | Event::Probed { .. }
            | Event::Loaded(_)
            | Event::StubEnded { .. }
            | Event::Rehearsed(_)
            | Event::Upgraded(_)
            | Event::Looked => None,
        };
        let silent = |process: &Process| {
            process.hung.is_some()
                && !matches!(
                    event,
                    Event::Died {
                        exit: ProcessExit::Signal(9),
                        ..
                    }
                )
        };
        about.is_none_or(|life| !self.processes.get(&life).is_none_or(silent))
    }

    /// What an event means for the simulation itself.
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::Died { life, .. } => {
                if self.processes.remove(life).is_some() {
                    self.owed.insert(OrphanedWork::Life(*life));
                }
            }
            Event::OrphanEnded { life } => {
                self.owed.insert(OrphanedWork::Life(*life));
            }
            Event::NotAdopted { by, slot } => {
                if self.adopters.get(slot) == Some(by) {
                    self.adopters.remove(slot);
                    self.not_handed.insert(*slot);
                }
            }
            Event::Notified {
                life,
                notification: Notification::Ready,
            } => {
                if let Some(process) = self.processes.get_mut(life) {
                    process.ready = true;
                }
            }
            Event::Notified {
                life,
                notification: Notification::Stopping,
            } => self.terminate(*life),
            Event::TakenOver { by, work } => {
                if self.pool.takeovers().contains(&(*work, Some(*by))) {
                    self.owed.remove(work);
                }
            }
            Event::Notified {
                notification: Notification::Status(_) | Notification::Trouble(_),
                ..
            }
            | Event::Looked
            | Event::NotTakenOver { .. }
            | Event::Spawned { .. }
            | Event::SpawnFailed { .. }
            | Event::Observed { .. }
            | Event::Examined { .. }
            | Event::Asked { .. }
            | Event::Probed { .. }
            | Event::Rehearsed(_)
            | Event::Upgraded(_)
            | Event::Loaded(_)
            | Event::StubEnded { .. } => {}
        }
    }
}
