//! A listener that all workers share: that of a unix path, and those that the service manager passed.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::lent::Lent;
use crate::config::Address;
use crate::sys::socket::{self, FileId};

/// A listener that every worker accepts from.
#[derive(Debug)]
pub(in crate::master) struct SharedListener {
    pub(super) address: Address,
    /// The socket file that this program made; `None` when there is none, or when it had been removed
    /// already.
    pub(super) file: Option<FileId>,
    /// The service manager bound it. Its file is not ours, and nobody else could bind the address again.
    pub(super) passed: bool,
    pub(super) listener: OwnedFd,
    /// What is known of it if workers have asked for it.
    pub(super) lent: Option<Lent>,
}

impl SharedListener {
    /// A listener that has just been bound to the path.
    pub(super) fn bound(path: PathBuf, listener: OwnedFd) -> SharedListener {
        SharedListener {
            file: FileId::at(&path).ok(),
            address: Address::Unix(path),
            passed: false,
            listener,
            lent: None,
        }
    }

    /// A listener that the service manager bound to the address.
    pub(in crate::master) fn passed(address: Address, listener: OwnedFd) -> SharedListener {
        SharedListener {
            address,
            file: None,
            passed: true,
            listener,
            lent: None,
        }
    }

    /// Whether clients still reach this listener: the file of a path may have been removed or replaced.
    pub(super) fn is_there(&self) -> bool {
        self.passed || self.file.as_ref().is_some_and(FileId::is_there)
    }

    /// Its name in `LISTEN_FDNAMES`.
    pub(super) fn name(&self) -> String {
        match &self.address {
            Address::Tcp(address) => address.to_string(),
            Address::Unix(path) => format!("unix={}", path.display()),
        }
    }

    /// Whether a connection to the address reaches this listener.
    pub(super) fn serves(&self, address: &Address) -> bool {
        if self.address.covers(address) {
            return true;
        }
        let (Address::Tcp(own), Address::Tcp(other)) = (&self.address, address) else {
            return false;
        };
        let takes_both = || socket::takes_both_families(&self.listener).unwrap_or(false);
        own.ip().is_unspecified() && own.is_ipv6() && own.port() == other.port() && takes_both()
    }
}

impl Drop for SharedListener {
    /// Removes the socket file, which outlives its listener, unless another program's socket is at the path
    /// by now.
    fn drop(&mut self) {
        let _ = self.file.as_ref().map(FileId::remove);
    }
}
