//! One worker as the pool knows it: its phase, its heartbeat, its load, its end.

pub(in crate::pool) mod context;
pub(in crate::pool) mod end_of_life;
pub(in crate::pool) mod heartbeat;
pub(in crate::pool) mod load;
pub(in crate::pool) mod phases;
pub(in crate::pool) mod pool_worker;
