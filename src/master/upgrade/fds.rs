//! The descriptors that go along, each with what it claims to be, and the claims' checking. It must not know what they are for.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use serde::{Deserialize, Serialize};

use crate::sys::kind::{self, Kind};
use crate::sys::{inherit, memfd};

/// One of them, by its number, which exec does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::master) struct Fd(RawFd);

/// What one claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::master) enum What {
    /// A socket that listens: for clients, or for control clients.
    Listener,
    /// A connection of a control client.
    Client,
    /// A worker's notify socket.
    Notify,
    /// The master's end of a worker's lifeline.
    Lifeline,
    /// What a worker writes to stderr.
    Stderr,
    /// A process.
    Process,
    /// A memory file that can neither shrink nor grow: a scoreboard, or a generation's settings.
    Memory,
    /// A generation's binary, or the lock of a directory.
    File,
}

/// Why a descriptor cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub(in crate::master) enum LuggageError {
    /// The state names one that is not on the list, or names it twice, or as something else.
    #[error("descriptor {} is named as {what:?} and was not handed over as one", .fd.0)]
    NotPacked {
        /// Which.
        fd: Fd,
        /// As what.
        what: What,
    },
    /// It is on the list and not there.
    #[error("descriptor {} ({what:?}) cannot be taken over: {source}", .fd.0)]
    NotThere {
        /// Which.
        fd: Fd,
        /// As what.
        what: What,
        /// The system's words.
        source: io::Error,
    },
    /// It is there and something else.
    #[error("descriptor {} is no {what:?} but {found:?}", .fd.0)]
    Odd {
        /// Which.
        fd: Fd,
        /// What it was to be.
        what: What,
        /// What it is.
        found: Kind,
    },
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::master) struct Luggage {
    items: BTreeMap<RawFd, What>,
}

impl Luggage {
    /// It goes along as this. It stays the caller's, who keeps it open until exec.
    pub(in crate::master) fn pack(&mut self, fd: &impl AsFd, what: What) -> Fd {
        let number = fd.as_fd().as_raw_fd();
        self.items.insert(number, what);
        Fd(number)
    }

    /// Takes it over, once, if it is what it is to be.
    ///
    /// # Errors
    /// [`LuggageError`] names it.
    pub(in crate::master) fn unpack(&mut self, fd: Fd, what: What) -> Result<OwnedFd, LuggageError> {
        if self.items.get(&fd.0) != Some(&what) {
            return Err(LuggageError::NotPacked { fd, what });
        }
        let not_there = |source| LuggageError::NotThere { fd, what, source };
        let found = inherit::look(fd.0, kind::of)
            .and_then(|kind| kind)
            .map_err(not_there)?;
        if found != what.kind() {
            return Err(LuggageError::Odd { fd, what, found });
        }
        let owned = inherit::take(fd.0).map_err(not_there)?;
        if what == What::Memory && !memfd::is_sealed(owned.as_fd()).map_err(not_there)? {
            return Err(LuggageError::Odd { fd, what, found });
        }
        self.items.remove(&fd.0);
        Ok(owned)
    }

    /// Those that can be found, for whoever executes the next program. They are open for as long as their owners are, which
    /// outlive this call.
    pub(super) fn with_all<T>(&self, with: impl FnOnce(&[BorrowedFd<'_>]) -> T) -> io::Result<T> {
        inherit::look_all(&self.items.keys().copied().collect::<Vec<_>>(), with)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

impl What {
    fn kind(self) -> Kind {
        match self {
            What::Listener => Kind::Listener,
            What::Client => Kind::Stream,
            What::Notify => Kind::Datagram,
            What::Lifeline => Kind::Packets,
            What::Stderr => Kind::Pipe,
            What::Process => Kind::Process,
            What::Memory | What::File => Kind::File,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI32;
    use std::sync::atomic::Ordering::Relaxed;

    use nix::fcntl::FcntlArg;

    use super::*;

    /// A copy under a number of its own, which nobody in this process has had, as after exec.
    fn packed(luggage: &mut Luggage, fd: &impl AsFd, what: What) -> Fd {
        static NEXT: AtomicI32 = AtomicI32::new(600);
        let lowest = FcntlArg::F_DUPFD_CLOEXEC(NEXT.fetch_add(1, Relaxed));
        let number = nix::fcntl::fcntl(fd, lowest).expect("a copy");
        luggage.items.insert(number, what);
        Fd(number)
    }

    #[test]
    fn what_was_packed_is_taken_over_once_and_as_nothing_else() {
        let mut luggage = Luggage::default();
        let file = tempfile::tempfile().expect("a file");
        let fd = packed(&mut luggage, &file, What::File);
        assert!(matches!(
            luggage.unpack(fd, What::Memory),
            Err(LuggageError::NotPacked { .. })
        ));
        luggage.unpack(fd, What::File).expect("taken");
        assert!(matches!(
            luggage.unpack(fd, What::File),
            Err(LuggageError::NotPacked { .. })
        ));
    }

    #[test]
    fn what_is_closed_or_not_what_it_claims_to_be_is_told_by_its_number() {
        let mut luggage = Luggage::default();
        luggage.items.insert(900_000, What::Process);
        let told = luggage.unpack(Fd(900_000), What::Process).expect_err("closed");
        assert!(
            told.to_string().contains("900000") && matches!(told, LuggageError::NotThere { .. }),
            "{told}"
        );
        let file = tempfile::tempfile().expect("a file");
        for what in [
            What::Listener,
            What::Client,
            What::Notify,
            What::Lifeline,
            What::Stderr,
            What::Process,
        ] {
            let fd = packed(&mut luggage, &file, what);
            assert!(
                matches!(luggage.unpack(fd, what), Err(LuggageError::Odd { .. })),
                "{what:?}"
            );
        }
        let fd = packed(&mut luggage, &file, What::Memory);
        assert!(
            luggage.unpack(fd, What::Memory).is_err(),
            "no file on a disk is sealed"
        );
    }
}
