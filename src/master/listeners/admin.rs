//! The admin listener: one socket that every worker accepts from, so that a hung worker blocks no request for
//! metrics. It must not know what is requested there.

use std::os::fd::OwnedFd;

use super::probe::AddressError;
use crate::config::Address;
use crate::sys::socket::{self, FileId};

/// The name of the listener in `LISTEN_FDNAMES`; no address has this name.
pub(in crate::master) const NAME: &str = "admin";

/// The listener for metrics.
#[derive(Debug)]
pub(in crate::master) struct AdminListener {
    /// The address, with the port that the kernel chose.
    pub(in crate::master) address: Address,
    /// The socket file, if the address is a path.
    pub(super) file: Option<FileId>,
    pub(super) listener: OwnedFd,
}

impl AdminListener {
    /// A listener that the service manager bound to the address.
    pub(in crate::master) fn passed(address: Address, listener: OwnedFd) -> AdminListener {
        AdminListener {
            address,
            file: None,
            listener,
        }
    }

    /// Opens the listener. The caller has probed that the address is free.
    ///
    /// # Errors
    /// The error of the operating system.
    pub(in crate::master) fn open(address: &Address) -> Result<AdminListener, AddressError> {
        let opened = match address {
            Address::Tcp(configured) => socket::listen(*configured)
                .and_then(|listener| Ok((Address::Tcp(socket::local_address(&listener)?), listener))),
            Address::Unix(path) => {
                socket::listen_unix(path, 0o600).map(|listener| (address.clone(), listener))
            }
        };
        let (address, listener) = opened.map_err(|source| AddressError::Io {
            address: address.clone(),
            source,
        })?;
        let file = match &address {
            Address::Tcp(_) => None,
            Address::Unix(path) => FileId::at(path).ok(),
        };
        Ok(AdminListener {
            address,
            file,
            listener,
        })
    }
}

impl Drop for AdminListener {
    /// Removes the socket file, which outlives its listener, unless another program's socket is at the path
    /// by now.
    fn drop(&mut self) {
        let _ = self.file.as_ref().map(FileId::remove);
    }
}
