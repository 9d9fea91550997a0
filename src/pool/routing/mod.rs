//! Who gets new connections, who accepts from the queue of an empty slot, who takes over the work of the
//! dead.

pub(in crate::pool) mod orphaned_work;
pub(in crate::pool) mod queues;
pub(in crate::pool) mod state;
pub mod steering;
pub(in crate::pool) mod stub;
#[cfg(test)]
mod traffic;
pub(in crate::pool) mod weights;
