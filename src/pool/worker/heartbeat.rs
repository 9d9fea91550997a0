//! Whether a worker's heart beats: how old its last beat is, less the time that is not held against the
//! worker, and what follows from that age. This file must not know slots and effects.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::Monotonic;
use crate::pool::protocol::event::Sample;
use crate::pool::protocol::facts::{Activity, KillReason, Policy};

/// The master looks this part of an interval after each point of the grid, so that a worker has that long to
/// stamp its beat.
const LOOK_BEHIND: u32 = 4;

/// How long after each point of the grid the master looks.
pub(in crate::pool) fn look_behind(interval: Duration) -> Duration {
    interval / LOOK_BEHIND
}

/// A stretch of time in which the master should have run and did not: it got no CPU, was stopped, or the
/// machine slept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct Stall {
    pub(in crate::pool) from: Monotonic,
    pub(in crate::pool) to: Monotonic,
}

impl Stall {
    pub(in crate::pool) fn length(self) -> Duration {
        self.to.since(self.from)
    }

    fn overlap_since(self, beat: Monotonic) -> Duration {
        self.to.since(self.from.max(beat))
    }
}

/// What is known of the beats of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct Heartbeat {
    beat: Monotonic,
    /// The time since that beat that is not held against the worker.
    discounted: Duration,
    lock_held_since: Option<Monotonic>,
    /// How often the worker was examined since that beat, when last, and what it was doing then.
    readings: u32,
    read_at: Monotonic,
    activity: Activity,
}

impl Heartbeat {
    /// A heartbeat that begins now, as if the worker had just stamped a beat.
    pub(in crate::pool) fn begin(now: Monotonic) -> Heartbeat {
        Heartbeat {
            beat: now,
            discounted: Duration::ZERO,
            lock_held_since: None,
            readings: 0,
            read_at: now,
            activity: Activity::Unknown,
        }
    }

    /// Takes in a sample. A beat that is older than the last one, or lies in the future, is not believed.
    pub(in crate::pool) fn see(&mut self, sample: Sample, now: Monotonic, stall: Stall) {
        let beat = sample.beat.min(now);
        if beat > self.beat {
            *self = Heartbeat {
                beat,
                discounted: stall.overlap_since(beat),
                ..Heartbeat::begin(now)
            };
        }
        self.lock_held_since = sample.lock_held_since.map(|since| since.min(now));
    }

    /// The master did not run for this long, which is not held against the worker.
    pub(in crate::pool) fn discount(&mut self, by: Duration) {
        self.discounted += by;
    }

    /// Takes in a reading of `/proc`. Time in which the worker got no CPU since the previous reading is not
    /// held against it.
    pub(in crate::pool) fn examine(&mut self, activity: Activity, now: Monotonic) {
        if self.readings > 0 && activity == Activity::Starved {
            self.discounted += now.since(self.read_at);
        }
        self.readings = self.readings.saturating_add(1);
        self.read_at = now;
        self.activity = activity;
    }

    /// The age of the last beat, less what is not held against the worker.
    pub(in crate::pool) fn age(&self, now: Monotonic) -> Duration {
        now.since(self.beat).saturating_sub(self.discounted)
    }

    pub(in crate::pool) fn is_late(&self, now: Monotonic, policy: &Policy) -> bool {
        self.age(now) > policy.late_after
    }

    /// Why the worker has to be killed, if it has. That takes two readings, because one alone cannot tell a
    /// worker that gets no CPU from one that hangs.
    pub(in crate::pool) fn kill_reason(&self, now: Monotonic, policy: &Policy) -> Option<KillReason> {
        if self.readings < 2 || self.activity == Activity::Starved {
            return None;
        }
        // The kernel answers a kill when the disk does, and then the lock is free anyway.
        let held = self.activity != Activity::Disk
            && self.lock_deadline(policy).is_some_and(|deadline| deadline <= now);
        if held {
            return Some(KillReason::HeldLock(self.activity));
        }
        (self.age(now) > policy.heartbeat_timeout).then_some(KillReason::Hung(self.activity))
    }

    /// When to look again at a late worker that holds a lock: when its time to release the lock ends, and not
    /// before a second reading of `/proc` can differ from the first.
    pub(in crate::pool) fn look_again_at(&self, policy: &Policy) -> Option<Monotonic> {
        let second = self.read_at + look_behind(policy.heartbeat_interval);
        Some(self.lock_deadline(policy)?.max(second))
    }

