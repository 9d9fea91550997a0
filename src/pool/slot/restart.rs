//! The restart policy of a slot, and what it remembers of how the slot's lives ended.
//!
//! - A life that served for `early_death` or longer is replaced at once, whatever ended it.
//! - The first early death in a row is forgiven when that worker had been ready (`kill -9` right after READY
//!   costs a boot and no wait, as under nginx); from the second on the gap between two starts doubles, and a
//!   life that outlasts its gap does not lengthen the next one. That is for lives that were ended from
//!   outside (SIGKILL, SIGTERM). A life that never was ready waits from its death, since its boot is what has
//!   to be spared; so does one that ended by itself again, by an exit code or a fault, since the next one may
//!   well do the same.
//! - More early deaths than `restart_limit` per `restart_window` open the breaker: only slow tries
//!   (`backoff.longest`) until a life serves for `early_death`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::budget::Budget;
use crate::base::signal_names;
use crate::base::time::Monotonic;
use crate::pool::protocol::facts::{Policy, ProcessExit};
use crate::pool::worker::end_of_life::EndOfLife;
use crate::pool::worker::pool_worker::PoolWorker;

/// What follows for the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct RestartDecision {
    /// How long the slot stays empty.
    pub(in crate::pool) wait: Duration,
    /// Set when this death opened the breaker: the number of early deaths within `restart_window`.
    pub(in crate::pool) opened: Option<u32>,
}

/// The restart policy of one slot, with what it remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct RestartPolicy {
    /// How many lives in a row ended early.
    pub(in crate::pool) failures: u32,
    /// How many lives in a row exited by themselves before they were ready, or could not be spawned.
    pub(in crate::pool) boot_failures: u32,
    /// How many lives ended unasked since the master started.
    pub(in crate::pool) restarts: u32,
    /// How the last of them ended, where it is known.
    pub(in crate::pool) last_exit: Option<ProcessExit>,
    /// Whether the breaker is open, so that the slot is filled slowly.
    pub(in crate::pool) breaker_open: bool,
    /// The gap between two starts that the last early death asked for.
    gap: Duration,
    budget: Budget,
}

impl RestartPolicy {
    pub(in crate::pool) fn blank(policy: &Policy) -> RestartPolicy {
        RestartPolicy {
            failures: 0,
            boot_failures: 0,
            restarts: 0,
            last_exit: None,
            breaker_open: false,
            gap: Duration::ZERO,
            budget: Budget::new(policy.restart_limit, policy.restart_window),
        }
    }

    /// The slot runs another generation now: the early deaths of the former generation do not count any more.
    pub(in crate::pool) fn forgive(&mut self, policy: &Policy) {
        let (restarts, last_exit) = (self.restarts, self.last_exit);
        *self = RestartPolicy {
            restarts,
            last_exit,
            ..RestartPolicy::blank(policy)
        };
    }

    /// Decides what follows when a life of this slot ended unasked.
    pub(in crate::pool) fn decide(
        &mut self,
        worker: &PoolWorker,
        end: &EndOfLife,
        policy: &Policy,
        now: Monotonic,
        random: u64,
    ) -> RestartDecision {
        self.note(worker, end);
        if worker
            .ready_at
            .is_some_and(|ready| now.since(ready) >= policy.early_death)
        {
            self.close();
            self.gap = Duration::ZERO;
            return RestartDecision {
                wait: Duration::ZERO,
                opened: None,
            };
        }
        self.early(worker, is_own(end), policy, now, random)
    }

    fn note(&mut self, worker: &PoolWorker, end: &EndOfLife) {
        self.restarts = self.restarts.saturating_add(1);
        let (exit, boot_failed) = match end {
            EndOfLife::Exited {
                exit: exit @ ProcessExit::Code(_),
                ..
            } => (Some(*exit), worker.ready_at.is_none()),
            EndOfLife::Exited {
                exit: exit @ ProcessExit::Signal(_),
                ..
            } => (Some(*exit), false),
            EndOfLife::SpawnFailed(_) => (self.last_exit, true),
            EndOfLife::LeftByItself => (self.last_exit, false),
        };
        self.last_exit = exit;
        self.boot_failures = if boot_failed {
            self.boot_failures.saturating_add(1)
        } else {
            0
        };
    }

