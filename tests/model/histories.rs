//! Random histories of the order saga against the models of the participants: lost replies, duplicates, late
//! packets, crashes, and owners that sleep while another one takes over. Each history ends in rest, and the
//! invariants hold after every action.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::base::time::Monotonic;
use cluster::saga::{
    BudgetUsed, ORDER, SagaCommand, SagaEffect, SagaEvent, SagaState, SagaStep, SagaVerdict,
};

use crate::participants::{OrderRecord, Payment, Reply, Reservation, Stock};

const ORDERS: usize = 3;
const STOCK: u8 = 2;
const HISTORIES: u64 = 6_000;

/// Everything that is durable: the records of the three services, and the claims.
struct Records {
    stock: Stock,
    reservations: BTreeMap<usize, (u32, Reservation)>,
    payments: BTreeMap<usize, (u32, Payment)>,
    orders: [OrderRecord; ORDERS],
    claims: [u32; ORDERS],
    terminal_events: [u32; ORDERS],
    declines: [bool; ORDERS],
    /// Whether a person gave up the order.
    given_up: [bool; ORDERS],
    /// The budget that each claim used, by command, since the last decision about the order.
    budget_used: [Vec<(u32, SagaCommand, Duration)>; ORDERS],
}

/// One life's work on one order.
#[derive(Clone)]
struct Owner {
    order: usize,
    claim_no: u32,
    state: SagaState<&'static str>,
    effect: SagaEffect<&'static str>,
    /// The budget that earlier owners used.
    earlier: BudgetUsed,
}

impl Records {
    fn new(random: &mut fastrand::Rng) -> Records {
        Records {
            stock: Stock {
                on_hand: STOCK,
                reserved: 0,
            },
            reservations: BTreeMap::new(),
            payments: BTreeMap::new(),
            orders: [OrderRecord::Pending; ORDERS],
            claims: [1; ORDERS],
            terminal_events: [0; ORDERS],
            declines: std::array::from_fn(|_| random.u8(..4) == 0),
            given_up: [false; ORDERS],
            budget_used: std::array::from_fn(|_| Vec::new()),
        }
    }

    fn earlier(&self, order: usize) -> BudgetUsed {
        let of_any_claim = |&(_, command, spent): &(u32, SagaCommand, Duration)| (command, spent);
        self.budget_used[order].iter().map(of_any_claim).collect()
    }

    fn carry_out(&mut self, order: usize, claim_no: u32, effect: &SagaEffect<&'static str>) -> Reply {
        match effect {
            SagaEffect::Send(command, _) => self.obey(order, claim_no, *command),
            SagaEffect::Record(verdict, _) => self.record(order, claim_no, verdict),
            SagaEffect::Park(_) | SagaEffect::Stop => SagaEvent::Done,
        }
    }

    fn obey(&mut self, order: usize, claim_no: u32, command: SagaCommand) -> Reply {
        match command {
            SagaCommand::Reserve | SagaCommand::Release | SagaCommand::Commit | SagaCommand::Return => {
                self.inventory(order, claim_no, command)
            }
            SagaCommand::Charge | SagaCommand::Cancel | SagaCommand::Refund => {
                self.payments(order, claim_no, command)
            }
        }
    }

    fn inventory(&mut self, order: usize, claim_no: u32, command: SagaCommand) -> Reply {
        let known = self.reservations.get(&order).copied();
        if known.is_some_and(|(seen, _)| seen > claim_no) {
            return SagaEvent::Fenced;
        }
        let (after, reply) = self
            .stock
            .carry_out(command, known.map(|(_, reservation)| reservation));
        let commits = command == SagaCommand::Commit;
        assert!(
            !commits || reply == SagaEvent::Done,
            "commit of {known:?}: {reply:?}"
        );
        if let Some(after) = after {
            self.reservations.insert(order, (claim_no, after));
        }
        reply
    }

    fn payments(&mut self, order: usize, claim_no: u32, command: SagaCommand) -> Reply {
        let known = self.payments.get(&order).copied();
        if known.is_some_and(|(seen, _)| seen > claim_no) {
            return SagaEvent::Fenced;
        }
        let decided_now = match command {
            SagaCommand::Charge if self.declines[order] => Payment::Declined,
            SagaCommand::Charge => Payment::Taken,
            _ => Payment::Cancelled,
        };
        let payment = known.map_or(decided_now, |(_, payment)| payment);
        let (after, reply) = payment.carry_out(command);
        self.payments.insert(order, (claim_no, after));
        reply
    }

