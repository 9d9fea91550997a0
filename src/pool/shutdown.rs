//! How a pool ends: on request, in grace or at once, or because no worker it starts ever becomes ready.

use std::time::Duration;

use super::deploy::rollout::RolloutEvent;
use super::lifecycle::Mode;
use super::parts::Parts;
use super::pool::Pool;
use super::protocol::announcement::Announcement;
use super::protocol::certificate::Purpose;
use super::protocol::effect::{Effect, SystemdState, announce};
use super::protocol::event::StopMode;
use super::protocol::facts::{KillReason, Outcome};
use super::protocol::verdict::{Done, Failure, Verdict};
use super::requests::answers::{answer, refuse};
use super::slot::slot_state::SlotState;
use super::upgrade;
use super::worker::pool_worker::WorkerEvent;

/// To give up, this many lives of each slot in a row have to leave by themselves before they were ready, and
/// no worker ever was.
const HOPELESS: u32 = 3;

impl Pool {
    /// SIGTERM, SIGINT, SIGQUIT. A second stop ends the delay of the first one; the next one kills, whichever
    /// it is.
    pub(super) fn stop(&mut self, mode: StopMode, effects: &mut Vec<Effect>) {
        match (self.mode(), mode) {
            (Mode::Running, StopMode::Graceful) if self.stop_delay().is_zero() => {
                self.begin_stop(&WorkerEvent::Retired, effects);
            }
            (Mode::Running, StopMode::Graceful) => self.delay_stop(effects),
            (Mode::StopDelayed { .. }, StopMode::Graceful) => {
                self.begin_stop(&WorkerEvent::Retired, effects);
            }
            (Mode::Running | Mode::StopDelayed { .. }, StopMode::AtOnce) => {
                self.begin_stop(&WorkerEvent::Killed(KillReason::StopAtOnce), effects);
                self.kill_leaving(effects);
            }
            (Mode::Stopping { .. }, StopMode::Graceful | StopMode::AtOnce) => self.kill_leaving(effects),
            (Mode::GivingUp | Mode::Over, StopMode::Graceful | StopMode::AtOnce) => {}
        }
    }

    /// How long a stop is delayed: not at all when there is no worker that could serve meanwhile.
    fn stop_delay(&self) -> Duration {
        let serves = self.fleet().slots().iter().any(SlotState::is_serving);
        if serves {
            self.generations().policy().stop_delay
        } else {
            Duration::ZERO
        }
    }

    /// Load balancers are told that the cluster is not ready, and have time to notice. Whatever was under way
    /// is given up now: nothing but deaths changes the workers until the drain.
    fn delay_stop(&mut self, effects: &mut Vec<Effect>) {
        let by = self.stop_delay();
        *self.mode_mut() = Mode::StopDelayed {
            until: self.now() + by,
        };
        announce(Announcement::StopDelayed { by }, effects);
        effects.push(Effect::Tell(SystemdState::StopDelayed { by }));
        effects.push(Effect::Forewarn);
        self.dismiss_replacement(effects);
        self.advance_rollout(RolloutEvent::Stopped, effects);
        self.abandon_requests(effects);
    }

    /// A worker that was started during the delay of a stop has to be told of it, too.
    pub(super) fn forewarn_if_stopping(&self, effects: &mut Vec<Effect>) {
        if self.mode().stops_at().is_some() {
            effects.push(Effect::Forewarn);
        }
    }

    /// The delay of a stop may be over.
    pub(super) fn end_stop_delay(&mut self, effects: &mut Vec<Effect>) {
        if self.mode().stops_at().is_some_and(|at| at <= self.now()) {
            self.begin_stop(&WorkerEvent::Retired, effects);
        }
    }

    fn begin_stop(&mut self, how: &WorkerEvent, effects: &mut Vec<Effect>) {
        let workers = u16::try_from(self.all_workers().iter().count()).unwrap_or(u16::MAX);
        *self.mode_mut() = Mode::Stopping { cut: false };
        announce(Announcement::Stopping { workers }, effects);
        effects.push(Effect::Tell(SystemdState::Stopping));
        effects.push(Effect::Close);
        self.dismiss_all(how, effects);
        effects.push(Effect::Hasten);
        self.advance_rollout(RolloutEvent::Stopped, effects);
        self.abandon_requests(effects);
    }

    /// Nothing that was asked for is done any more.
    fn abandon_requests(&mut self, effects: &mut Vec<Effect>) {
        self.replace_failed(Failure::Stopped, effects);
        upgrade::abandon(self.parts(), effects);
        self.fail_scales_above(0, &Failure::Stopped, effects);
        let Parts { requests, .. } = self.parts();
        while let Some(queued) = requests.pop() {
            let reason = "the cluster is stopping".to_owned();
            refuse(&queued.tickets, queued.request, reason, effects);
        }
    }

    /// No worker stays in its slot, and none takes over a slot.
    fn dismiss_all(&mut self, how: &WorkerEvent, effects: &mut Vec<Effect>) {
        let Parts {
            fleet,
            operation,
            conditions,
            ..
        } = self.parts();
        let slots = fleet.slots_mut().iter_mut();
        let mut workers: Vec<_> = slots.filter_map(|state| state.clear(conditions.now)).collect();
        workers.extend(operation.take_replacement());
        for worker in workers {
            fleet.dismiss(worker, how.clone(), Purpose::Stop, conditions, effects);
        }
    }

    fn kill_leaving(&mut self, effects: &mut Vec<Effect>) {
        for index in 0..self.fleet().leaving().len() {
            if self.fleet().leaving()[index].can_be_killed() {
                let kill = WorkerEvent::Killed(KillReason::StopAtOnce);
                self.step_leaving(index, kill, effects);
            }
        }
    }

    /// A first generation that never once became ready and leaves by itself each time will not come up by
    /// being tried for ever; nginx and gunicorn give up too, and whatever started this master has to be told.
    pub(super) fn consider_giving_up(&mut self, effects: &mut Vec<Effect>) {
        if self.mode() == Mode::Running && self.is_hopeless() {
            *self.mode_mut() = Mode::GivingUp;
            self.dismiss_all(&WorkerEvent::Killed(KillReason::NeverReady), effects);
            self.abandon_requests(effects);
        }
    }

    fn is_hopeless(&self) -> bool {
        let mut slots = self.fleet().slots().iter();
        self.operation().rollout().is_none()
            && !self.milestones().ever_ready
            && slots.all(|state| state.restart.boot_failures >= HOPELESS)
    }

    /// Ends the pool when the last worker is dead.
    pub(super) fn consider_exit(&mut self, effects: &mut Vec<Effect>) {
        let outcome = match self.mode() {
            Mode::Running | Mode::StopDelayed { .. } | Mode::Over => return,
            Mode::Stopping { cut: false } => Outcome::Stopped,
            Mode::Stopping { cut: true } => Outcome::Cut,
            Mode::GivingUp => Outcome::NeverReady,
        };
        if self.all_workers().iter().next().is_none() {
            *self.mode_mut() = Mode::Over;
            let counted = !self.generations().policy().runs_programs;
            let stops = self.parts().requests.take_stops();
            answer(
                &stops,
                &Verdict::Done(Done::Stopped { outcome, counted }),
                effects,
            );
            effects.push(Effect::Exit(outcome));
        }
    }
}
