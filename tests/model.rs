//! The saga's protocol, exhaustively within bounds: two workers, two orders for the last article, a crash, a claim from an owner
//! that is only asleep, lost commands, lost replies, late packets and exhausted budgets, in every order. The saga's own table
//! decides; what it speaks to is a model of the services, with their fences and claims.

use std::collections::BTreeSet;
use std::time::Duration;

use cluster::base::time::Monotonic;
use cluster::saga::table::State as Table;
use cluster::saga::{Command, Effect, Event, ORDER, Verdict};
use stateright::{Checker, Model, Property};

const ORDERS: usize = 2;
const LIVES: usize = 2;
const STOCK: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Held {
    Yes,
    Refused,
    Released,
    Shut,
    Committed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Charge {
    Taken,
    Declined,
    Cancelled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Record {
    Pending,
    Parked,
    Confirmed,
    Rejected,
}

/// One life's work on one order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Work {
    claim_no: u8,
    state: Table<&'static str>,
    effect: Effect<&'static str>,
    /// What the provider answered, and payments has not written down yet.
    heard: Option<Charge>,
}

/// A charge that was given up by its sender and is still on its way to the provider.
type Packet = usize;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    on_hand: u8,
    reserved: u8,
    held: [Option<(u8, Held)>; ORDERS],
    /// The provider's own ledger.
    ledger: [Option<Charge>; ORDERS],
    payments: [Option<(u8, Charge)>; ORDERS],
    records: [Record; ORDERS],
    owners: [(usize, u8); ORDERS],
    events: [u8; ORDERS],
    /// Per life: in inventory, in payments, in orders.
    fences: [[bool; 3]; LIVES],
    alive: [bool; LIVES],
    work: [[Option<Work>; ORDERS]; LIVES],
    packets: BTreeSet<Packet>,
    crashes: u8,
    claims: u8,
    unknowns: u8,
    /// A life wrote for an order that was claimed from it.
    trespassed: bool,
    fenced: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    /// The next thing this life does for that order.
    Step(usize, usize),
    /// It is done, and the reply is lost.
    LoseReply(usize, usize),
    /// It is not done (yet).
    LoseCommand(usize, usize),
    /// It is not done, and that was the last try within the budget.
    GiveUp(usize, usize),
    /// A late charge reaches the provider.
    Arrive(Packet),
    Crash(usize),
    /// A life fences the other one: in inventory (0), in payments (1), and in orders, where it claims (2).
    Fence(usize, usize),
}

struct Protocol {
    /// Whether participants look at fences.
    fenced: bool,
}

const NOW: Monotonic = Monotonic(0);

fn begin(claim_no: u8) -> Work {
    let (state, effect) = Table::begin(ORDER, NOW);
    Work {
        claim_no,
        state,
        effect,
        heard: None,
    }
}

/// The second order's card declines.
fn card(order: usize) -> Charge {
    if order == 1 {
        Charge::Declined
    } else {
        Charge::Taken
    }
}

impl World {
    fn is_busy(&self, life: usize, order: usize) -> bool {
        self.alive[life]
            && self.work[life][order]
                .as_ref()
                .is_some_and(|work| !matches!(work.effect, Effect::Rest))
    }

