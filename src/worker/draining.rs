//! The last phase: finish what was accepted, without a reset.
//!
//! From the first moment of a drain every answer carries `Connection: close` (of pipelined answers the last
//! one). HTTP/2 clients are told by GOAWAY, twice, so that nothing is lost that was on the wire before they
//! heard of it. The listeners are closed once their queues are empty. A silent connection (between requests,
//! or fresh) may have a request on the wire at any time, so closing it can reset one. It is kept until its
//! next request is answered, or until the time for silence is over. That time depends on the mode of the
//! drain:
//!
//! | mode | silent connections are kept | all ends after |
//! |---|---|---|
//! | patient (SIGTERM) | 9/10 of `drain_timeout` (all but 1 s, at most) | 19/20 (all but 0.5 s, at most) |
//! | prompt (the cluster stops; the master is gone) | 1 s | the same |
//! | at once (poisoned) | not at all | 0.5 s |
//!
//! A connection that has switched to another protocol is the application's: it learns of the drain by
//! [`Worker::draining`] and may close until all ends.
//!
//! The rest of `drain_timeout` is for the report and the exit hook, because the master kills at its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::app::ExitHook;
use super::connection::connections::Connections;
use super::connection::state::ConnectionOrder;
use super::drain_mode::DrainMode;
use super::handle::Worker;
use crate::base::exit::Exit;
use crate::base::millis::ms;
use crate::scoreboard::Counter;

/// How long a silent connection is kept when no other worker serves on.
const PROMPT_SILENCE: Duration = Duration::from_secs(1);
/// The time that a failed worker has for its drain.
const AT_ONCE: Duration = Duration::from_millis(500);

/// The time that clients of the admin listener have, after all other connections.
const ADMIN: Duration = Duration::from_millis(500);

/// A worker that accepts no more connections.
pub(super) struct Draining {
    worker: Worker,
    connections: Arc<Connections>,
    acceptors: JoinSet<()>,
    admin: Option<JoinHandle<()>>,
    begun: Instant,
    mode: DrainMode,
}

/// The deadlines of a drain, as times from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DrainPlan {
    /// Silent connections are closed then.
    pub(super) silence: Duration,
    /// All connections are cut then.
    pub(super) end: Duration,
    /// The shortest time that the exit hook has.
    hook: Duration,
}

impl DrainPlan {
    pub(super) fn new(mode: DrainMode, drain_timeout: Duration) -> DrainPlan {
        let margin = (drain_timeout / 10).min(Duration::from_secs(1));
        let patient = DrainPlan {
            silence: drain_timeout - margin,
            end: drain_timeout - margin / 2,
            hook: margin / 4,
        };
        match mode {
            DrainMode::Patient => patient,
            DrainMode::Prompt => DrainPlan {
                silence: patient.silence.min(PROMPT_SILENCE),
                ..patient
            },
            DrainMode::AtOnce => DrainPlan {
                silence: Duration::ZERO,
                end: patient.end.min(AT_ONCE),
                ..patient
            },
        }
    }
}

impl Draining {
    pub(super) fn new(
        worker: Worker,
        connections: Arc<Connections>,
        (acceptors, admin): (JoinSet<()>, Option<JoinHandle<()>>),
        mode: DrainMode,
    ) -> Draining {
        Draining {
            worker,
            connections,
            acceptors,
            admin,
            begun: Instant::now(),
            mode,
        }
    }

    /// Drains, runs the exit hook, and says how the process ends.
    pub(super) async fn drain(mut self, hook: Option<ExitHook>) -> Exit {
        #[cfg(feature = "mutants")]
        if crate::sys::mutation::Mutation::ShutdownAtOnce.is_on() {
            self.connections.order_all(ConnectionOrder::Finish);
        }
        self.connections.wake_all();
        while self.acceptors.join_next().await.is_some() {}
        tracing::debug!(
            connections = self.connections.count(),
            drain_mode = self.mode.as_str(),
            "draining"
        );
        let cut = self.finish_connections().await;
        self.finish_admin().await;
        if let Some(hook) = hook {
            self.run_exit_hook(hook).await;
        }
        match cut {
            _ if self.worker.has_failed() => Exit::Poisoned,
            0 => Exit::Stopped,
            1.. => Exit::DrainCut,
        }
    }

    /// Waits for the connections as long as the mode allows. Returns how many were cut.
    async fn finish_connections(&mut self) -> usize {
        let mut dismissed = false;
        loop {
            let plan = self.plan();
            let deadline = self.begun + if dismissed { plan.end } else { plan.silence };
            tokio::select! {
                biased;
                () = self.connections.all_closed() => return 0,
                mode = self.worker.drain_mode_above(Some(self.mode)) => {
                    self.mode = mode;
                    dismissed = false;
                }
                () = tokio::time::sleep_until(deadline) => {
                    if dismissed {
                        return self.cut();
                    }
                    self.connections.order_all(ConnectionOrder::Finish);
                    dismissed = true;
                }
            }
        }
    }

    /// Waits for the answers of the admin listener, if they end soon.
    async fn finish_admin(&mut self) {
        if let Some(admin) = self.admin.take() {
            let left = self.plan().end.saturating_sub(self.begun.elapsed());
            let _in_time = tokio::time::timeout(left.min(ADMIN), admin).await;
        }
    }

    /// Cuts the connections that are left, and logs what they were doing. A connection that is closing loses
    /// nothing by it.
    fn cut(&self) -> usize {
        let phases = self.connections.phases();
        let cut = phases.all();
        if cut > 0 {
            self.worker.board().counters().set(Counter::Cut, cut as u64);
            tracing::warn!(
                cut,
                idle = phases.idle,
                reading = phases.reading,
                handling = phases.handling,
                writing = phases.writing,
                upgraded = phases.upgraded,
                took_ms = ms(self.begun.elapsed()),
                "the drain's time is over: connections are cut"
            );
        }
        self.connections.order_all(ConnectionOrder::Cut);
        cut
    }

    async fn run_exit_hook(&self, hook: ExitHook) {
        let left = self
            .worker
            .settings()
            .cluster
            .drain_timeout
            .saturating_sub(self.begun.elapsed());
        if tokio::time::timeout(left.max(self.plan().hook).mul_f32(0.5), hook())
            .await
            .is_err()
        {
            tracing::warn!("the exit hook did not end in time and was given up");
        }
    }

    fn plan(&self) -> DrainPlan {
        DrainPlan::new(self.mode, self.worker.settings().cluster.drain_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadlines_leave_time_for_the_report() {
        let seconds = Duration::from_secs;
        let ms = Duration::from_millis;
        let patient = DrainPlan::new(DrainMode::Patient, seconds(30));
        assert_eq!((patient.silence, patient.end), (seconds(29), ms(29_500)));
        let prompt = DrainPlan::new(DrainMode::Prompt, seconds(30));
        assert_eq!((prompt.silence, prompt.end), (seconds(1), ms(29_500)));
        let at_once = DrainPlan::new(DrainMode::AtOnce, seconds(30));
        assert_eq!((at_once.silence, at_once.end), (Duration::ZERO, ms(500)));
        for mode in [DrainMode::Patient, DrainMode::Prompt, DrainMode::AtOnce] {
            for timeout in [ms(1), ms(200), seconds(3600)] {
                let plan = DrainPlan::new(mode, timeout);
                assert!(
                    plan.silence <= plan.end && plan.end < timeout,
                    "{mode:?} {timeout:?}: {plan:?}"
                );
            }
        }
    }
}
