//! What may happen next, and what must hold whatever happens: the invariants of the shop.

use cluster::saga::{SagaCommand, SagaEffect, SagaEvent};
use stateright::{Model, Property};

use crate::bounds::{Bounds, Sabotage};
use crate::participants::{OrderRecord, Payment, Reservation};
use crate::services::PAST_THE_BUDGET;
use crate::state::{LIVES, ModelState, NOW, ORDERS, STOCK};

pub(crate) struct Protocol {
    pub bounds: Bounds,
    pub sabotage: Sabotage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// The next thing this life does for that order.
    Step(usize, usize),
    /// It is done, and the reply is lost.
    LoseReply(usize, usize),
    /// It is not done (yet).
    LoseCommand(usize, usize),
    /// It is not done, and that was the last try within the budget.
    GiveUp(usize, usize),
    /// A late charge reaches the provider.
    Arrive(usize),
    Crash(usize),
    /// A life fences the other one: in inventory (0), in payments (1), and in orders, where it claims (2).
    Fence(usize, usize),
}

impl Protocol {
    fn lose(&self, next: &mut ModelState, life: usize, order: usize, now: cluster::base::time::Monotonic) {
        next.left.unknowns -= 1;
        next.tell(self.sabotage, life, order, now, SagaEvent::Unknown { random: 0 });
    }

    fn faults(state: &ModelState, life: usize, order: usize, actions: &mut Vec<Action>) {
        // A parking is written until it stands.
        let parks = state.orders[order].work[life]
            .as_ref()
            .is_some_and(|work| matches!(work.effect, SagaEffect::Park(_)));
        if state.left.unknowns > 0 && !parks {
            actions.extend([
                Action::LoseReply(life, order),
                Action::LoseCommand(life, order),
                Action::GiveUp(life, order),
            ]);
        }
    }
}

impl Model for Protocol {
    type State = ModelState;
    type Action = Action;

    fn init_states(&self) -> Vec<ModelState> {
        vec![ModelState::begin(self.bounds)]
    }

    fn actions(&self, state: &ModelState, actions: &mut Vec<Action>) {
        for life in 0..LIVES {
            for order in (0..ORDERS).filter(|&order| state.is_busy(life, order)) {
                actions.push(Action::Step(life, order));
                Protocol::faults(state, life, order, actions);
            }
            if state.alive[life] && state.left.crashes > 0 {
                actions.push(Action::Crash(life));
            }
            let taker = state.alive[life] && state.fences[life] == [false; 3];
            let fences = state.fences[1 - life];
            let may = state.left.claims > 0 || fences[0] || !state.alive[1 - life];
            if taker
                && may
                && let Some(next) = fences.iter().position(|fence| !fence)
            {
                actions.push(Action::Fence(life, next));
            }
        }
        let packets = (0..ORDERS).filter(|&order| state.orders[order].packet);
        actions.extend(packets.map(Action::Arrive));
    }

    fn next_state(&self, state: &ModelState, action: Action) -> Option<ModelState> {
        let mut next = state.clone();
        match action {
            Action::Step(life, order) => {
                if let Some(event) = next.carry_out(self.sabotage, life, order) {
                    next.tell(self.sabotage, life, order, NOW, event);
                }
            }
            Action::LoseReply(life, order) => {
                next.carry_out(self.sabotage, life, order);
                self.lose(&mut next, life, order, NOW);
            }
            Action::LoseCommand(life, order) | Action::GiveUp(life, order) => {
                next.orders[order].packet |= next.is_sending(life, order, SagaCommand::Charge);
                let given_up = matches!(action, Action::GiveUp(..));
                self.lose(
                    &mut next,
                    life,
                    order,
                    if given_up { PAST_THE_BUDGET } else { NOW },
                );
            }
            Action::Arrive(order) => {
                let order = &mut next.orders[order];
                order.packet = false;
                order.ledger.get_or_insert(order.card);
            }
            Action::Crash(life) => next.crash(life),
            Action::Fence(taker, 2) => next.claim(taker),
            Action::Fence(taker, service) => {
                let other = 1 - taker;
                next.left.claims -= u8::from(service == 0 && next.alive[other]);
                next.fences[other][service] = true;
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(STOCK_ADDS_UP, |_, state: &ModelState| stock_adds_up(state)),
            Property::always(MONEY_STANDS, |_, state: &ModelState| money_stands(state)),
            Property::always(ONE_EVENT, |_, state: &ModelState| one_event(state)),
            Property::always(NO_TRESPASS, |_, state: &ModelState| !state.trespassed),
            Property::always(ENDS, |_, state: &ModelState| ends(state)),
            Property::sometimes("an taker confirms an order", |_, state: &ModelState| {
                let by_taker = |order: &crate::state::Order| {
                    order.record == OrderRecord::Confirmed && order.owner.0 == 1
                };
                state.orders.iter().any(by_taker)
            }),
            Property::sometimes("a charge comes too late for anybody", |_, state: &ModelState| {
                state.orders.iter().any(|order| {
                    !order.packet
                        && order.card == Payment::Taken
                        && order.record == OrderRecord::Rejected
                        && order.ledger == Some(Payment::Cancelled)
                })
            }),
        ]
    }
}

pub(crate) const STOCK_ADDS_UP: &str = "stock adds up and is never below zero";
pub(crate) const MONEY_STANDS: &str = "money stands for confirmed orders only";
pub(crate) const ONE_EVENT: &str = "one terminal event at most, and none for what is not over";
pub(crate) const NO_TRESPASS: &str = "no life writes for a saga that was claimed from it";
pub(crate) const ENDS: &str = "at rest every order is over or parked, and nothing is held";

fn stock_adds_up(state: &ModelState) -> bool {
    let count = |wanted| {
        let holds = state.orders.iter().filter_map(|order| order.held);
        holds.filter(|(_, held)| *held == wanted).count()
    };
    usize::from(state.stock.on_hand) + count(Reservation::Committed) == usize::from(STOCK)
        && usize::from(state.stock.reserved) == count(Reservation::Held)
        && state.stock.reserved <= state.stock.on_hand
}

fn money_stands(state: &ModelState) -> bool {
    state.orders.iter().all(|order| {
        let taken = order.ledger == Some(Payment::Taken);
        match order.record {
            OrderRecord::Confirmed => {
                taken && order.held.is_some_and(|(_, held)| held == Reservation::Committed)
            }
            OrderRecord::Rejected => !taken,
            OrderRecord::Pending | OrderRecord::Parked => true,
        }
    })
}

fn one_event(state: &ModelState) -> bool {
    state
        .orders
        .iter()
        .all(|order| order.events == u8::from(order.record.is_ended()))
}

fn ends(state: &ModelState) -> bool {
    let any = |wanted| state.orders.iter().any(|order| order.record == wanted);
    !state.is_at_rest()
        || (!any(OrderRecord::Pending) && (state.stock.reserved == 0 || any(OrderRecord::Parked)))
}
