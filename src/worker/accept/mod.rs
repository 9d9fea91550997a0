//! From the kernel's queue to a connection: the worker's listeners, those of other slots, and the limits of
//! both.

pub(in crate::worker) mod acceptor;
pub(in crate::worker) mod adopted;
pub(in crate::worker) mod capacity;
pub(in crate::worker) mod emfile_reserve;
pub(in crate::worker) mod listener;
