//! Whether a program is alive (pure): what follows from what was seen of it. It must not know `/proc`,
//! sockets or clocks.
//!
//! What vouches for a program:
//!
//! 1. its own pulse. Node's event loop beats at every point of the grid; a program with `WATCHDOG=1` says so
//!    at least once in `heartbeat_timeout`. A pulse that stays out is enough to be silent;
//! 2. the answers to the probe, if one is configured, also of a program that has a pulse;
//! 3. without the two, the accept queues of its own listeners: one that is not empty, and of which nothing was taken between
//!    two looks, belongs to a program that is busy. It gets no new connections until it takes some, and is
//!    given up after `stuck_timeout`, because a synchronous program may rightly be busy for long. Whether the
//!    queue shrinks says little, since workers of other slots empty the queue of a busy one: the program has
//!    to be seen to take something, or to wait for its listener again. One whose event loop turns and which
//!    takes nothing is full, as many programs are by choice: it gets nothing new, and is never given up.
//!
//! Whatever vouches, a stopped program answers nothing and is silent at once. Time in which the program
//! wanted CPU and got none, or in which the agent itself did not run, is not held against it.

use std::time::Duration;

use super::pulse::Pulses;
use crate::base::time::{Monotonic, span};

/// As many probes have to fail in a row.
pub const PROBES_IN_A_ROW: u32 = 3;

/// The times that a program has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthTimes {
    /// The distance of two looks.
    pub heartbeat_interval: Duration,
    /// Beats that are older than this are late.
    pub late_after: Duration,
    /// Who says `WATCHDOG=1` has to say it at least once in this.
    pub heartbeat_timeout: Duration,
    /// How long a program may take nothing from a queue that waits for it.
    pub stuck_timeout: Duration,
}

/// What was seen of a program at one look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthLook {
    /// When the look was taken.
    pub now: Monotonic,
    /// The time since the last look that is not held against the program.
    pub lost: Duration,
    /// Whether it is stopped.
    pub stopped: bool,
    /// What it says of itself.
    pub pulses: Pulses,
    /// The probes, if it is probed.
    pub probes: Option<ProbeRecord>,
    /// What became of the queues of its listeners.
    pub queue: QueueSeen,
}

/// How the last probes went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeRecord {
    /// How many have failed in a row.
    pub failed: u32,
    /// When the first of them was sent.
    pub since: Monotonic,
    /// Why the last one failed.
    pub reason: String,
}

/// What became of the queues of a program's own listeners between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueSeen {
    /// That cannot be known: the program may not be looked at, or has no TCP listener of its own.
    #[default]
    Unknown,
    /// They are empty, or were so at the last look; who emptied them is not known.
    Empty,
    /// The program has taken something, or waits for more.
    Taken,
    /// So many connections wait and nothing was taken, but the program's event loop turns.
    Full(u32),
    /// So many connections wait, and nothing was taken.
    Waiting(u32),
}

/// What is to be done about a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is alive.
    Alive,
    /// It is to get no new connections, and is not killed: it is busy, for this reason.
    Busy(String),
    /// Nothing is to vouch for it: it gets no new connections and is killed if that lasts, for this reason.
    Silent(String),
    /// It is to be replaced, for this reason.
    GivenUp(String),
}

/// The time since something that is not repeated, less the time that is not held against the program.
#[derive(Clone, Copy, Debug, Default)]
struct Silence {
    since: Monotonic,
    lost: Duration,
}

impl Silence {
    /// Takes a look: begins anew when there is a later sign of life.
    fn look(&mut self, last: Monotonic, lost: Duration) {
        if last > self.since {
            *self = Silence {
                since: last,
                lost: Duration::ZERO,
            };
        } else {
            self.lost += lost;
        }
    }

    fn age(self, now: Monotonic) -> Duration {
        now.since(self.since).saturating_sub(self.lost)
    }
}

/// Judges one program, look by look.
#[derive(Clone, Debug)]
pub struct ProgramHealth {
    times: HealthTimes,
    node: Silence,
    watchdog: Silence,
    busy: Option<Silence>,
}

impl ProgramHealth {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(times: HealthTimes) -> ProgramHealth {
        ProgramHealth {
            times,
            node: Silence::default(),
            watchdog: Silence::default(),
            busy: None,
        }
    }

