//! One slot: which worker fills it or why it is empty, its restart policy, its history; and all slots there
//! ever were.

pub(in crate::pool) mod bounds;
pub(in crate::pool) mod history;
pub(in crate::pool) mod restart;
pub(in crate::pool) mod slot_state;
pub(in crate::pool) mod slots;
