//! What services tell each other after the fact: the events of their outboxes, and how an outbox is read.
//! Nothing in here knows how an event is delivered.

use std::future::Future;

use serde::{Deserialize, Serialize};

use super::ids::{CustomerId, OrderId, PaymentId, Sku};
use super::participants::OrderLine;
use super::storage::StorageError;
use crate::base::money::Money;

/// Names the line of numbers that one service gives to its events. A database that was restored or replaced
/// has another one, so that a number of the old line is never taken for one of the new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(pub u64);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// An order stands.
    OrderConfirmed,
    /// An order does not stand.
    OrderRejected,
    /// The money for an order was taken.
    PaymentCharged,
    /// The provider refused to take the money.
    PaymentDeclined,
    /// A payment was given up before any money was taken.
    PaymentCancelled,
    /// The money for an order was given back.
    PaymentRefunded,
    /// An article was created, or somebody changed it.
    ArticleChanged,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [EventKind; 7] = [
        EventKind::OrderConfirmed,
        EventKind::OrderRejected,
        EventKind::PaymentCharged,
        EventKind::PaymentDeclined,
        EventKind::PaymentCancelled,
        EventKind::PaymentRefunded,
        EventKind::ArticleChanged,
    ];

    /// The type of the event for programs, with the version of its data.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            EventKind::OrderConfirmed => "shop.order.confirmed.v1",
            EventKind::OrderRejected => "shop.order.rejected.v1",
            EventKind::PaymentCharged => "shop.payment.charged.v1",
            EventKind::PaymentDeclined => "shop.payment.declined.v1",
            EventKind::PaymentCancelled => "shop.payment.cancelled.v1",
            EventKind::PaymentRefunded => "shop.payment.refunded.v1",
            EventKind::ArticleChanged => "shop.article.changed.v1",
        }
    }
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventData {
    /// Of an order that has ended.
    Order {
        /// The order.
        order: OrderId,
        /// Who placed the order.
        customer: CustomerId,
        /// What the order costs.
        total: Money,
        /// What was ordered.
        lines: Vec<OrderLine>,
        /// Why the order does not stand, in one word.
        reason: Option<&'static str>,
    },
    /// Of a payment.
    Payment {
        /// The payment, which names its order, too.
        payment: PaymentId,
        /// How much was to be paid.
        amount: Money,
    },
    /// Of an article, as it was after the change.
    Article(ArticleFacts),
}

/// An article as the event of its change says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArticleFacts {
    /// The article.
    pub sku: Sku,
    /// The article's name for people.
    pub name: String,
    /// The price of one piece.
    pub unit_price: Money,
    /// How many pieces lay on the shelf, with those that were held for orders.
    pub on_hand: u64,
    /// Whether it could be ordered.
    pub on_sale: bool,
}

/// An event as its service keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// The number in the line of the service: higher than those of all events before it.
    pub seq: u64,
    /// What happened.
    pub kind: EventKind,
    /// When it happened, in milliseconds since 1970 by the shop's steady clock.
    pub at_ms: u64,
    /// The id of the request that caused it.
    pub request_id: Option<Box<str>>,
    /// The W3C trace context of that request, if it had one.
    pub traceparent: Option<Box<str>>,
    /// What the event says.
    pub data: EventData,
}

impl StoredEvent {
    /// The id, which no other event of the service has. It is the same after a restore if the event is.
    #[must_use]
    pub fn id(&self) -> String {
        let word = self.kind.type_name().rsplit('.').nth(1).unwrap_or_default();
        match &self.data {
            EventData::Order { order, .. } => format!("{order}.{word}"),
            EventData::Payment { payment, .. } => format!("{payment}.{word}"),
            EventData::Article(article) => format!("{}.{}.{}", article.sku, self.seq, self.at_ms),
        }
    }

    /// What the event is about.
    #[must_use]
    pub fn subject(&self) -> String {
        match &self.data {
            EventData::Order { order, .. } => order.to_string(),
            EventData::Payment { payment, .. } => payment.to_string(),
            EventData::Article(article) => article.sku.to_string(),
        }
    }
}

/// What an outbox has behind a number, read at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventsAfter {
    /// The events in the order of their numbers: the first ones, as many as were asked for.
    pub events: Vec<StoredEvent>,
    /// The number of the oldest event that is kept; of the next event if there was none yet.
    pub oldest: u64,
    /// The number of the newest event; 0 if there was none yet.
    pub newest: u64,
}

/// An event that is committed and may not be read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldEvent {
    /// Its number.
    pub number: u64,
    /// Who has the transaction that is waited for, for people.
    pub holder: String,
}

/// A line and a number that it has reached, as they are known outside of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shop) struct KnownStream {
    /// The line.
    pub(in crate::shop) id: StreamId,
    /// The number.
    pub(in crate::shop) newest: u64,
}

/// A service whose events others may read.
pub trait EventSource: Send + Sync {
    /// The events behind that number. One transaction, and the only way in which a feed reads.
    fn events_after(
        &self,
        number: u64,
        limit: usize,
    ) -> impl Future<Output = Result<EventsAfter, StorageError>> + Send;
}
