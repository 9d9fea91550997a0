//! Random histories of the order saga against tiny participants in memory: lost replies, duplicates, late packets, crashes,
//! owners that sleep while another takes over. Each ends in rest, and the invariants hold after every single action.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Cause, Command, Effect, Event, ORDER, Spent, State, Step, Verdict};
use crate::base::time::Monotonic;

const ORDERS: usize = 3;
const STOCK: u32 = 2;
const HISTORIES: u64 = 6_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Yes,
    Refused,
    Released,
    Shut,
    Committed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charge {
    Taken,
    Declined,
    Cancelled,
    Refunded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    Pending,
    Confirmed,
    Rejected,
    Parked,
}

/// All that is durable: three services and the claims.
struct World {
    on_hand: u32,
    reserved: u32,
    held: BTreeMap<usize, (u32, Held)>,
    charges: BTreeMap<usize, (u32, Charge)>,
    records: [Record; ORDERS],
    claims: [u32; ORDERS],
    terminal_events: [u32; ORDERS],
    declines: [bool; ORDERS],
    /// A person gave the order up.
    given_up: [bool; ORDERS],
    /// What owners spent on commands, since the last decision about the order.
    spent: [Vec<(u32, Command, Duration)>; ORDERS],
}

/// One life's work on one order.
#[derive(Clone)]
struct Owner {
    order: usize,
    claim_no: u32,
    state: State<&'static str>,
    effect: Effect<&'static str>,
    /// What was spent before it.
    earlier: Spent,
}

impl World {
    fn new(random: &mut fastrand::Rng) -> World {
        World {
            on_hand: STOCK,
            reserved: 0,
            held: BTreeMap::new(),
            charges: BTreeMap::new(),
            records: [Record::Pending; ORDERS],
            claims: [1; ORDERS],
            terminal_events: [0; ORDERS],
            declines: std::array::from_fn(|_| random.u8(..4) == 0),
            given_up: [false; ORDERS],
            spent: std::array::from_fn(|_| Vec::new()),
        }
    }

    fn earlier(&self, order: usize) -> Spent {
        let of_any_claim = |&(_, command, spent): &(u32, Command, Duration)| (command, spent);
        self.spent[order].iter().map(of_any_claim).collect()
    }

