//! One worker as the pool knows it: its phase, its heartbeat, its load.

pub(in crate::pool) mod heartbeat;
pub(in crate::pool) mod load;
pub(in crate::pool) mod phases;
pub(in crate::pool) mod pool_worker;
