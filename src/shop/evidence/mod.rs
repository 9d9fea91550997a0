//! What the four files say, read by code that trusts no service: the audit, the report on one order, the
//! takeovers, and whether the files belong together. It changes nothing.

pub mod audit;
pub(super) mod blocking;
pub(super) mod consistency;
pub mod order_report;
pub mod takeovers;
