//! Where the services meet: identities, commands, replies, timelines. Orders knows inventory and payments as
//! the traits in here and cannot name a type, table or file of theirs. Nothing in here does anything.

mod ids;
mod participants;
mod storage;
mod timeline;

pub(in crate::shop) use ids::HANDED_BACK;
pub use ids::{CustomerId, InvalidId, OrderId, PaymentId, Sku};
pub use participants::{
    ChargeTerms, ClaimToken, CommandOutcome, CommandRefusal, Fence, Inventory, OrderLine, Participant,
    Payments, QuoteError, RequestedItem, SweepWindow,
};
pub use storage::StorageError;
pub use timeline::{
    ClaimsByLife, ServiceName, TimelineEntry, TimelineError, TimelinePosition, TimelineSource, TimelineStep,
};
