//! One client socket: its state, its bytes, its protocol, its time-outs, and the list of all of them.
//!
//! Reading order: `drive` serves a connection from its first byte to its last; `state` is what is known about
//! it; `wire` reports what happens on the socket, `pipeline` and `preface` read along; `overdue` judges,
//! `finish` closes. `upgraded` goes on where a handler has switched to another protocol.

pub(in crate::worker) mod age;
pub(in crate::worker) mod checked;
pub(in crate::worker) mod connections;
pub(in crate::worker) mod drive;
pub(in crate::worker) mod finish;
mod http2;
pub(in crate::worker) mod overdue;
mod pipeline;
mod preface;
pub(in crate::worker) mod shared;
pub(in crate::worker) mod state;
mod upgraded;
mod upgraded_socket;
mod wire;

#[cfg(test)]
mod tests;

/// Feeds the pipeline of one connection, and says whether it could follow to the end.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz_pipeline(bytes: &[u8]) -> bool {
    pipeline::fuzz(bytes)
}
