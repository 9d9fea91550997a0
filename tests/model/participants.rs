//! Inventory, payments and the orders' own records as models: what each writes down for a command, given what
//! it wrote down before, and what it answers. The random histories and the exhaustive check share them.
//! Claims and fences are checked by the callers.

use cluster::saga::{SagaCommand, SagaEvent};

pub(crate) type Reply = SagaEvent<&'static str>;

/// What inventory wrote down for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reservation {
    Held,
    Refused,
    Released,
    /// Released before anything was reserved.
    Tombstone,
    Committed,
}

/// How many pieces of the only article there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stock {
    pub on_hand: u8,
    /// How many of them are held for orders.
    pub reserved: u8,
}

impl Stock {
    /// Inventory's record after the command, and its answer. There is no record after a commit of nothing.
    pub(crate) fn carry_out(
        &mut self,
        command: SagaCommand,
        known: Option<Reservation>,
    ) -> (Option<Reservation>, Reply) {
        let (after, reply) = match command {
            SagaCommand::Reserve => self.reserve(known),
            SagaCommand::Release => self.release(known),
            SagaCommand::Return if known == Some(Reservation::Committed) => {
                self.on_hand += 1;
                (Reservation::Released, SagaEvent::Done)
            }
            SagaCommand::Return => self.release(known),
            SagaCommand::Commit => match known {
                Some(known) => self.commit(known),
                None => return (None, SagaEvent::Refused("not held")),
            },
            SagaCommand::Charge | SagaCommand::Cancel | SagaCommand::Refund => {
                unreachable!("{command:?} is for payments")
            }
        };
        (Some(after), reply)
    }

    fn reserve(&mut self, known: Option<Reservation>) -> (Reservation, Reply) {
        match known {
            None if self.on_hand > self.reserved => {
                self.reserved += 1;
                (Reservation::Held, SagaEvent::Done)
            }
            None => (Reservation::Refused, SagaEvent::Refused("out of stock")),
            Some(known @ (Reservation::Held | Reservation::Released | Reservation::Committed)) => {
                (known, SagaEvent::Done)
            }
            Some(known @ (Reservation::Refused | Reservation::Tombstone)) => {
                (known, SagaEvent::Refused("refused before"))
            }
        }
    }

    fn release(&mut self, known: Option<Reservation>) -> (Reservation, Reply) {
        match known {
            None => (Reservation::Tombstone, SagaEvent::Done),
            Some(Reservation::Held) => {
                self.reserved -= 1;
                (Reservation::Released, SagaEvent::Done)
            }
            Some(Reservation::Committed) => (Reservation::Committed, SagaEvent::Refused("committed")),
            Some(known @ (Reservation::Refused | Reservation::Released | Reservation::Tombstone)) => {
                (known, SagaEvent::Done)
            }
        }
    }

    fn commit(&mut self, known: Reservation) -> (Reservation, Reply) {
        match known {
            Reservation::Held => {
                self.reserved -= 1;
                self.on_hand -= 1;
                (Reservation::Committed, SagaEvent::Done)
            }
            Reservation::Committed => (known, SagaEvent::Done),
            Reservation::Refused | Reservation::Released | Reservation::Tombstone => {
                (known, SagaEvent::Refused("not held"))
            }
        }
    }
}

/// What became of an order's charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Payment {
    Taken,
    Declined,
    Cancelled,
    Refunded,
}

impl Payment {
    /// The payment after the command, and the answer. `self` is what was written down before, or what the
    /// provider decided now.
    pub(crate) fn carry_out(self, command: SagaCommand) -> (Payment, Reply) {
        let after = match (command, self) {
            (SagaCommand::Refund, Payment::Taken) => Payment::Refunded,
            (_, known) => known,
        };
        let reply = match (command, after) {
            (SagaCommand::Refund, _)
            | (SagaCommand::Charge, Payment::Taken)
            | (SagaCommand::Cancel, Payment::Declined | Payment::Cancelled | Payment::Refunded) => {
                SagaEvent::Done
            }
            (_, _) => SagaEvent::Refused("decided otherwise"),
        };
        (after, reply)
    }
}

/// What orders wrote down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum OrderRecord {
    Pending,
    Parked,
    Confirmed,
    Rejected,
}

impl OrderRecord {
    pub(crate) fn is_ended(self) -> bool {
        matches!(self, OrderRecord::Confirmed | OrderRecord::Rejected)
    }

    /// Writes `wanted` down, unless the order has ended: the statement in the service changes no such order,
    /// either. Whether anything was changed.
    pub(crate) fn write(&mut self, wanted: OrderRecord) -> bool {
        let changes = !self.is_ended();
        if changes {
            *self = wanted;
        }
        changes
    }
}
