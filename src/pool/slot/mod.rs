//! One slot: which worker fills it or why it is empty, its restart policy, its history.

pub(in crate::pool) mod history;
pub(in crate::pool) mod restart;
pub(in crate::pool) mod slot_state;