    fn carry_out(
        &mut self,
        order: usize,
        claim_no: u32,
        effect: &Effect<&'static str>,
    ) -> Event<&'static str> {
        match effect {
            Effect::Send(command, _) => self.obey(order, claim_no, *command),
            Effect::Record(verdict, _) => self.record(order, claim_no, verdict),
            Effect::Park(_) | Effect::Rest => Event::Done,
        }
    }

    fn obey(&mut self, order: usize, claim_no: u32, command: Command) -> Event<&'static str> {
        match command {
            Command::Reserve | Command::Release | Command::Commit | Command::Return => {
                self.inventory(order, claim_no, command)
            }
            Command::Charge | Command::Cancel | Command::Refund => self.payments(order, claim_no, command),
        }
    }

    fn inventory(&mut self, order: usize, claim_no: u32, command: Command) -> Event<&'static str> {
        let row = self.held.get(&order).copied();
        if row.is_some_and(|(seen, _)| seen > claim_no) {
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
            (Command::Release | Command::Return, None) => (Held::Shut, Event::Done),
            (Command::Return, Some(Held::Committed)) => {
                self.on_hand += 1;
                (Held::Released, Event::Done)
            }
            (Command::Release | Command::Return, Some(Held::Yes)) => {
                self.reserved -= 1;
                (Held::Released, Event::Done)
            }
            (Command::Release, Some(Held::Committed)) => (Held::Committed, Event::Refused("committed")),
            (Command::Release | Command::Return, Some(held)) => (held, Event::Done),
            (Command::Commit, Some(Held::Yes)) => {
                self.reserved -= 1;
                self.on_hand -= 1;
                (Held::Committed, Event::Done)
            }
            (Command::Commit, Some(Held::Committed)) => (Held::Committed, Event::Done),
            (Command::Commit, held) => panic!("commit of {held:?}"),
            (Command::Charge | Command::Cancel | Command::Refund, _) => unreachable!("not inventory's"),
        };
        self.held.insert(order, (claim_no, held));
        event
    }

    fn payments(&mut self, order: usize, claim_no: u32, command: Command) -> Event<&'static str> {
        let row = self.charges.get(&order).copied();
        if row.is_some_and(|(seen, _)| seen > claim_no) {
            return Event::Fenced;
        }
        let first = match command {
            Command::Cancel | Command::Refund => Charge::Cancelled,
            Command::Charge if self.declines[order] => Charge::Declined,
            Command::Charge => Charge::Taken,
            Command::Reserve | Command::Release | Command::Commit | Command::Return => {
                unreachable!("not payments'")
            }
        };
        let charge = match (command, row.map_or(first, |(_, charge)| charge)) {
            (Command::Refund, Charge::Taken) => Charge::Refunded,
            (_, charge) => charge,
        };
        self.charges.insert(order, (claim_no, charge));
        match (command, charge) {
            (Command::Charge, Charge::Taken)
            | (Command::Refund, _)
            | (Command::Cancel, Charge::Declined | Charge::Cancelled | Charge::Refunded) => Event::Done,
            (_, Charge::Taken) => Event::Refused("taken"),
            (_, Charge::Declined) => Event::Refused("declined"),
            (_, Charge::Cancelled | Charge::Refunded) => Event::Refused("cancelled"),
        }
    }

    fn record(
        &mut self,
        order: usize,
        claim_no: u32,
        verdict: &Verdict<&'static str>,
    ) -> Event<&'static str> {
        if self.claims[order] != claim_no {
            return Event::Fenced;
        }
        let record = match verdict {
            Verdict::Confirmed => Record::Confirmed,
            Verdict::Rejected(Cause::Refused(_) | Cause::GaveUp(_) | Cause::TakenBack) => Record::Rejected,
        };
        if matches!(self.records[order], Record::Pending | Record::Parked) {
            self.records[order] = record;
            self.terminal_events[order] += 1;
        }
        assert_eq!(self.records[order], record, "a terminal record changed");
        Event::Done
    }

    fn check(&self, at_rest: bool) {
        let held = |wanted| {
            u32::try_from(self.held.values().filter(|(_, held)| *held == wanted).count()).expect("few")
        };
        assert_eq!(self.on_hand + held(Held::Committed), STOCK, "stock adds up");
        assert_eq!(self.reserved, held(Held::Yes), "what is reserved is held");
        assert!(self.reserved <= self.on_hand, "never below zero");
        for order in 0..ORDERS {
            let taken = self
                .charges
                .get(&order)
                .is_some_and(|(_, charge)| *charge == Charge::Taken);
            assert!(self.terminal_events[order] <= 1, "at most one terminal event");
            match self.records[order] {
                Record::Confirmed => assert!(taken, "confirmed and not paid"),
                Record::Rejected => assert!(!taken, "rejected and paid"),
                Record::Pending | Record::Parked => assert!(!at_rest, "order {order} never ended"),
            }
        }
        if at_rest {
            assert_eq!(self.reserved, 0, "stock leaked");
        }
    }
}

impl Owner {
    fn begin(order: usize, claim_no: u32, now: Monotonic, given_up: bool, earlier: Spent) -> Owner {
        let (state, effect) = if given_up {
            State::take_back(ORDER, now)
        } else {
            State::begin(ORDER, now)
        };
        Owner {
            order,
            claim_no,
            state: state.after(ORDER, &earlier),
            effect,
            earlier,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Ended(_) | State::Parked(_) | State::Lost)
    }

