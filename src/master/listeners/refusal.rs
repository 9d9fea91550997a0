//! Why a worker is refused a listener, in words for the log and as an error number for its program.

use std::io;

use nix::errno::Errno;

use super::probe::{AddressError, by_whom};
use crate::config::Address;
use crate::config::address::LONGEST_UNIX_PATH;
use crate::lifeline::LentAddress;
use crate::sys::socket;

/// The number of addresses that are lent at a time, by the whole cluster.
pub(super) const MAX_LENT: usize = 64;

/// Why a worker is refused a listener.
#[derive(Debug, thiserror::Error)]
pub(super) enum LendingError {
    /// Another program listens there.
    #[error("{address} is in use{}", by_whom(.holders))]
    Taken { address: Address, holders: Vec<String> },
    /// Something of the cluster's own is in the way.
    #[error("{address} takes connections of {other}, which this cluster serves otherwise")]
    Overlaps { address: Address, other: Address },
    /// The operating system refused.
    #[error("failed to listen on {address}: {source}")]
    Io { address: Address, source: io::Error },
    /// The workers' user may not bind the address.
    #[error(
        "{address} is not for the user of the workers: the program may have ports from {} on, and what is \
         configured in cluster.bind",
        socket::first_unprivileged_port()
    )]
    NotForUser { address: Address },
    /// The path is no path of a socket.
    #[error("{0}: a socket needs an absolute path of at most {LONGEST_UNIX_PATH} bytes")]
    NotAPath(LentAddress),
    /// The name is in the abstract namespace.
    #[error(
        "{0}: names in the abstract namespace have no permissions, and are not lent; use the path of a socket"
    )]
    Abstract(LentAddress),
    /// Too many addresses are lent already.
    #[error("{MAX_LENT} addresses are lent, and no more are")]
    TooMany,
    /// No worker will be started any more.
    #[error("the cluster stops")]
    Closed,
}

impl LendingError {
    /// What the program is told.
    pub(super) fn errno(&self) -> Errno {
        match self {
            LendingError::Taken { .. } | LendingError::Overlaps { .. } => Errno::EADDRINUSE,
            LendingError::Io { source, .. } => match (source.kind(), source.raw_os_error()) {
                (_, Some(errno)) => Errno::from_raw(errno),
                (io::ErrorKind::AddrInUse | io::ErrorKind::AlreadyExists, None) => Errno::EADDRINUSE,
                (_, None) => Errno::EIO,
            },
            LendingError::NotForUser { .. } => Errno::EACCES,
            LendingError::NotAPath(_) => Errno::EINVAL,
            LendingError::Abstract(_) => Errno::ENOTSUP,
            LendingError::TooMany => Errno::EMFILE,
            LendingError::Closed => Errno::ECANCELED,
        }
    }
}

impl From<AddressError> for LendingError {
    fn from(error: AddressError) -> LendingError {
        match error {
            AddressError::Taken { address, holders } => LendingError::Taken { address, holders },
            AddressError::Overlaps { address, passed } => LendingError::Overlaps {
                address,
                other: passed,
            },
            AddressError::Io { address, source } => LendingError::Io { address, source },
        }
    }
}
