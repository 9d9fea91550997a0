//! What people asked for, and who waits for the answer.

pub(in crate::pool) mod pending;
pub(in crate::pool) mod queue;