    /// What it spent on a command that it turns from, or asks for again.
    fn take(&mut self, now: Monotonic, event: Event<&'static str>) -> Option<(Command, Duration)> {
        let is_unknown = matches!(event, Event::Unknown { .. });
        let state = std::mem::replace(&mut self.state, State::Lost);
        let spent = state.spent(ORDER, now);
        let (state, effect) = state.on(ORDER, now, event).expect("a legal pair");
        (self.state, self.effect) = (state.after(ORDER, &self.earlier), effect);
        if let (true, Some((command, spent)), Effect::Send(next, _)) = (is_unknown, spent, &self.effect) {
            let all = self.earlier.on(command) + spent;
            let is_its = |step: &&Step| {
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
    world: World,
    owners: Vec<Owner>,
    late_packets: Vec<(usize, u32, Effect<&'static str>)>,
}

impl History {
    fn new(seed: u64) -> History {
        let mut random = fastrand::Rng::with_seed(seed);
        let world = World::new(&mut random);
        let owners = (0..ORDERS)
            .map(|order| Owner::begin(order, 1, Monotonic(0), false, Spent::default()))
            .collect();
        History {
            random,
            now: Monotonic(0),
            world,
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
        self.world.check(false);
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
        let event = self.world.carry_out(order, claim_no, &effect);
        self.late_packets.push((order, claim_no, effect));
        let random = self.random.u64(..);
        let unknown = Event::Unknown { random };
        self.tell(chosen, if reply_lost { unknown } else { event });
    }

    fn tell(&mut self, chosen: usize, event: Event<&'static str>) {
        let spent = self.owners[chosen].take(self.now, event);
        let Owner { order, claim_no, .. } = self.owners[chosen];
        if let Some((command, spent)) = spent
            && self.world.claims[order] == claim_no
        {
            let noted = &mut self.world.spent[order];
            noted.retain(|(claim, of, _)| (*claim, *of) != (claim_no, command));
            noted.push((claim_no, command, spent));
        }
        self.note_parking(chosen);
    }

    /// What stood still gets whole budgets.
    fn claim(&mut self, order: usize) -> Owner {
        let world = &mut self.world;
        if world.records[order] == Record::Parked {
            world.spent[order].clear();
        }
        world.claims[order] += 1;
        world.records[order] = Record::Pending;
        let (given_up, earlier) = (world.given_up[order], world.earlier(order));
        Owner::begin(order, world.claims[order], self.now, given_up, earlier)
    }

    /// It has not arrived, but may yet.
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
            self.tell(chosen, Event::Unknown { random });
        }
    }

    fn deliver_a_late_packet(&mut self) {
        if !self.late_packets.is_empty() {
            let (order, claim_no, effect) =
                self.late_packets[self.random.usize(..self.late_packets.len())].clone();
            self.world.carry_out(order, claim_no, &effect);
        }
    }

    /// Another life claims the order; the old owner is dead, or only asleep.
    fn take_over(&mut self, chosen: usize, dead: bool) {
        let order = self.owners[chosen].order;
        if matches!(self.world.records[order], Record::Confirmed | Record::Rejected) {
            return;
        }
        // A person decides about what is parked.
        if self.world.records[order] == Record::Parked && self.random.bool() {
            self.world.given_up[order] = true;
        }
        let heir = self.claim(order);
        if dead {
            self.owners[chosen] = heir;
        } else {
            self.owners.push(heir);
        }
    }

    fn note_parking(&mut self, chosen: usize) {
        let Owner {
            order,
            claim_no,
            state,
            ..
        } = &self.owners[chosen];
        if matches!(state, State::Parked(_)) && self.world.claims[*order] == *claim_no {
            self.world.records[*order] = Record::Parked;
        }
    }

    /// No faults any more: whatever is not over is claimed once more and runs to its end; zombies finish what they can.
    fn rest(mut self) {
        for order in 0..ORDERS {
            if matches!(self.world.records[order], Record::Pending | Record::Parked) {
                let heir = self.claim(order);
                self.owners.push(heir);
            }
        }
        for chosen in (0..self.owners.len()).rev() {
            while !self.owners[chosen].is_over() {
                self.step(chosen, false);
                self.world.check(false);
            }
        }
        self.world.check(true);
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
