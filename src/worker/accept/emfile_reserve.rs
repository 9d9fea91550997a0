//! A descriptor kept in reserve: when no other is left, it is given up for a moment so that one client after the other can be
//! told that there is no room, instead of waiting in the queue for nothing.

use std::fs::File;

use super::listener::{Listener, Stream};

/// The reserve.
#[derive(Debug)]
pub(in crate::worker) struct Spare {
    file: Option<File>,
}

/// What became of the one who waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Turned {
    /// Told, and gone.
    Away,
    /// The queue is empty. (With no descriptor left the kernel refuses to accept even then, so this had to be found out.)
    NobodyThere,
    /// Others took the descriptor.
    Unable,
}

impl Spare {
    pub(in crate::worker) fn new() -> Spare {
        Spare { file: reserve() }
    }

    /// Lets one client in, tells it with `tell`, and shuts the door on it.
    pub(in crate::worker) fn turn_one_away(
        &mut self,
        listener: &Listener,
        tell: impl FnOnce(&Stream),
    ) -> Turned {
        if self.file.take().is_none() {
            self.file = reserve();
            return Turned::Unable;
        }
        let turned = match listener.accept_now() {
            Ok(Some(stream)) => {
                tell(&stream);
                Turned::Away
            }
            Ok(None) => Turned::NobodyThere,
            Err(_) => Turned::Unable,
        };
        self.file = reserve();
        turned
    }
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}
