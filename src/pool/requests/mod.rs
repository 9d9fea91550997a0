//! What people asked for, and which clients wait for the answer.

pub(in crate::pool) mod answers;
pub(in crate::pool) mod pending;
pub(in crate::pool) mod queue;
