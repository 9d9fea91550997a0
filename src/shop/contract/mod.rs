//! Where the services meet: identities, commands, replies, events. Orders knows inventory and payments as the traits in here and
//! cannot name a type, table or file of theirs. Nothing in here does anything.

mod ids;
mod participants;
mod timeline;

pub(in crate::shop) use ids::HANDED_BACK;
pub use ids::{CustomerId, InvalidId, OrderId, PaymentId, Sku};
pub use participants::{
    ChargeTerms, ClaimToken, CommandOutcome, CommandRefusal, Fence, Inventory, OrderLine, Participant,
    Payments, QuoteError, RequestedItem,
};
pub use timeline::{ServiceName, TimelineEntry, TimelineError};