    fn early(
        &mut self,
        worker: &PoolWorker,
        is_own: bool,
        policy: &Policy,
        now: Monotonic,
        random: u64,
    ) -> RestartDecision {
        let was_ready = worker.ready_at.is_some();
        let lived = now.since(worker.started);
        let outlasted = was_ready && !is_own && self.failures > 0 && lived >= self.gap;
        if !outlasted {
            self.failures = self.failures.saturating_add(1);
        }
        self.gap = policy.backoff.wait(self.failures, random);
        let opened = self.spend(now);
        let wait = match (self.breaker_open, was_ready) {
            (true, _) => policy.backoff.wait(u32::MAX, random),
            (false, true) if self.failures == 1 => Duration::ZERO,
            (false, true) if !is_own => self.gap.saturating_sub(lived),
            (false, true | false) => self.gap,
        };
        RestartDecision { wait, opened }
    }

    fn spend(&mut self, now: Monotonic) -> Option<u32> {
        if self.budget.spend(now) || self.breaker_open {
            return None;
        }
        self.breaker_open = true;
        Some(self.budget.spent(now))
    }

    /// When the breaker closes, if the slot's worker lives until then.
    pub(in crate::pool) fn closes_at(&self, worker: &PoolWorker, policy: &Policy) -> Option<Monotonic> {
        let ready = worker
            .ready_at
            .filter(|_| self.breaker_open && worker.is_serving())?;
        Some(ready + policy.early_death)
    }

    /// The slot's worker held out: closes the breaker and forgets early deaths.
    pub(in crate::pool) fn close(&mut self) {
        self.breaker_open = false;
        self.failures = 0;
    }
}

/// Whether a life ended by itself: with an exit code, or by a signal that a process brings upon itself.
/// Others come from outside.
fn is_own(end: &EndOfLife) -> bool {
    match end {
        EndOfLife::Exited {
            exit: ProcessExit::Signal(number),
            oom: false,
        } => signal_names::name(*number).is_some_and(|name| FAULTS.contains(&name)),
        EndOfLife::Exited { .. } | EndOfLife::SpawnFailed(_) | EndOfLife::LeftByItself => true,
    }
}