    /// When the time of a late worker to release its lock ends: by then its beat is `lock_hold_timeout` old,
    /// and so is its hold.
    fn lock_deadline(&self, policy: &Policy) -> Option<Monotonic> {
        let since = self.lock_held_since?.max(self.beat);
        Some(since + self.discounted + policy.lock_hold_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::fixture::{at, policy};

    fn sample(ms: u64) -> Sample {
        Sample {
            beat: at(ms),
            ..Sample::default()
        }
    }

    #[test]
    fn a_missed_point_is_late_at_the_look_behind_it() {
        let policy = policy();
        let mut heartbeat = Heartbeat::begin(at(0));
        heartbeat.see(sample(1_000), at(1_062), Stall::default());
        assert!(!heartbeat.is_late(at(1_062), &policy));
        assert!(
            !heartbeat.is_late(at(1_280), &policy),
            "a look off the grid drains time to stamp"
        );
        assert!(heartbeat.is_late(at(1_312), &policy));
    }

    #[test]
    fn beats_from_the_future_and_falling_beats_are_not_believed() {
        let mut heartbeat = Heartbeat::begin(at(1_000));
        heartbeat.see(sample(90_000), at(2_000), Stall::default());
        assert_eq!(heartbeat.age(at(2_100)), Duration::from_millis(100));
        heartbeat.see(sample(500), at(2_200), Stall::default());
        assert_eq!(heartbeat.age(at(2_200)), Duration::from_millis(200));
    }

    #[test]
    fn one_reading_kills_no_worker_and_two_do() {
        let policy = policy();
        let mut heartbeat = Heartbeat::begin(at(0));
        assert_eq!(heartbeat.kill_reason(at(60_000), &policy), None);
        heartbeat.examine(Activity::Blocked, at(60_000));
        assert_eq!(heartbeat.kill_reason(at(60_000), &policy), None);
        heartbeat.examine(Activity::Blocked, at(60_250));
        assert_eq!(
            heartbeat.kill_reason(at(60_250), &policy),
            Some(KillReason::Hung(Activity::Blocked))
        );
    }

    #[test]
    fn starving_is_excused_for_as_long_as_it_lasts() {
        let policy = policy();
        let mut heartbeat = Heartbeat::begin(at(0));
        for ms in (312..60_000).step_by(250) {
            heartbeat.examine(Activity::Starved, at(ms));
        }
        assert_eq!(heartbeat.kill_reason(at(60_000), &policy), None);
        assert!(heartbeat.age(at(60_000)) < Duration::from_secs(1));
        heartbeat.examine(Activity::Spinning, at(60_000));
        assert_eq!(
            heartbeat.kill_reason(at(60_000), &policy),
            None,
            "it has had CPU for a moment only"
        );
        heartbeat.examine(Activity::Spinning, at(65_000));
        assert_eq!(
            heartbeat.kill_reason(at(65_000), &policy),
            Some(KillReason::Hung(Activity::Spinning))
        );
    }

    /// A heartbeat that was found late at `found_ms`, of a worker that has held a lock since `held_ms`.
    fn holder(held_ms: u64, found_ms: u64) -> Heartbeat {
        let mut heartbeat = Heartbeat::begin(at(0));
        let held = Sample {
            lock_held_since: Some(at(held_ms)),
            ..sample(0)
        };
        heartbeat.see(held, at(found_ms), Stall::default());
        heartbeat
    }

    #[test]
    fn a_late_lock_holder_has_less_time() {
        let policy = policy();
        let mut heartbeat = holder(100, 312);
        heartbeat.examine(Activity::Stopped, at(312));
        heartbeat.examine(Activity::Stopped, at(499));
        assert_eq!(heartbeat.kill_reason(at(499), &policy), None);
        assert_eq!(heartbeat.lock_deadline(&policy), Some(at(500)));
        assert_eq!(
            heartbeat.kill_reason(at(500), &policy),
            Some(KillReason::HeldLock(Activity::Stopped))
        );
    }

    #[test]
    fn a_starved_lock_holder_is_not_killed_however_late_it_was_found() {
        let policy = policy();
        let mut heartbeat = holder(0, 562);
        heartbeat.examine(Activity::Starved, at(562));
        heartbeat.examine(Activity::Starved, at(624));
        assert_eq!(heartbeat.kill_reason(at(624), &policy), None);
        heartbeat.examine(Activity::Stopped, at(687));
        assert!(heartbeat.kill_reason(at(687), &policy).is_some());
    }

    #[test]
    fn a_lock_holder_that_waits_for_a_disk_has_as_long_as_everybody() {
        let policy = policy();
        let mut heartbeat = holder(0, 312);
        heartbeat.examine(Activity::Disk, at(312));
        heartbeat.examine(Activity::Disk, at(5_000));
        assert_eq!(heartbeat.kill_reason(at(5_000), &policy), None);
        assert_eq!(
            heartbeat.kill_reason(at(5_001), &policy),
            Some(KillReason::Hung(Activity::Disk))
        );
    }

    #[test]
    fn a_beat_before_the_nap_is_excused_the_whole_nap_and_one_within_it_the_rest() {
        let stall = Stall {
            from: at(1_000),
            to: at(11_000),
        };
        let mut heartbeat = Heartbeat::begin(at(0));
        heartbeat.see(sample(900), at(11_000), stall);
        assert_eq!(heartbeat.age(at(11_000)), Duration::from_millis(100));
        heartbeat.see(sample(6_000), at(11_100), stall);
        assert_eq!(heartbeat.age(at(11_100)), Duration::from_millis(100));
    }
}
