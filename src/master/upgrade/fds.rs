//! The descriptors that an upgrade hands over, each with its kind, and the check that it is of that kind. It
//! must not know what the descriptors are for.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use serde::{Deserialize, Serialize};

use crate::sys::kind::{self, DescriptorKind};
use crate::sys::{inherit, memfd};

/// The number of a descriptor, which exec does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::master) struct FdNumber(RawFd);

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::master) enum FdKind {
    /// A socket that listens: for clients, or for control clients.
    Listener,
    /// A connection of a control client.
    Client,
    /// A worker's notify socket.
    Notify,
    /// The master's end of a worker's lifeline.
    Lifeline,
    /// The read end of a worker's stderr.
    Stderr,
    /// The read end of the pipe for a worker's log lines.
    Log,
    /// A pidfd.
    Process,
    /// A memory file that can neither shrink nor grow: a scoreboard, or a generation's settings.
    Memory,
    /// A generation's binary, or the lock of a directory.
    File,
}

/// Why a descriptor cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub(in crate::master) enum HandoverFdError {
    /// The state names a descriptor that is not on the list, or names it twice, or as another kind.
    #[error("descriptor {} is named as {kind} and was not handed over as one", .fd.0)]
    NotListed {
        /// The descriptor.
        fd: FdNumber,
        /// The kind that the state names.
        kind: FdKind,
    },
    /// The descriptor is on the list and not open.
    #[error("descriptor {} ({kind}) cannot be taken over: {source}", .fd.0)]
    NotOpen {
        /// The descriptor.
        fd: FdNumber,
        /// The kind that the state names.
        kind: FdKind,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The descriptor is open and of another kind.
    #[error("descriptor {} is not {kind} but {found}", .fd.0)]
    OtherKind {
        /// The descriptor.
        fd: FdNumber,
        /// The kind that the state names.
        kind: FdKind,
        /// What the descriptor is.
        found: DescriptorKind,
    },
}

/// Every descriptor that is handed over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::master) struct HandoverFds {
    items: BTreeMap<RawFd, FdKind>,
}

impl HandoverFds {
    /// Adds a descriptor of this kind. The caller still owns it and keeps it open until exec.
    pub(in crate::master) fn add(&mut self, fd: &impl AsFd, kind: FdKind) -> FdNumber {
        let number = fd.as_fd().as_raw_fd();
        self.items.insert(number, kind);
        FdNumber(number)
    }

    /// Takes a descriptor over, once, if it is of this kind.
    ///
    /// # Errors
    /// [`HandoverFdError`] names the descriptor.
    pub(in crate::master) fn take(&mut self, fd: FdNumber, kind: FdKind) -> Result<OwnedFd, HandoverFdError> {
        if self.items.get(&fd.0) != Some(&kind) {
            return Err(HandoverFdError::NotListed { fd, kind });
        }
        let not_open = |source| HandoverFdError::NotOpen { fd, kind, source };
        let found = inherit::look(fd.0, kind::of).flatten().map_err(not_open)?;
        if found != kind.expected() {
            return Err(HandoverFdError::OtherKind { fd, kind, found });
        }
        let owned = inherit::take(fd.0).map_err(not_open)?;
        if kind == FdKind::Memory && !memfd::is_sealed(owned.as_fd()).map_err(not_open)? {
            return Err(HandoverFdError::OtherKind { fd, kind, found });
        }
        self.items.remove(&fd.0);
        Ok(owned)
    }

    /// Calls `with` with the descriptors, for the exec of the next program. Their owners keep them open
    /// during this call.
    pub(super) fn with_all<T>(&self, with: impl FnOnce(&[BorrowedFd<'_>]) -> T) -> io::Result<T> {
        inherit::look_all(&self.items.keys().copied().collect::<Vec<_>>(), with)
    }

    /// Number of descriptors.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

impl fmt::Display for FdKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FdKind::Listener => "a listener",
            FdKind::Client => "a control client",
            FdKind::Notify => "a notify socket",
            FdKind::Lifeline => "a lifeline",
            FdKind::Stderr => "the stderr of a worker",
            FdKind::Log => "the log of a worker",
            FdKind::Process => "a pidfd",
            FdKind::Memory => "a sealed memory file",
            FdKind::File => "a file",
        })
    }
}

impl FdKind {
    fn expected(self) -> DescriptorKind {
        match self {
            FdKind::Listener => DescriptorKind::Listener,
            FdKind::Client => DescriptorKind::Stream,
            FdKind::Notify => DescriptorKind::Datagram,
            FdKind::Lifeline => DescriptorKind::Packets,
            FdKind::Stderr | FdKind::Log => DescriptorKind::Pipe,
            FdKind::Process => DescriptorKind::Process,
            FdKind::Memory | FdKind::File => DescriptorKind::File,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(fds: &mut HandoverFds, fd: &impl AsFd, kind: FdKind) -> FdNumber {
        let number = inherit::copy_as_after_exec(fd);
        fds.items.insert(number, kind);
        FdNumber(number)
    }

    #[test]
    fn a_listed_descriptor_is_taken_over_once_and_as_no_other_kind() {
        let mut fds = HandoverFds::default();
        let file = tempfile::tempfile().expect("a file");
        let fd = added(&mut fds, &file, FdKind::File);
        assert!(matches!(
            fds.take(fd, FdKind::Memory),
            Err(HandoverFdError::NotListed { .. })
        ));
        fds.take(fd, FdKind::File).expect("taken");
        assert!(matches!(
            fds.take(fd, FdKind::File),
            Err(HandoverFdError::NotListed { .. })
        ));
    }

    #[test]
    fn a_descriptor_that_is_closed_or_of_another_kind_is_named_by_its_number() {
        let mut fds = HandoverFds::default();
        fds.items.insert(900_000, FdKind::Process);
        let error = fds.take(FdNumber(900_000), FdKind::Process).expect_err("closed");
        assert!(
            error.to_string().contains("900000") && matches!(error, HandoverFdError::NotOpen { .. }),
            "{error}"
        );
        let file = tempfile::tempfile().expect("a file");
        for kind in [
            FdKind::Listener,
            FdKind::Client,
            FdKind::Notify,
            FdKind::Lifeline,
            FdKind::Stderr,
            FdKind::Log,
            FdKind::Process,
        ] {
            let fd = added(&mut fds, &file, kind);
            assert!(
                matches!(fds.take(fd, kind), Err(HandoverFdError::OtherKind { .. })),
                "{kind:?}"
            );
        }
        let fd = added(&mut fds, &file, FdKind::Memory);
        assert!(
            fds.take(fd, FdKind::Memory).is_err(),
            "no file on a disk is sealed"
        );
    }
}