    /// Whether the program takes nothing from its queues, as far as is known.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.busy.is_some()
    }

    /// What follows from one more look.
    pub fn judge(&mut self, look: &HealthLook) -> Judgement {
        let pulse = self.judge_pulses(look);
        let queue = self.judge_queue(look);
        if look.stopped {
            return Judgement::Silent("it is stopped (SIGSTOP), until somebody sends it SIGCONT".to_owned());
        }
        match (pulse, &look.probes) {
            // Who got no CPU could not answer.
            (Some(Judgement::Alive) | None, Some(_)) if !look.lost.is_zero() => Judgement::Alive,
            (Some(Judgement::Alive), Some(probes)) => match self.judge_probes(probes, look.now) {
                Judgement::Alive => only_full(look.queue, queue),
                failed => failed,
            },
            (Some(Judgement::Alive), None) => only_full(look.queue, queue),
            (Some(judgement), _) => judgement,
            (None, Some(probes)) => self.judge_probes(probes, look.now),
            (None, None) => queue,
        }
    }

    /// `None` when the program has no pulse of its own.
    fn judge_pulses(&mut self, look: &HealthLook) -> Option<Judgement> {
        let node = look.pulses.node.map(|last| {
            self.node.look(last, look.lost);
            self.node.age(look.now)
        });
        let watchdog = look.pulses.watchdog.map(|last| {
            self.watchdog.look(last, look.lost);
            self.watchdog.age(look.now)
        });
        let timeout = self.times.heartbeat_timeout;
        if let Some(age) = watchdog.filter(|age| *age > timeout) {
            return Some(Judgement::GivenUp(format!(
                "it has not said WATCHDOG=1 for {}, expected at least once in {}",
                span(age),
                span(timeout)
            )));
        }
        // The loop beats at the points at which it is looked at, so the last beat can be one interval old.
        let late = self.times.late_after.max(self.times.heartbeat_interval * 3 / 2);
        if let Some(age) = node.filter(|age| *age > late) {
            return Some(Judgement::Silent(format!(
                "its event loop has not turned for {}",
                span(age)
            )));
        }
        node.or(watchdog).map(|_| Judgement::Alive)
    }

    fn judge_probes(&self, probes: &ProbeRecord, now: Monotonic) -> Judgement {
        if probes.failed < PROBES_IN_A_ROW {
            return Judgement::Alive;
        }
        let age = now.since(probes.since);
        let told = format!(
            "{} probes have failed in a row since {} ago, the last one because {}",
            probes.failed,
            span(age),
            probes.reason
        );
        if age >= self.times.heartbeat_timeout {
            Judgement::GivenUp(told)
        } else {
            Judgement::Silent(told)
        }
    }

    fn judge_queue(&mut self, look: &HealthLook) -> Judgement {
        match (look.queue, &mut self.busy) {
            (QueueSeen::Unknown | QueueSeen::Taken, _) | (QueueSeen::Empty, None) => {
                self.busy = None;
                Judgement::Alive
            }
            (QueueSeen::Full(waiting), _) => {
                // Its time to be stuck begins when the loop stands still.
                self.busy = Some(Silence {
                    since: look.now,
                    lost: Duration::ZERO,
                });
                Judgement::Busy(format!(
                    "it takes no connections although its event loop turns, and {waiting} wait"
                ))
            }
            // Who got no CPU since the last look could take nothing.
            (QueueSeen::Waiting(_), None) if !look.lost.is_zero() => Judgement::Alive,
            (QueueSeen::Waiting(waiting), None) => {
                self.busy = Some(Silence {
                    since: look.now,
                    lost: Duration::ZERO,
                });
                Judgement::Busy(format!("{waiting} connections wait, and it takes none"))
            }
            (QueueSeen::Waiting(_) | QueueSeen::Empty, Some(busy)) => {
                busy.lost += look.lost;
                let age = busy.age(look.now);
                if age > self.times.stuck_timeout {
                    Judgement::GivenUp(format!(
                        "connections waited, and it has taken none for {}, expected one within {} \
                         (run.stuck_timeout)",
                        span(age),
                        span(self.times.stuck_timeout)
                    ))
                } else {
                    Judgement::Busy(format!("it has taken no connection for {}", span(age)))
                }
            }
        }
    }
}

/// What a queue says of a program that has a pulse: one that takes nothing though its event loop turns gets
/// nothing new, and is not given up.
fn only_full(seen: QueueSeen, queue: Judgement) -> Judgement {
    match seen {
        QueueSeen::Full(_) => queue,
        QueueSeen::Unknown | QueueSeen::Empty | QueueSeen::Taken | QueueSeen::Waiting(_) => Judgement::Alive,
    }
}

#[cfg(test)]
#[path = "liveness_tests.rs"]
mod tests;
