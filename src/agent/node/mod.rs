//! All that `cluster run` knows about Node.
//!
//! A program that calls `server.listen(PORT)` under Node's cluster module asks its primary for the listener
//! over an IPC channel: a unix stream socket, one JSON object per line, descriptors by SCM_RIGHTS. This
//! module is such a primary, so that an unmodified program serves from the slot's listeners:
//!
//! ```text
//! program: online, queryServer --> ListenWanted --> the caller answers with a listener or an errno
//! program: NODE_HANDLE_ACK, listening (it is ready)
//! caller:  disconnect --> program: close, the end of the channel
//! ```
//!
//! What the protocol cannot do is done by `preload.js`, which Node loads before the program: it takes the
//! channel behind wrappers such as `npm start`, beats from the event loop, and keeps keep-alive connections
//! through a drain. All that is relied on of Node's internals stands in that file and in [`message`] and
//! `reply`.
//!
//! The other end of the channel is hostile: lines are bounded, nesting takes no stack, a program has at most
//! [`session::MAX_LISTENERS`] listeners, descriptors that it sends are closed, `listen({fd: N})` names a
//! listener of the slot and no descriptor of ours, and a program that does not read has its channel given up.
//! Which address a program may have is not decided here.
//!
//! Reading order: [`program`] (is it Node?), [`preload`] (what it is started with), [`session`] (what is
//! said), [`channel`] (how it travels).

pub mod channel;
pub mod line;
pub mod message;
mod outbox;
pub mod preload;
pub mod program;
mod reply;
pub mod request;
pub mod session;

#[cfg(test)]
mod channel_tests;
#[cfg(test)]
mod session_tests;

pub use reply::ReplyLine;