/// The signals of faults.
const FAULTS: [&str; 7] = [
    "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::Generation;
    use crate::pool::fixture::{at, life, policy};
    use crate::pool::worker::context::WorkerContext;
    use crate::pool::worker::heartbeat::Stall;
    use crate::pool::worker::pool_worker::WorkerPhase;

    /// A worker that started at `started` and was ready at `ready`.
    fn worker(started: u64, ready: Option<u64>) -> PoolWorker {
        let policy = policy();
        let mut context = WorkerContext {
            now: at(started),
            stall: Stall::default(),
            policy: &policy,
            effects: &mut Vec::new(),
        };
        let mut worker = PoolWorker::start(life(0, 1), Generation(1), 0, &mut context);
        worker.ready_at = ready.map(at);
        assert!(matches!(worker.phase, WorkerPhase::Starting { .. }));
        worker
    }

    fn exited(exit: ProcessExit) -> EndOfLife {
        EndOfLife::Exited { exit, oom: false }
    }

    fn crash(restart: &mut RestartPolicy, started: u64, ready: Option<u64>, died: u64) -> RestartDecision {
        restart.decide(
            &worker(started, ready),
            &exited(ProcessExit::Signal(9)),
            &policy(),
            at(died),
            u64::MAX / 2,
        )
    }

    #[test]
    fn a_long_life_is_replaced_at_once_and_clears_the_record() {
        let mut restart = RestartPolicy::blank(&policy());
        crash(&mut restart, 0, None, 10);
        crash(&mut restart, 200, None, 210);
        assert_eq!(restart.failures, 2);
        assert_eq!(crash(&mut restart, 500, Some(510), 1_510).wait, Duration::ZERO);
        assert_eq!((restart.failures, restart.restarts), (0, 3));
    }

    #[test]
    fn the_first_kill_right_after_ready_is_forgiven_and_a_loop_is_not() {
        let mut restart = RestartPolicy::blank(&policy());
        assert_eq!(crash(&mut restart, 0, Some(10), 11).wait, Duration::ZERO);
        let second = crash(&mut restart, 11, Some(21), 22).wait;
        let third = crash(&mut restart, 300, Some(310), 311).wait;
        assert!(second >= Duration::from_millis(89), "{second:?}");
        assert!(third >= Duration::from_millis(189), "{third:?}");
    }

    #[test]
    fn a_life_that_ends_by_itself_again_and_again_waits_longer_each_time() {
        let mut restart = RestartPolicy::blank(&policy());
        let mut ends = |exit, start: u64| {
            let worker = worker(start, Some(start + 10));
            let wait = restart.decide(&worker, &exited(exit), &policy(), at(start + 500), u64::MAX / 2);
            wait.wait
        };
        assert_eq!(ends(ProcessExit::Code(1), 0), Duration::ZERO);
        let second = ends(ProcessExit::Code(1), 1_000);
        let third = ends(ProcessExit::Signal(11), 2_000);
        let fourth = ends(ProcessExit::Code(0), 4_000);
        assert!(second >= Duration::from_millis(100), "{second:?}");
        assert!(
            third >= second * 3 / 2 && fourth >= third * 3 / 2,
            "{third:?} {fourth:?}"
        );
    }

    #[test]
    fn kills_that_are_rarer_than_the_gap_never_wait() {
        let mut restart = RestartPolicy::blank(&Policy {
            restart_limit: 1_000,
            ..policy()
        });
        for start in (0..30_000).step_by(300) {
            assert_eq!(
                crash(&mut restart, start, Some(start + 10), start + 300).wait,
                Duration::ZERO
            );
        }
    }

    #[test]
    fn a_worker_that_never_was_ready_always_waits() {
        let mut restart = RestartPolicy::blank(&policy());
        assert!(crash(&mut restart, 0, None, 5_000).wait >= Duration::from_millis(50));
    }

    #[test]
    fn one_early_death_too_many_opens_the_breaker_and_holding_out_closes_it() {
        let mut restart = RestartPolicy::blank(&policy());
        for start in 0..5 {
            assert_eq!(crash(&mut restart, start, None, start).opened, None);
        }
        let sixth = crash(&mut restart, 6, Some(7), 8);
        assert_eq!(sixth.opened, Some(6));
        assert!(sixth.wait >= policy().backoff.longest / 2);
        assert_eq!(
            crash(&mut restart, 9, Some(9), 9).opened,
            None,
            "it is open already"
        );
        restart.close();
        assert!(!restart.breaker_open);
        assert_eq!(restart.failures, 0);
    }

    #[test]
    fn only_exits_by_itself_before_ready_are_boot_failures() {
        let mut restart = RestartPolicy::blank(&policy());
        let code = exited(ProcessExit::Code(1));
        restart.decide(&worker(0, None), &code, &policy(), at(1), 0);
        restart.decide(
            &worker(0, None),
            &EndOfLife::SpawnFailed("EAGAIN".into()),
            &policy(),
            at(1),
            0,
        );
        assert_eq!(
            (restart.boot_failures, restart.last_exit),
            (2, Some(ProcessExit::Code(1)))
        );
        restart.decide(
            &worker(0, None),
            &exited(ProcessExit::Signal(9)),
            &policy(),
            at(1),
            0,
        );
        assert_eq!(restart.boot_failures, 0);
        restart.decide(&worker(0, Some(0)), &code, &policy(), at(1), 0);
        assert_eq!(restart.boot_failures, 0);
    }
}
