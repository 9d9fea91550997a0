//! How a pool ends: asked to, in grace or at once, or because nothing it starts ever becomes ready.

use super::deploy::rollout::{Rollout, RolloutEvent};
use super::pool::{Mode, Pool, announce};
use super::protocol::announcement::Announcement;
use super::protocol::certificate::Purpose;
use super::protocol::effect::{Effect, KillReason, Outcome, SystemdState};
use super::protocol::event::StopMode;
use super::protocol::verdict::Failure;
use super::worker::pool_worker::WorkerEvent;

/// So many lives of each slot in a row have to leave by themselves before they were ready, and nobody ever was, to give up.
const HOPELESS: u32 = 3;

impl Pool {
    /// SIGTERM, SIGINT, SIGQUIT. Whatever comes second, comes in haste.
    pub(super) fn stop(&mut self, mode: StopMode, effects: &mut Vec<Effect>) {
        match (self.mode, mode) {
            (Mode::Running, StopMode::Graceful) => self.begin_stop(&WorkerEvent::Retired, effects),
            (Mode::Running, StopMode::AtOnce) => {
                self.begin_stop(&WorkerEvent::Killed(KillReason::StopAtOnce), effects);
                self.kill_leaving(effects);
            }
            (Mode::Stopping { .. }, StopMode::Graceful | StopMode::AtOnce) => self.kill_leaving(effects),
            (Mode::GivingUp | Mode::Over, StopMode::Graceful | StopMode::AtOnce) => {}
        }
    }

    fn begin_stop(&mut self, how: &WorkerEvent, effects: &mut Vec<Effect>) {
        let workers = u16::try_from(self.all_workers().count()).unwrap_or(u16::MAX);
        self.mode = Mode::Stopping { cut: false };
        announce(Announcement::Stopping { workers }, effects);
        effects.push(Effect::Tell(SystemdState::Stopping));
        effects.push(Effect::Close);
        self.dismiss_all(how, effects);
        effects.push(Effect::Hasten);
        self.show(RolloutEvent::Stopped, effects);
        self.abandon(effects);
    }

    /// Nothing that was asked for is done any more.
    fn abandon(&mut self, effects: &mut Vec<Effect>) {
        self.not_relieved(Failure::Stopped, effects);
        self.no_upgrade(effects);
        self.no_growth(effects);
        self.refuse_queue(effects);
    }

    fn dismiss_all(&mut self, how: &WorkerEvent, effects: &mut Vec<Effect>) {
        let mut all_workers: Vec<_> = (0..self.seats.len())
            .filter_map(|index| self.clear(index, effects))
            .collect();
        all_workers.extend(self.replacement.take());
        for worker in all_workers {
            self.leave(worker, how.clone(), Purpose::Stop, effects);
        }
    }

    fn kill_leaving(&mut self, effects: &mut Vec<Effect>) {
        for index in 0..self.leaving.len() {
            if self.leaving[index].can_be_killed() {
                self.in_leaving(index, WorkerEvent::Killed(KillReason::StopAtOnce), effects);
            }
        }
    }

    /// A first generation that never once became ready and leaves by itself each time will not come up by being tried for
    /// ever; nginx and gunicorn give up too, and whoever started us has to be told.
    pub(super) fn consider_giving_up(&mut self, effects: &mut Vec<Effect>) {
        let hopeless = self.mode == Mode::Running
            && self.rollout == Rollout::Idle
            && !self.milestones.ever_ready
            && self
                .seats
                .iter()
                .all(|seat| seat.restart.boot_failures >= HOPELESS);
        if hopeless {
            self.mode = Mode::GivingUp;
            self.dismiss_all(&WorkerEvent::Killed(KillReason::NeverReady), effects);
            self.abandon(effects);
        }
    }

    /// The last is gone.
    pub(super) fn consider_exit(&mut self, effects: &mut Vec<Effect>) {
        let outcome = match self.mode {
            Mode::Running | Mode::Over => return,
            Mode::Stopping { cut: false } => Outcome::Stopped,
            Mode::Stopping { cut: true } => Outcome::Cut,
            Mode::GivingUp => Outcome::NeverReady,
        };
        if self.all_workers().next().is_none() {
            self.mode = Mode::Over;
            self.answer_stops(outcome, effects);
            effects.push(Effect::Exit(outcome));
        }
    }
}
