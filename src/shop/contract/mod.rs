//! Where the services meet: identities, commands, replies, events. Orders knows inventory and payments as the traits in here and
//! cannot name a type, table or file of theirs. Nothing in here does anything.

mod ids;
mod participants;
mod timeline;

pub(in crate::shop) use ids::HANDED_BACK;
pub use ids::{CustomerId, NotAnId, OrderId, PaymentId, Sku};
pub use participants::{
    Charge, Fence, Inventory, Line, Mandate, Outcome, Participant, Payments, QuoteError, Refusal, Wanted,
};
pub use timeline::{Actor, Entry, StoryError};
