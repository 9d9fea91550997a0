//! The last phase: finish what was accepted, without a reset.
//!
//! From its first moment every answer carries `Connection: close` (of pipelined ones the last that is on its way), HTTP/2 clients are told by GOAWAY (twice: nothing that was on
//! the wire before they heard of it is lost), and the doors close once their queues are empty. A silent
//! connection (between requests, or fresh) may have a request on the wire at any time, so closing it can reset one; it is
//! kept until its next request is answered, or until the time for silence is over. How long that is, is the haste:
//!
//! | haste | silent connections are kept | all ends after |
//! |---|---|---|
//! | patient (SIGTERM) | nine tenths of `drain_timeout` (all but a second of it, at most) | 19 twentieths (all but half a second) |
//! | prompt (the cluster stops; the master is gone) | a second | the same |
//! | at once (poisoned) | not at all | half a second |
//!
//! The rest of `drain_timeout` is for the report and the exit hook, because the master kills at its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::app::ExitHook;
use super::connection::connections::Connections;
use super::connection::state::ConnectionOrder;
use super::handle::{Haste, Worker};
use crate::base::exit::Exit;
use crate::scoreboard::Counter;

/// How long a silent connection is kept when nobody serves on.
const PROMPT_SILENCE: Duration = Duration::from_secs(1);
/// How long a poisoned worker has.
const AT_ONCE: Duration = Duration::from_millis(500);

/// How long those at the admin listener have, after everybody else.
const ADMIN: Duration = Duration::from_millis(500);

/// A worker that takes no more.
pub(super) struct Draining {
    worker: Worker,
    connections: Arc<Connections>,
    doors: JoinSet<()>,
    admin: Option<JoinHandle<()>>,
    begun: Instant,
    haste: Haste,
}

/// The two deadlines of a drain, from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    silence: Duration,
    end: Duration,
    hook: Duration,
}

impl Plan {
    fn new(haste: Haste, drain_timeout: Duration) -> Plan {
        let margin = (drain_timeout / 10).min(Duration::from_secs(1));
        let patient = Plan {
            silence: drain_timeout - margin,
            end: drain_timeout - margin / 2,
            hook: margin / 4,
        };
        match haste {
            Haste::Patient => patient,
            Haste::Prompt => Plan {
                silence: patient.silence.min(PROMPT_SILENCE),
                ..patient
            },
            Haste::AtOnce => Plan {
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
        (doors, admin): (JoinSet<()>, Option<JoinHandle<()>>),
        haste: Haste,
    ) -> Draining {
        Draining {
            worker,
            connections,
            doors,
            admin,
            begun: Instant::now(),
            haste,
        }
    }

    /// Drains, runs the exit hook, and says how the process ends.
    pub(super) async fn drain(mut self, hook: Option<ExitHook>) -> Exit {
        #[cfg(feature = "mutants")]
        if crate::sys::mutation::Mutation::ShutdownAtOnce.is_on() {
            self.connections.order_all(ConnectionOrder::Finish);
        }
        self.connections.wake_all();
        while self.doors.join_next().await.is_some() {}
        tracing::debug!(connections = self.connections.count(), haste = ?self.haste, "draining");
        let cut = self.see_off().await;
        self.see_off_admin().await;
        if let Some(hook) = hook {
            self.run(hook).await;
        }
        match cut {
            _ if self.worker.failed() => Exit::Poisoned,
            0 => Exit::Stopped,
            1.. => Exit::DrainCut,
        }
    }

    /// Waits for the connections as long as the haste allows. How many were cut.
    async fn see_off(&mut self) -> usize {
        let mut dismissed = false;
        loop {
            let plan = self.plan();
            let deadline = self.begun + if dismissed { plan.end } else { plan.silence };
            tokio::select! {
                biased;
                () = self.connections.all_closed() => return 0,
                haste = self.worker.haste_above(Some(self.haste)) => {
                    self.haste = haste;
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

    /// Whoever is being told the metrics hears them to the end, if that is soon.
    async fn see_off_admin(&mut self) {
        if let Some(admin) = self.admin.take() {
            let left = self.plan().end.saturating_sub(self.begun.elapsed());
            let _in_time = tokio::time::timeout(left.min(ADMIN), admin).await;
        }
    }

    /// Ends whatever is left, and says what that was. A connection that has said everything loses nothing by it.
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
                after = ?self.begun.elapsed(),
                "the drain's time is over: connections are cut"
            );
        }
        self.connections.order_all(ConnectionOrder::Cut);
        cut
    }

    async fn run(&self, hook: ExitHook) {
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

    fn plan(&self) -> Plan {
        Plan::new(self.haste, self.worker.settings().cluster.drain_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadlines_leave_time_for_the_report() {
        let seconds = Duration::from_secs;
        let ms = Duration::from_millis;
        let patient = Plan::new(Haste::Patient, seconds(30));
        assert_eq!((patient.silence, patient.end), (seconds(29), ms(29_500)));
        let prompt = Plan::new(Haste::Prompt, seconds(30));
        assert_eq!((prompt.silence, prompt.end), (seconds(1), ms(29_500)));
        let at_once = Plan::new(Haste::AtOnce, seconds(30));
        assert_eq!((at_once.silence, at_once.end), (Duration::ZERO, ms(500)));
        for haste in [Haste::Patient, Haste::Prompt, Haste::AtOnce] {
            for timeout in [ms(1), ms(200), seconds(3600)] {
                let plan = Plan::new(haste, timeout);
                assert!(
                    plan.silence <= plan.end && plan.end < timeout,
                    "{haste:?} {timeout:?}: {plan:?}"
                );
            }
        }
    }
}
