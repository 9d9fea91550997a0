//! One client socket: its state, its bytes, its protocol, its time-outs, and the list of all of them.

pub(in crate::worker) mod connections;
pub(in crate::worker) mod drive;
pub(in crate::worker) mod http2;
pub(in crate::worker) mod overdue;
pub(in crate::worker) mod pipeline;
pub(in crate::worker) mod preface;
pub(in crate::worker) mod state;
pub(in crate::worker) mod wire;
