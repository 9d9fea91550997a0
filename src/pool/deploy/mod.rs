//! What replaces running workers: the rollout of another generation and its canary.

pub(in crate::pool) mod canary;
pub(in crate::pool) mod rollout;
