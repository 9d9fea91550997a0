//! What there is at one moment: the services' books, the provider's ledger, the lives and what each has in mind for each order.

use std::hash::{DefaultHasher, Hash, Hasher};

use cluster::base::time::Monotonic;
use cluster::saga::table::State as Table;
use cluster::saga::{Effect, ORDER};
use stateright::Representative;

use crate::bounds::Bounds;

pub(crate) const ORDERS: usize = 3;
pub(crate) const LIVES: usize = 2;
/// The last article: everybody wants it.
pub(crate) const STOCK: u8 = 1;
pub(crate) const NOW: Monotonic = Monotonic(0);

/// What inventory wrote down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Held {
    Yes,
    Refused,
    Released,
    Shut,
    Committed,
}

/// What became of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Charge {
    Taken,
    Declined,
    Cancelled,
}

/// What orders wrote down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Record {
    Pending,
    Parked,
    Confirmed,
    Rejected,
}

/// One life's work on one order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Work {
    pub claim_no: u8,
    pub state: Table<&'static str>,
    pub effect: Effect<&'static str>,
    /// What the provider answered, and payments has not written down yet: a reply that may come to a life that was claimed from.
    pub heard: Option<Charge>,
}

impl Work {
    pub(crate) fn begin(claim_no: u8) -> Work {
        let (state, effect) = Table::begin(ORDER, NOW);
        Work {
            claim_no,
            state,
            effect,
            heard: None,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.effect, Effect::Rest)
    }
}

/// One order, in everybody's books.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Order {
    /// What the provider makes of its card.
    pub card: Charge,
    pub held: Option<(u8, Held)>,
    /// The provider's own ledger.
    pub ledger: Option<Charge>,
    pub payment: Option<(u8, Charge)>,
    pub record: Record,
    pub owner: (usize, u8),
    pub events: u8,
    /// A charge was given up by its sender and is still on its way to the provider.
    pub packet: bool,
    pub work: [Option<Work>; LIVES],
}

impl Order {
    fn placed(card: Charge) -> Order {
        Order {
            card,
            held: None,
            ledger: None,
            payment: None,
            record: Record::Pending,
            owner: (0, 1),
            events: 0,
            packet: false,
            work: [Some(Work::begin(1)), None],
        }
    }

    fn fingerprint(&self) -> (Charge, u64) {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        (self.card, hasher.finish())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub on_hand: u8,
    pub reserved: u8,
    pub orders: [Order; ORDERS],
    /// Per life: in inventory, in payments, in orders.
    pub fences: [[bool; 3]; LIVES],
    pub alive: [bool; LIVES],
    /// How many faults may still happen.
    pub left: Bounds,
    /// A life wrote for an order that was claimed from it.
    pub trespassed: bool,
}

impl World {
    /// Placed by the first life: two orders whose cards pay and one whose card is declined.
    pub(crate) fn begin(bounds: Bounds) -> World {
        World {
            on_hand: STOCK,
            reserved: 0,
            orders: [Charge::Taken, Charge::Taken, Charge::Declined].map(Order::placed),
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
impl Representative for World {
    fn representative(&self) -> World {
        let mut same = self.clone();
        same.orders.sort_by_cached_key(Order::fingerprint);
        same
    }
}