    fn record(&mut self, order: usize, claim_no: u32, verdict: &SagaVerdict<&'static str>) -> Reply {
        if self.claims[order] != claim_no {
            return SagaEvent::Fenced;
        }
        let wanted = match verdict {
            SagaVerdict::Confirmed => OrderRecord::Confirmed,
            SagaVerdict::Rejected(_) => OrderRecord::Rejected,
        };
        if self.orders[order].write(wanted) {
            self.terminal_events[order] += 1;
        }
        assert_eq!(self.orders[order], wanted, "a terminal record changed");
        SagaEvent::Done
    }

    fn check(&self, at_rest: bool) {
        let count = |wanted| {
            let alike = self.reservations.values().filter(|(_, known)| *known == wanted);
            u8::try_from(alike.count()).expect("few")
        };
        let Stock { on_hand, reserved } = self.stock;
        assert_eq!(on_hand + count(Reservation::Committed), STOCK, "stock adds up");
        assert_eq!(reserved, count(Reservation::Held), "what is reserved is held");
        assert!(reserved <= on_hand, "never below zero");
        for order in 0..ORDERS {
            let payment = self.payments.get(&order).map(|(_, payment)| *payment);
            let taken = payment == Some(Payment::Taken);
            assert!(self.terminal_events[order] <= 1, "at most one terminal event");
            match self.orders[order] {
                OrderRecord::Confirmed => assert!(taken, "confirmed and not paid"),
                OrderRecord::Rejected => assert!(!taken, "rejected and paid"),
                OrderRecord::Pending | OrderRecord::Parked => assert!(!at_rest, "order {order} never ended"),
            }
        }
        if at_rest {
            assert_eq!(reserved, 0, "stock leaked");
        }
    }
}

impl Owner {
    fn begin(order: usize, claim_no: u32, now: Monotonic, given_up: bool, earlier: BudgetUsed) -> Owner {
        let (state, effect) = if given_up {
            SagaState::begin_undoing(ORDER, now)
        } else {
            SagaState::begin(ORDER, now)
        };
        Owner {
            order,
            claim_no,
            state: state.with_earlier_use(ORDER, &earlier),
            effect,
            earlier,
        }
    }

    fn is_over(&self) -> bool {
        matches!(
            self.state,
            SagaState::Ended(_) | SagaState::Parked(_) | SagaState::Lost
        )
    }

    /// Brings an event to the saga. How much of the budget of the command under way this owner had used by
    /// then.
    fn take(&mut self, now: Monotonic, event: Reply) -> Option<(SagaCommand, Duration)> {
        let is_unknown = matches!(event, SagaEvent::Unknown { .. });
        let state = std::mem::replace(&mut self.state, SagaState::Lost);
        let spent = state.budget_used(ORDER, now);
        let (state, effect) = state.on(ORDER, now, event).expect("a legal pair");
        (self.state, self.effect) = (state.with_earlier_use(ORDER, &self.earlier), effect);
        if let (true, Some((command, spent)), SagaEffect::Send(next, _)) = (is_unknown, spent, &self.effect) {
            let all = self.earlier.on(command) + spent;
            let is_its = |step: &&SagaStep| {
                [Some(step.command), step.compensation, step.settled_by].contains(&Some(command))
            };
            let budget = ORDER.iter().find(is_its).expect("a step").budget;
            assert!(
                *next != command || all < budget,
                "{command:?} is asked for past its budget"
            );
        }
        spent
    }
}

struct History {
    random: fastrand::Rng,
    now: Monotonic,
    records: Records,
    owners: Vec<Owner>,
    late_packets: Vec<(usize, u32, SagaEffect<&'static str>)>,
}

impl History {
    fn new(seed: u64) -> History {
        let mut random = fastrand::Rng::with_seed(seed);
        let records = Records::new(&mut random);
        let owners = (0..ORDERS)
            .map(|order| Owner::begin(order, 1, Monotonic(0), false, BudgetUsed::default()))
            .collect();
        History {
            random,
            now: Monotonic(0),
            records,
            owners,
            late_packets: Vec::new(),
        }
    }

