//! What is done with running workers, one operation at a time: the rollout of another generation with its
//! canary, the replacement of one worker, the upgrade of the master.

pub(in crate::pool) mod canary;
pub(in crate::pool) mod context;
pub(in crate::pool) mod generations;
pub(in crate::pool) mod operation;
pub(in crate::pool) mod rollout;
