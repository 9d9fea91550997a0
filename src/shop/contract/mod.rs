//! Where the services meet: identities, commands, replies, events, timelines. Orders knows inventory and
//! payments as the traits in here and cannot name a type, table or file of theirs. Nothing in here does
//! anything.

mod events;
#[cfg(feature = "postgres")]
mod hosts;
mod ids;
mod participants;
mod storage;
mod timeline;
mod totals;

pub(in crate::shop) use events::KnownStream;
pub use events::{
    ArticleFacts, EventData, EventKind, EventSource, EventsAfter, HeldEvent, StoredEvent, StreamId,
};
#[cfg(feature = "postgres")]
pub(in crate::shop) use hosts::{HostIdentity, HostRecord, HostState, KnownHosts, OtherHost};
pub(in crate::shop) use ids::HANDED_BACK;
pub use ids::{CustomerId, InvalidId, OrderId, PaymentId, Sku};
pub use participants::{
    ChargeTerms, ClaimToken, CommandOutcome, CommandRefusal, Fence, Inventory, OrderLine, Participant,
    Payments, QuoteError, RequestedItem, SweepWindow,
};
pub use storage::StorageError;
pub(in crate::shop) use storage::{DatabaseUser, LastUser};
pub use timeline::{
    ClaimsByLife, ServiceName, TimelineEntry, TimelineError, TimelinePosition, TimelineSource, TimelineStep,
};
pub use totals::{CustomerTotals, OpeningBalance, OrderTotals, OrdersMark, TotalsAfter};
