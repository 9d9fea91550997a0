//! The services as models: each command is one transaction that looks at the fences and the claim first.

use std::time::Duration;

use cluster::base::time::Monotonic;
use cluster::saga::table::State as Table;
use cluster::saga::{Command, Effect, Event, ORDER, Verdict};

use crate::bounds::Sabotage;
use crate::world::{Charge, Held, NOW, ORDERS, Record, Work, World};

pub(crate) const PAST_THE_BUDGET: Monotonic = Monotonic(3_600_000_000_000);

type Said = Event<&'static str>;

impl World {
    /// Carries out what the life is about to do; `None` when the provider was asked and payments comes next.
    pub(crate) fn carry_out(&mut self, sabotage: Sabotage, life: usize, order: usize) -> Option<Said> {
        let work = self.orders[order].work[life].clone().expect("busy");
        match work.effect {
            Effect::Send(command @ (Command::Reserve | Command::Release | Command::Commit), _) => {
                Some(self.inventory(sabotage, life, order, work.claim_no, command))
            }
            Effect::Send(command @ (Command::Charge | Command::Cancel), _) => {
                self.payments(sabotage, life, order, &work, command)
            }
            Effect::Record(verdict, _) => Some(self.record(life, order, work.claim_no, Some(&verdict))),
            Effect::Park(_) => Some(self.record(life, order, work.claim_no, None)),
            Effect::Send(Command::Return | Command::Refund, _) => {
                unreachable!("nobody here gives an order up")
            }
            Effect::Rest => unreachable!("not busy"),
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
        command: Command,
    ) -> Said {
        let row = self.orders[order].held;
        if self.is_refused(
            sabotage,
            self.fences[life][0],
            row.map(|(seen, _)| seen),
            claim_no,
        ) {
            return Event::Fenced;
        }
        let (held, event) = match (command, row.map(|(_, held)| held)) {
            (Command::Reserve, None) if self.on_hand > self.reserved => {
                self.reserved += 1;
                (Held::Yes, Event::Done)
            }
            (Command::Reserve, None) => (Held::Refused, Event::Refused("out of stock")),
            (Command::Reserve, Some(held @ (Held::Yes | Held::Released | Held::Committed))) => {
                (held, Event::Done)
            }
            (Command::Reserve, Some(held)) => (held, Event::Refused("shut")),
            (Command::Release, None) => (Held::Shut, Event::Done),
            (Command::Release, Some(Held::Yes)) => {
                self.reserved -= 1;
                (Held::Released, Event::Done)
            }
            (Command::Release, Some(Held::Committed)) => (Held::Committed, Event::Refused("committed")),
            (Command::Release, Some(held)) => (held, Event::Done),
            (_, Some(Held::Yes)) => {
                self.reserved -= 1;
                self.on_hand -= 1;
                (Held::Committed, Event::Done)
            }
            (_, Some(Held::Committed)) => (Held::Committed, Event::Done),
            (_, Some(held @ (Held::Refused | Held::Released | Held::Shut))) => {
                (held, Event::Refused("not held"))
            }
            (_, None) => return Event::Refused("not held"),
        };
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
        command: Command,
    ) -> Option<Said> {
        let row = self.orders[order].payment;
        let fence = self.fences[life][1];
        if self.is_refused(sabotage, fence, row.map(|(seen, _)| seen), work.claim_no) {
            return Some(Event::Fenced);
        }
        let Some(heard) = work.heard else {
            let order = &mut self.orders[order];
            let wanted = if command == Command::Cancel {
                Charge::Cancelled
            } else {
                order.card
            };
            let decided = *order.ledger.get_or_insert(wanted);
            order.work[life].as_mut().expect("busy").heard = Some(decided);
            return None;
        };
        let charge = row.map_or(heard, |(_, charge)| charge);
        if row != Some((work.claim_no, charge)) {
            self.wrote(life, order, work.claim_no);
        }
        self.orders[order].payment = Some((work.claim_no, charge));
        Some(match (command, charge) {
            (Command::Charge, Charge::Taken) | (Command::Cancel, Charge::Declined | Charge::Cancelled) => {
                Event::Done
            }
            _ => Event::Refused("decided otherwise"),
        })
    }

    fn record(
        &mut self,
        life: usize,
        order: usize,
        claim_no: u8,
        verdict: Option<&Verdict<&'static str>>,
    ) -> Said {
        let order = &mut self.orders[order];
        if order.owner != (life, claim_no) {
            return Event::Fenced;
        }
        let wanted = match verdict {
            Some(Verdict::Confirmed) => Record::Confirmed,
            Some(Verdict::Rejected(_)) => Record::Rejected,
            None => Record::Parked,
        };
        // As in the service, the statement that ends an order touches none that is over.
        if matches!(order.record, Record::Pending | Record::Parked) {
            order.record = wanted;
            order.events += u8::from(verdict.is_some());
        }
        if order.record == wanted {
            Event::Done
        } else {
            Event::Refused("ended otherwise")
        }
    }

    /// Brings an outcome back to the saga's table, which decides what follows.
    pub(crate) fn tell(
        &mut self,
        sabotage: Sabotage,
        life: usize,
        order: usize,
        now: Monotonic,
        event: Said,
    ) {
        let work = self.orders[order].work[life].as_mut().expect("busy");
        work.heard = None;
        if let Effect::Park(_) = work.effect {
            work.effect = Effect::Rest;
            return;
        }
        let state = std::mem::replace(&mut work.state, Table::Lost);
        let event = match (sabotage, &state, event) {
            (Sabotage::CompensateFromUnknown, Table::Doing(_), Event::Unknown { .. })
                if now == PAST_THE_BUDGET =>
            {
                Event::Refused("taken for refused")
            }
            (_, _, event) => event,
        };
        (work.state, work.effect) = match state.on(ORDER, now, event) {
            Ok(next) => next,
            // As the driver does with a record that contradicts another.
            Err(illegal) => (illegal.state, Effect::Rest),
        };
        forget_numbers(work);
    }

    pub(crate) fn claim(&mut self, heir: usize) {
        let from = 1 - heir;
        self.fences[from][2] = true;
        for order in &mut self.orders {
            if order.owner.0 == from && order.record == Record::Pending {
                let claim_no = order.owner.1 + 1;
                order.owner = (heir, claim_no);
                order.work[heir] = Some(Work::begin(claim_no));
            }
        }
    }

    pub(crate) fn crash(&mut self, life: usize) {
        self.left.crashes -= 1;
        self.alive[life] = false;
        (0..ORDERS).for_each(|order| self.orders[order].work[life] = None);
    }

    pub(crate) fn is_sending(&self, life: usize, order: usize, wanted: Command) -> bool {
        let effect = self.orders[order].work[life].as_ref().map(|work| &work.effect);
        matches!(effect, Some(Effect::Send(command, _)) if *command == wanted)
    }
}

/// How often something was tried only lengthens the wait before the next try.
fn forget_numbers(work: &mut Work) {
    if let Table::Doing(at) | Table::Settling(at, _) | Table::Undoing(at, _) | Table::Recording(_, at) =
        &mut work.state
    {
        (at.unknown, at.since, at.last) = (0, NOW, NOW);
    }
    if let Effect::Send(_, wait) | Effect::Record(_, wait) = &mut work.effect {
        *wait = Duration::ZERO;
    }
}
