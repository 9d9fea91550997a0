//! What there is at one moment: the services' books, the provider's ledger, the lives and what each has in
//! mind for each order.

use std::hash::{DefaultHasher, Hash, Hasher};

use cluster::base::time::Monotonic;
use cluster::saga::{ORDER, SagaEffect, SagaState};
use stateright::Representative;

use crate::bounds::Bounds;
use crate::participants::{OrderRecord, Payment, Reservation, Stock};

pub(crate) const ORDERS: usize = 3;
pub(crate) const LIVES: usize = 2;
/// The last article: everybody wants it.
pub(crate) const STOCK: u8 = 1;
pub(crate) const NOW: Monotonic = Monotonic(0);

/// One life's work on one order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Work {
    pub claim_no: u8,
    pub state: SagaState<&'static str>,
    pub effect: SagaEffect<&'static str>,
    /// What the provider answered, and payments has not written down yet: a reply that may come to a life
    /// that was claimed from.
    pub heard: Option<Payment>,
}

impl Work {
    pub(crate) fn begin(claim_no: u8) -> Work {
        let (state, effect) = SagaState::begin(ORDER, NOW);
        Work {
            claim_no,
            state,
            effect,
            heard: None,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.effect, SagaEffect::Stop)
    }
}

/// One order, in everybody's books.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Order {
    /// What the provider makes of its card.
    pub card: Payment,
    pub held: Option<(u8, Reservation)>,
    /// The provider's own ledger.
    pub ledger: Option<Payment>,
    pub payment: Option<(u8, Payment)>,
    pub record: OrderRecord,
    pub owner: (usize, u8),
    pub events: u8,
    /// A charge was given up by its sender and is still on its way to the provider.
    pub packet: bool,
    pub work: [Option<Work>; LIVES],
}

impl Order {
    fn placed(card: Payment) -> Order {
        Order {
            card,
            held: None,
            ledger: None,
            payment: None,
            record: OrderRecord::Pending,
            owner: (0, 1),
            events: 0,
            packet: false,
            work: [Some(Work::begin(1)), None],
        }
    }

    fn fingerprint(&self) -> (Payment, u64) {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        (self.card, hasher.finish())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ModelState {
    pub stock: Stock,
    pub orders: [Order; ORDERS],
    /// Per life: in inventory, in payments, in orders.
    pub fences: [[bool; 3]; LIVES],
    pub alive: [bool; LIVES],
    /// How many faults may still happen.
    pub left: Bounds,
    /// A life wrote for an order that was claimed from it.
    pub trespassed: bool,
}

impl ModelState {
    /// Placed by the first life: two orders whose cards pay and one whose card is declined.
    pub(crate) fn begin(bounds: Bounds) -> ModelState {
        ModelState {
            stock: Stock {
                on_hand: STOCK,
                reserved: 0,
            },
            orders: [Payment::Taken, Payment::Taken, Payment::Declined].map(Order::placed),
            fences: [[false; 3]; LIVES],
            alive: [true; LIVES],
            left: bounds,
            trespassed: false,
        }
    }

    pub(crate) fn is_busy(&self, life: usize, order: usize) -> bool {
        self.alive[life]
            && self.orders[order].work[life]
                .as_ref()
                .is_some_and(|work| !work.is_over())
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        let idle = (0..LIVES).all(|life| (0..ORDERS).all(|order| !self.is_busy(life, order)));
        let owned = self.orders.iter().all(|order| {
            let (owner, _) = order.owner;
            self.alive[owner] && !self.fences[owner][0]
        });
        idle && owned && self.orders.iter().all(|order| !order.packet)
    }
}

/// Orders with the same card are the same but for their names.
impl Representative for ModelState {
    fn representative(&self) -> ModelState {
        let mut same = self.clone();
        same.orders.sort_by_cached_key(Order::fingerprint);
        same
    }
}