    fn act(&mut self) {
        let chosen = self.random.usize(..self.owners.len());
        match self.random.u8(..16) {
            0..8 => self.step(chosen, false),
            8..10 => self.step(chosen, true),
            10 => self.lose_the_command(chosen),
            11 => self.deliver_a_late_packet(),
            12 => self.now = self.now + Duration::from_secs(self.random.u64(..30)),
            13 => self.take_over(chosen, true),
            _ => self.take_over(chosen, false),
        }
        self.records.check(false);
    }

    /// The command arrives; its reply may be lost, and it may arrive again much later.
    fn step(&mut self, chosen: usize, reply_lost: bool) {
        let Owner {
            order,
            claim_no,
            effect,
            ..
        } = self.owners[chosen].clone();
        if self.owners[chosen].is_over() {
            return;
        }
        let event = self.records.carry_out(order, claim_no, &effect);
        self.late_packets.push((order, claim_no, effect));
        let random = self.random.u64(..);
        let unknown = SagaEvent::Unknown { random };
        self.tell(chosen, if reply_lost { unknown } else { event });
    }

    fn tell(&mut self, chosen: usize, event: Reply) {
        let spent = self.owners[chosen].take(self.now, event);
        let Owner { order, claim_no, .. } = self.owners[chosen];
        if let Some((command, spent)) = spent
            && self.records.claims[order] == claim_no
        {
            let noted = &mut self.records.budget_used[order];
            noted.retain(|(claim, of, _)| (*claim, *of) != (claim_no, command));
            noted.push((claim_no, command, spent));
        }
        self.note_parking(chosen);
    }

    /// A saga that was parked gets whole budgets.
    fn claim(&mut self, order: usize) -> Owner {
        let records = &mut self.records;
        if records.orders[order] == OrderRecord::Parked {
            records.budget_used[order].clear();
        }
        records.claims[order] += 1;
        records.orders[order] = OrderRecord::Pending;
        let (given_up, earlier) = (records.given_up[order], records.earlier(order));
        Owner::begin(order, records.claims[order], self.now, given_up, earlier)
    }

    /// The command has not arrived, and may still arrive later.
    fn lose_the_command(&mut self, chosen: usize) {
        let Owner {
            order,
            claim_no,
            effect,
            ..
        } = self.owners[chosen].clone();
        if !self.owners[chosen].is_over() {
            self.late_packets.push((order, claim_no, effect));
            let random = self.random.u64(..);
            self.tell(chosen, SagaEvent::Unknown { random });
        }
    }

    fn deliver_a_late_packet(&mut self) {
        if !self.late_packets.is_empty() {
            let (order, claim_no, effect) =
                self.late_packets[self.random.usize(..self.late_packets.len())].clone();
            self.records.carry_out(order, claim_no, &effect);
        }
    }

    /// Another life claims the order; the old owner is dead, or only asleep.
    fn take_over(&mut self, chosen: usize, dead: bool) {
        let order = self.owners[chosen].order;
        if self.records.orders[order].is_ended() {
            return;
        }
        // A person decides about what is parked.
        if self.records.orders[order] == OrderRecord::Parked && self.random.bool() {
            self.records.given_up[order] = true;
        }
        let new_owner = self.claim(order);
        if dead {
            self.owners[chosen] = new_owner;
        } else {
            self.owners.push(new_owner);
        }
    }

    fn note_parking(&mut self, chosen: usize) {
        let Owner {
            order,
            claim_no,
            state,
            ..
        } = &self.owners[chosen];
        if matches!(state, SagaState::Parked(_)) && self.records.claims[*order] == *claim_no {
            self.records.orders[*order] = OrderRecord::Parked;
        }
    }

    /// No faults happen any more: each saga that is not over is claimed once more and runs to its end, and
    /// replaced owners go on as far as they can.
    fn rest(mut self) {
        for order in 0..ORDERS {
            if !self.records.orders[order].is_ended() {
                let new_owner = self.claim(order);
                self.owners.push(new_owner);
            }
        }
        for chosen in (0..self.owners.len()).rev() {
            while !self.owners[chosen].is_over() {
                self.step(chosen, false);
                self.records.check(false);
            }
        }
        self.records.check(true);
    }
}

#[test]
fn every_history_ends_with_money_and_stock_in_order() {
    for seed in 0..HISTORIES {
        let result = std::panic::catch_unwind(|| {
            let mut history = History::new(seed);
            for _ in 0..60 {
                history.act();
            }
            history.rest();
        });
        assert!(result.is_ok(), "the history of seed {seed} broke an invariant");
    }
}
