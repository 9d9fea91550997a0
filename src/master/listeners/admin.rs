//! The admin listener: one socket that every worker accepts from, so that whoever is awake answers and one that hangs takes no
//! question. It must not know what is asked there.

use std::os::fd::OwnedFd;

use crate::config::Address;
use crate::master::start::orphans::AddressError;
use crate::sys::socket::{self, FileId};

/// What it is called in `LISTEN_FDNAMES`; no address is.
pub(super) const NAME: &str = "admin";

/// Where metrics are read.
#[derive(Debug)]
pub(in crate::master) struct Admin {
    /// With the port the kernel chose.
    pub(in crate::master) address: Address,
    /// The socket file there, of an address that is a path.
    pub(super) file: Option<FileId>,
    pub(super) listener: OwnedFd,
}

impl Admin {
    /// The caller has probed that nobody else is there.
    ///
    /// # Errors
    /// The system's words about the address.
    pub(in crate::master) fn open(address: &Address) -> Result<Admin, AddressError> {
        let opened = match address {
            Address::Tcp(asked) => socket::listen(*asked)
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
        Ok(Admin {
            address,
            file,
            listener,
        })
    }
}

impl Drop for Admin {
    /// A path outlives its listener; whoever stops serving it takes it away, unless somebody else's is there by now.
    fn drop(&mut self) {
        let _ = self.file.as_ref().map(FileId::remove);
    }
}
