//! A descriptor kept in reserve for the time when no other is left (EMFILE). It is closed for a moment, so
//! that one client after the other can be answered that there is no room, instead of waiting in the queue for
//! nothing.

use std::fs::File;

use super::listener::{Listener, Stream};

/// The descriptor in reserve.
#[derive(Debug)]
pub(in crate::worker) struct EmfileReserve {
    file: Option<File>,
}

/// What came of refusing the first connection in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Refusal {
    /// The client was answered, and the connection is closed.
    Refused,
    /// The queue is empty. With no descriptor left the kernel refuses to accept even then, so this had to be
    /// found out.
    QueueIsEmpty,
    /// Another part of the program took the descriptor.
    NoDescriptor,
}

impl EmfileReserve {
    pub(in crate::worker) fn new() -> EmfileReserve {
        EmfileReserve { file: open() }
    }

    /// Accepts one connection, answers the client with `answer`, and closes the connection.
    pub(in crate::worker) fn refuse_one(
        &mut self,
        listener: &Listener,
        answer: impl FnOnce(&Stream),
    ) -> Refusal {
        if self.file.take().is_none() {
            self.file = open();
            return Refusal::NoDescriptor;
        }
        let refusal = match listener.accept_now() {
            Ok(Some(stream)) => {
                answer(&stream);
                Refusal::Refused
            }
            Ok(None) => Refusal::QueueIsEmpty,
            Err(_) => Refusal::NoDescriptor,
        };
        self.file = open();
        refusal
    }
}

fn open() -> Option<File> {
    File::open("/dev/null").ok()
}
