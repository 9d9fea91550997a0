//! The services as models: each command is one transaction that looks at the fences and the claim first.

use std::time::Duration;

use cluster::base::time::Monotonic;
use cluster::saga::{ORDER, SagaCommand, SagaEffect, SagaEvent, SagaState, SagaVerdict};

use crate::bounds::Sabotage;
use crate::participants::{OrderRecord, Payment, Reply};
use crate::state::{ModelState, NOW, ORDERS, Work};

pub(crate) const PAST_THE_BUDGET: Monotonic = Monotonic(3_600_000_000_000);

impl ModelState {
    /// Carries out what the life is about to do; `None` when the provider was asked and payments comes next.
    pub(crate) fn carry_out(&mut self, sabotage: Sabotage, life: usize, order: usize) -> Option<Reply> {
        let work = self.orders[order].work[life].clone().expect("busy");
        match work.effect {
            SagaEffect::Send(
                command @ (SagaCommand::Reserve | SagaCommand::Release | SagaCommand::Commit),
                _,
            ) => Some(self.inventory(sabotage, life, order, work.claim_no, command)),
            SagaEffect::Send(command @ (SagaCommand::Charge | SagaCommand::Cancel), _) => {
                self.payments(sabotage, life, order, &work, command)
            }
            SagaEffect::Record(verdict, _) => Some(self.record(life, order, work.claim_no, Some(&verdict))),
            SagaEffect::Park(_) => Some(self.record(life, order, work.claim_no, None)),
            SagaEffect::Send(SagaCommand::Return | SagaCommand::Refund, _) => {
                unreachable!("no order is given up here")
            }
            SagaEffect::Stop => unreachable!("not busy"),
        }
    }

    fn is_refused(&self, sabotage: Sabotage, fence: bool, seen: Option<u8>, claim_no: u8) -> bool {
        (sabotage.fences_count() && fence)
            || (sabotage.claims_count() && seen.is_some_and(|seen| seen > claim_no))
    }

    fn wrote(&mut self, life: usize, order: usize, claim_no: u8) {
        self.trespassed |= self.orders[order].owner != (life, claim_no);
    }

    fn inventory(
        &mut self,
        sabotage: Sabotage,
        life: usize,
        order: usize,
        claim_no: u8,
        command: SagaCommand,
    ) -> Reply {
        let row = self.orders[order].held;
        if self.is_refused(
            sabotage,
            self.fences[life][0],
            row.map(|(seen, _)| seen),
            claim_no,
        ) {
            return SagaEvent::Fenced;
        }
        let (held, event) = self.stock.carry_out(command, row.map(|(_, held)| held));
        let Some(held) = held else { return event };
        if row != Some((claim_no, held)) {
            self.wrote(life, order, claim_no);
        }
        self.orders[order].held = Some((claim_no, held));
        event
    }

    /// First the provider, then, as a step of its own, the payments' book.
    fn payments(
        &mut self,
        sabotage: Sabotage,
        life: usize,
        order: usize,
        work: &Work,
        command: SagaCommand,
    ) -> Option<Reply> {
        let row = self.orders[order].payment;
        let fence = self.fences[life][1];
        if self.is_refused(sabotage, fence, row.map(|(seen, _)| seen), work.claim_no) {
            return Some(SagaEvent::Fenced);
        }
        let Some(heard) = work.heard else {
            let order = &mut self.orders[order];
            let wanted = if command == SagaCommand::Cancel {
                Payment::Cancelled
            } else {
                order.card
            };
            let decided = *order.ledger.get_or_insert(wanted);
            order.work[life].as_mut().expect("busy").heard = Some(decided);
            return None;
        };
        let (payment, event) = row.map_or(heard, |(_, payment)| payment).carry_out(command);
        if row != Some((work.claim_no, payment)) {
            self.wrote(life, order, work.claim_no);
        }
        self.orders[order].payment = Some((work.claim_no, payment));
        Some(event)
    }

    fn record(
        &mut self,
        life: usize,
        order: usize,
        claim_no: u8,
        verdict: Option<&SagaVerdict<&'static str>>,
    ) -> Reply {
        let order = &mut self.orders[order];
        if order.owner != (life, claim_no) {
            return SagaEvent::Fenced;
        }
        let wanted = match verdict {
            Some(SagaVerdict::Confirmed) => OrderRecord::Confirmed,
            Some(SagaVerdict::Rejected(_)) => OrderRecord::Rejected,
            None => OrderRecord::Parked,
        };
        if order.record.write(wanted) {
            order.events += u8::from(verdict.is_some());
        }
        if order.record == wanted {
            SagaEvent::Done
        } else {
            SagaEvent::Refused("ended otherwise")
        }
    }

    /// Brings an outcome back to the saga's table, which decides what follows.
    pub(crate) fn tell(
        &mut self,
        sabotage: Sabotage,
        life: usize,
        order: usize,
        now: Monotonic,
        event: Reply,
    ) {
        let work = self.orders[order].work[life].as_mut().expect("busy");
        work.heard = None;
        if let SagaEffect::Park(_) = work.effect {
            work.effect = SagaEffect::Stop;
            return;
        }
        let state = std::mem::replace(&mut work.state, SagaState::Lost);
        let event = match (sabotage, &state, event) {
            (Sabotage::CompensateFromUnknown, SagaState::Doing(_), SagaEvent::Unknown { .. })
                if now == PAST_THE_BUDGET =>
            {
                SagaEvent::Refused("taken for refused")
            }
            (_, _, event) => event,
        };
        (work.state, work.effect) = match state.on(ORDER, now, event) {
            Ok(next) => next,
            // As the driver does with a record that contradicts another.
            Err(illegal) => (illegal.state, SagaEffect::Stop),
        };
        forget_numbers(work);
    }

    pub(crate) fn claim(&mut self, new_owner: usize) {
        let from = 1 - new_owner;
        self.fences[from][2] = true;
        for order in &mut self.orders {
            if order.owner.0 == from && order.record == OrderRecord::Pending {
                let claim_no = order.owner.1 + 1;
                order.owner = (new_owner, claim_no);
                order.work[new_owner] = Some(Work::begin(claim_no));
            }
        }
    }

    pub(crate) fn crash(&mut self, life: usize) {
        self.left.crashes -= 1;
        self.alive[life] = false;
        (0..ORDERS).for_each(|order| self.orders[order].work[life] = None);
    }

    pub(crate) fn is_sending(&self, life: usize, order: usize, wanted: SagaCommand) -> bool {
        let effect = self.orders[order].work[life].as_ref().map(|work| &work.effect);
        matches!(effect, Some(SagaEffect::Send(command, _)) if *command == wanted)
    }
}

/// How often something was tried only lengthens the wait before the next try.
fn forget_numbers(work: &mut Work) {
    if let SagaState::Doing(at)
    | SagaState::Settling(at, _)
    | SagaState::Undoing(at, _)
    | SagaState::Recording(_, at) = &mut work.state
    {
        (at.unknown, at.since, at.last) = (0, NOW, NOW);
    }
    if let SagaEffect::Send(_, wait) | SagaEffect::Record(_, wait) = &mut work.effect {
        *wait = Duration::ZERO;
    }
}
