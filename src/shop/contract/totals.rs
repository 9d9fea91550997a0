//! What orders tells of the totals of customers: the state that a read model begins with, before the events
//! behind it.

use std::future::Future;

use super::events::{KnownStream, StreamId};
use super::ids::CustomerId;
use super::storage::StorageError;
use crate::base::money::Money;

/// The confirmed orders of one customer in one currency, as of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerTotals {
    /// The customer.
    pub customer: CustomerId,
    /// How many orders were confirmed.
    pub orders: u64,
    /// What the orders cost together; the largest amount there is if it is more.
    pub spent: Money,
    /// The part of it whose orders are no longer kept.
    pub opening: Option<OpeningBalance>,
}

/// Totals of orders that retention removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpeningBalance {
    /// How many orders.
    pub orders: u64,
    /// What they cost together, in minor units.
    pub amount: u64,
    /// The newest of them ended then, in milliseconds since 1970.
    pub before_ms: u64,
}

/// An event of orders by its line and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrdersMark {
    /// The line of the number.
    pub stream: StreamId,
    /// The number of the event; 0 before the first.
    pub number: u64,
}

impl OrdersMark {
    /// Of orders that have no line of events yet.
    pub(in crate::shop) const NONE: OrdersMark = OrdersMark {
        stream: StreamId(0),
        number: 0,
    };
}

/// What the events of orders behind a number come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TotalsAfter {
    /// Of each customer with a confirmed order among them, for each currency.
    pub totals: Vec<CustomerTotals>,
    /// The number of the last event that is in them; the one that was asked behind when there is none.
    pub end: u64,
    /// The number of the oldest event that is kept; of the next one if there was none yet.
    pub oldest: u64,
    /// The number of the newest event; 0 if there was none yet.
    pub newest: u64,
    /// How many events there are behind the end. Large numbers may be given as 10,000.
    pub behind: u64,
}

/// Whoever can tell the totals of customers: of all as of an event, and of the events behind one.
pub trait OrderTotals: Send + Sync {
    /// What the events behind that number come to, at most `limit` of them.
    fn totals_after(
        &self,
        number: u64,
        limit: usize,
    ) -> impl Future<Output = Result<TotalsAfter, StorageError>> + Send;
    /// The newest event.
    fn newest_event(&self) -> impl Future<Output = Result<OrdersMark, StorageError>> + Send;
    /// The totals of the next customers after that one, in the order of their ids, as of the event of that
    /// number: whatever was confirmed since does not count. At most `limit` customers; empty behind the last.
    fn totals_as_of(
        &self,
        number: u64,
        after: Option<CustomerId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<CustomerTotals>, StorageError>> + Send;
}

impl From<KnownStream> for OrdersMark {
    fn from(KnownStream { id, newest }: KnownStream) -> OrdersMark {
        OrdersMark {
            stream: id,
            number: newest,
        }
    }
}
