//! What the files say, read by code that trusts no service: the audit, the report on one order, the
//! takeovers, whether the files belong together, and whether the summaries of customers agree with the
//! orders. It changes nothing.

pub mod audit;
pub(super) mod blocking;
pub(super) mod consistency;
pub mod order_report;
pub(super) mod read_model;
pub mod takeovers;