    /// Carries out what the life is about to do; `None` when the provider was asked and payments comes next.
    fn carry_out(&mut self, life: usize, order: usize) -> Option<Event<&'static str>> {
        let work = self.work[life][order].clone().expect("busy");
        match work.effect {
            Effect::Send(command @ (Command::Reserve | Command::Release | Command::Commit), _) => {
                Some(self.inventory(life, order, work.claim_no, command))
            }
            Effect::Send(command, _) => self.payments(life, order, &work, command),
            Effect::Record(verdict, _) => Some(self.record(life, order, work.claim_no, Some(&verdict))),
            Effect::Park(_) => Some(self.record(life, order, work.claim_no, None)),
            Effect::Rest => unreachable!("not busy"),
        }
    }

    fn wrote(&mut self, life: usize, order: usize, claim_no: u8) {
        self.trespassed |= self.owners[order] != (life, claim_no);
    }

    fn inventory(
        &mut self,
        life: usize,
        order: usize,
        claim_no: u8,
        command: Command,
    ) -> Event<&'static str> {
        let row = self.held[order];
        if (self.fenced && self.fences[life][0]) || row.is_some_and(|(seen, _)| seen > claim_no) {
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
            (_, held) => panic!("commit of {held:?}"),
        };
        if self.held[order] != Some((claim_no, held)) {
            self.wrote(life, order, claim_no);
        }
        self.held[order] = Some((claim_no, held));
        event
    }

    /// First the provider, then, as a step of its own, the payments' book.
    fn payments(
        &mut self,
        life: usize,
        order: usize,
        work: &Work,
        command: Command,
    ) -> Option<Event<&'static str>> {
        let fenced = (self.fenced && self.fences[life][1])
            || self.payments[order].is_some_and(|(seen, _)| seen > work.claim_no);
        if fenced {
            return Some(Event::Fenced);
        }
        let Some(heard) = work.heard else {
            let wanted = if command == Command::Cancel {
                Charge::Cancelled
            } else {
                card(order)
            };
            let decided = *self.ledger[order].get_or_insert(wanted);
            self.work[life][order].as_mut().expect("busy").heard = Some(decided);
            return None;
        };
        let charge = self.payments[order].map_or(heard, |(_, charge)| charge);
        if self.payments[order] != Some((work.claim_no, charge)) {
            self.wrote(life, order, work.claim_no);
        }
        self.payments[order] = Some((work.claim_no, charge));
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
    ) -> Event<&'static str> {
        if self.owners[order] != (life, claim_no) {
            return Event::Fenced;
        }
        let wanted = match verdict {
            Some(Verdict::Confirmed) => Record::Confirmed,
            Some(Verdict::Rejected(_)) => Record::Rejected,
            None => Record::Parked,
        };
        // As in the service, the statement that ends an order touches none that is over.
        if matches!(self.records[order], Record::Pending | Record::Parked) {
            self.records[order] = wanted;
            self.events[order] += u8::from(verdict.is_some());
        }
        if self.records[order] == wanted {
            Event::Done
        } else {
            Event::Refused("ended otherwise")
        }
    }

    fn tell(&mut self, life: usize, order: usize, now: Monotonic, event: Event<&'static str>) {
        let work = self.work[life][order].as_mut().expect("busy");
        work.heard = None;
        if let Effect::Park(_) = work.effect {
            work.effect = Effect::Rest;
            return;
        }
        let state = std::mem::replace(&mut work.state, Table::Lost);
        (work.state, work.effect) = state.on(ORDER, now, event).expect("a legal pair");
        // A try's number only lengthens the wait.
        if let Table::Doing(at) | Table::Settling(at, _) | Table::Undoing(at, _) | Table::Recording(_, at) =
            &mut work.state
        {
            (at.unknown, at.since) = (0, NOW);
        }
        if let Effect::Send(_, wait) | Effect::Record(_, wait) = &mut work.effect {
            *wait = Duration::ZERO;
        }
    }

    fn unknown(&mut self, life: usize, order: usize, now: Monotonic) {
        self.unknowns -= 1;
        self.tell(life, order, now, Event::Unknown { random: 0 });
    }

    fn is_sending(&self, life: usize, order: usize, wanted: Command) -> bool {
        let effect = self.work[life][order].as_ref().map(|work| &work.effect);
        matches!(effect, Some(Effect::Send(command, _)) if *command == wanted)
    }

    fn claim(&mut self, heir: usize) {
        let from = 1 - heir;
        self.fences[from][2] = true;
        for order in 0..ORDERS {
            if self.owners[order].0 == from && self.records[order] == Record::Pending {
                let claim_no = self.owners[order].1 + 1;
                self.owners[order] = (heir, claim_no);
                self.work[heir][order] = Some(begin(claim_no));
            }
        }
    }

    fn is_at_rest(&self) -> bool {
        let idle = (0..LIVES).all(|life| (0..ORDERS).all(|order| !self.is_busy(life, order)));
        let owned = self
            .owners
            .iter()
            .all(|(owner, _)| self.alive[*owner] && !self.fences[*owner][0]);
        idle && owned && self.packets.is_empty()
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let work = |owner| std::array::from_fn(|_| (owner == 0).then(|| begin(1)));
        vec![World {
            on_hand: STOCK,
            reserved: 0,
            held: [None; ORDERS],
            ledger: [None; ORDERS],
            payments: [None; ORDERS],
            records: [Record::Pending; ORDERS],
            owners: [(0, 1); ORDERS],
            events: [0; ORDERS],
            fences: [[false; 3]; LIVES],
            alive: [true; LIVES],
            work: [work(0), work(1)],
            packets: BTreeSet::new(),
            crashes: 1,
            claims: 1,
            unknowns: 2,
            trespassed: false,
            fenced: self.fenced,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for life in 0..LIVES {
            for order in (0..ORDERS).filter(|&order| world.is_busy(life, order)) {
                actions.push(Action::Step(life, order));
                // A parking is written until it stands.
                let parks = world.work[life][order]
                    .as_ref()
                    .is_some_and(|work| matches!(work.effect, Effect::Park(_)));
                if world.unknowns > 0 && !parks {
                    actions.push(Action::LoseReply(life, order));
                    actions.push(Action::LoseCommand(life, order));
                    actions.push(Action::GiveUp(life, order));
                }
            }
            if world.alive[life] && world.crashes > 0 {
                actions.push(Action::Crash(life));
            }
            let (heir, fences) = (
                world.alive[life] && world.fences[life] == [false; 3],
                world.fences[1 - life],
            );
            let may = world.claims > 0 || fences[0] || !world.alive[1 - life];
            if heir
                && may
                && let Some(next) = fences.iter().position(|fence| !fence)
            {
                actions.push(Action::Fence(life, next));
            }
        }
        actions.extend(world.packets.iter().map(|&packet| Action::Arrive(packet)));
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        let past_the_budget = Monotonic(3_600_000_000_000);
        match action {
            Action::Step(life, order) => {
                if let Some(event) = next.carry_out(life, order) {
                    next.tell(life, order, NOW, event);
                }
            }
            Action::LoseReply(life, order) => {
                next.carry_out(life, order);
                next.unknown(life, order, NOW);
            }
            Action::LoseCommand(life, order) | Action::GiveUp(life, order) => {
                if next.is_sending(life, order, Command::Charge) {
                    next.packets.insert(order);
                }
                let given_up = matches!(action, Action::GiveUp(..));
                next.unknown(life, order, if given_up { past_the_budget } else { NOW });
            }
            Action::Arrive(order) => {
                next.packets.remove(&order);
                next.ledger[order].get_or_insert(card(order));
            }
            Action::Crash(life) => {
                next.crashes -= 1;
                next.alive[life] = false;
                next.work[life] = [None, None];
            }
            Action::Fence(heir, 2) => next.claim(heir),
            Action::Fence(heir, service) => {
                let other = 1 - heir;
                if service == 0 && next.alive[other] {
                    next.claims -= 1;
                }
                next.fences[other][service] = true;
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("stock adds up and is never below zero", |_, world: &World| {
                let count = |wanted| {
                    world
                        .held
                        .iter()
                        .flatten()
                        .filter(|(_, held)| *held == wanted)
                        .count()
                };
                usize::from(world.on_hand) + count(Held::Committed) == usize::from(STOCK)
                    && usize::from(world.reserved) == count(Held::Yes)
                    && world.reserved <= world.on_hand
            }),
            Property::always("money stands for confirmed orders only", |_, world: &World| {
                (0..ORDERS).all(|order| {
                    let taken = world.ledger[order] == Some(Charge::Taken);
                    match world.records[order] {
                        Record::Confirmed => taken,
                        Record::Rejected => !taken,
                        Record::Pending | Record::Parked => true,
                    }
                })
            }),
            Property::always(
                "one terminal event at most, and none for what is not over",
                |_, world: &World| {
                    (0..ORDERS).all(|order| {
                        let over = matches!(world.records[order], Record::Confirmed | Record::Rejected);
                        world.events[order] == u8::from(over)
                    })
                },
            ),
            Property::always("nobody writes for a saga claimed from him", |_, world: &World| {
                !world.trespassed
            }),
            Property::always(
                "at rest every order is over or parked, and nothing is held",
                |_, world: &World| {
                    let parked = world.records.contains(&Record::Parked);
                    !world.is_at_rest()
                        || (!world.records.contains(&Record::Pending) && (world.reserved == 0 || parked))
                },
            ),
            Property::sometimes("an order is confirmed by an heir", |_, world: &World| {
                (0..ORDERS)
                    .any(|order| world.records[order] == Record::Confirmed && world.owners[order].0 == 1)
            }),
            Property::sometimes(
                "the provider charges when nobody waits any more",
                |_, world: &World| {
                    world.packets.is_empty()
                        && world.records[0] == Record::Rejected
                        && world.ledger[0] == Some(Charge::Cancelled)
                },
            ),
        ]
    }
}

#[test]
fn every_interleaving_keeps_the_invariants() {
    let checker = Protocol { fenced: true }.checker().threads(2).spawn_dfs().join();
    println!(
        "{} states, {} of them different, depth {}",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth()
    );
    checker.assert_properties();
}

#[test]
fn without_fences_a_sleeper_would_write_for_a_claimed_saga() {
    let checker = Protocol { fenced: false }.checker().threads(2).spawn_dfs().join();
    assert!(
        checker
            .discovery("nobody writes for a saga claimed from him")
            .is_some()
    );
}
