//! What people ask for: done at once, refused, or queued while something is under way that it must not be
//! mixed with. How the things themselves are done stands elsewhere (`reload`, `replace`, `scale`, `shutdown`,
//! `upgrade`).

use std::time::Duration;

use super::lifecycle::Mode;
use super::parts::Parts;
use super::pool::Pool;
use super::protocol::announcement::Announcement;
use super::protocol::certificate::Purpose;
use super::protocol::effect::{Effect, announce};
use super::protocol::event::{Request, Ticket};
use super::protocol::verdict::{Done, Verdict};
use super::requests::answers::{answer, refuse};
use super::requests::queue::QueuedRequest;
use super::upgrade;
use super::worker::pool_worker::WorkerEvent;
use crate::base::ids::Slot;

const NO_PREVIOUS: &str =
    "there is no previous generation, because no reload went through since the master started";
/// This many clients may wait for their verdicts at once; one more is refused.
const MOST_WAITING: usize = 64;

impl Pool {
    /// A person wants something.
    pub(super) fn asked(&mut self, ticket: Ticket, request: Request, effects: &mut Vec<Effect>) {
        if let Err(reason) = self.admit(ticket, request) {
            return refuse(&[ticket], request, reason, effects);
        }
        match request {
            Request::Stop(mode) => {
                self.parts().requests.wait_for_stop(ticket);
                self.stop(mode, effects);
            }
            Request::ScaleTo(to) => self.scale(ticket, request, i64::from(to), effects),
            Request::ScaleBy(by) => {
                self.scale(ticket, request, i64::from(self.size()) + i64::from(by), effects);
            }
            Request::Reload
            | Request::Rollback
            | Request::Upgrade
            | Request::Restart(_)
            | Request::Drain(_) => {
                if !self.operation().is_none() || !self.requests().is_empty() {
                    announce(Announcement::Queued { request }, effects);
                }
                self.parts().requests.push(request, ticket);
            }
        }
    }

    fn admit(&self, ticket: Ticket, request: Request) -> Result<(), String> {
        let waiters = || self.requests().waiters() + self.operation().rollout_waiters();
        match (self.mode(), request) {
            (_, Request::Stop(_)) => Ok(()),
            (Mode::StopDelayed { .. } | Mode::Stopping { .. } | Mode::GivingUp | Mode::Over, _) => {
                Err("the cluster is stopping".to_owned())
            }
            (Mode::Running, _) if ticket != Ticket::NOBODY && waiters() >= MOST_WAITING => {
                Err(format!("{MOST_WAITING} others wait for their verdicts already"))
            }
            (Mode::Running, _) => Ok(()),
        }
    }

    /// Begins the next thing that was asked for, once the last operation ended. Whether anything was begun or
    /// refused.
    pub(super) fn begin_next(&mut self, effects: &mut Vec<Effect>) -> bool {
        if self.mode() != Mode::Running || !self.operation().is_none() {
            return false;
        }
        let Some(QueuedRequest { request, tickets }) = self.parts().requests.pop() else {
            return false;
        };
        if let Err(reason) = self.can_begin(request) {
            refuse(&tickets, request, reason, effects);
        } else {
            self.begin(request, tickets, effects);
        }
        true
    }

    fn can_begin(&self, request: Request) -> Result<(), String> {
        match request {
            Request::Rollback => {
                let previous = self.generations().previous();
                previous.map(|_| ()).ok_or_else(|| NO_PREVIOUS.to_owned())
            }
            Request::Restart(slot) => self.exists(slot),
            Request::Drain(slot) => self.can_be_drained(slot),
            Request::Reload
            | Request::Upgrade
            | Request::ScaleTo(_)
            | Request::ScaleBy(_)
            | Request::Stop(_) => Ok(()),
        }
    }

    fn begin(&mut self, request: Request, tickets: Vec<Ticket>, effects: &mut Vec<Effect>) {
        match request {
            Request::Reload => self.begin_reload(tickets, effects),
            Request::Rollback => {
                if let Some(target) = self.generations().previous() {
                    self.begin_rollback(target, tickets, effects);
                }
            }
            Request::Upgrade => upgrade::begin(self.parts(), tickets, effects),
            Request::Restart(slot) => self.begin_replace(slot, Purpose::Restart, tickets, effects),
            Request::Drain(slot) => self.drain(slot, tickets, effects),
            // Done at once when they are asked for.
            Request::ScaleTo(_) | Request::ScaleBy(_) | Request::Stop(_) => {}
        }
    }

    fn exists(&self, slot: Slot) -> Result<(), String> {
        let last = self.size().saturating_sub(1);
        let exists = slot.0 < self.size();
        exists
            .then_some(())
            .ok_or_else(|| format!("there is no slot {slot}, expected 0 to {last}"))
    }

    fn can_be_drained(&self, slot: Slot) -> Result<(), String> {
        self.exists(slot)?;
        let mut slots = self.fleet().slots().iter();
        let another_serves = slots.any(|state| state.slot != slot && state.is_serving());
        (another_serves || self.fleet().slot(slot).is_drained())
            .then_some(())
            .ok_or_else(|| format!("no slot but {slot} has a ready worker, so no worker would serve"))
    }

    /// The slot's worker goes, and no other follows.
    fn drain(&mut self, slot: Slot, tickets: Vec<Ticket>, effects: &mut Vec<Effect>) {
        let Parts {
            fleet,
            requests,
            conditions,
            ..
        } = self.parts();
        let worker = fleet.slot_mut(slot).clear(conditions.now);
        fleet.slot_mut(slot).drain(conditions.now);
        if let Some(worker) = worker {
            fleet.dismiss(worker, WorkerEvent::Retired, Purpose::Drain, conditions, effects);
        }
        let mut leaving = fleet.leaving().iter().rev();
        match leaving.find(|worker| worker.life.slot == slot) {
            Some(worker) => requests.drains.add(tickets, worker.life, conditions.now),
            None => {
                let (life, after) = (None, Duration::ZERO);
                let done = Done::Drained { slot, life, after };
                answer(&tickets, &Verdict::Done(done), effects);
            }
        }
    }
}
