//! Sockets that a service manager bound and passed to this process (`sd_listen_fds(3)`, a `.socket` unit of
//! systemd).

use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use tracing::{info, warn};

use crate::config::Address;
use crate::master::listeners::{
    ADMIN_NAME, AdminListener, Listeners, SharedListener, StoredListener, is_stored,
};
use crate::sys::kind::DescriptorKind;
use crate::sys::{inherit, kind, socket};

/// The number of the first descriptor that is passed.
const FIRST: RawFd = 3;
/// More sockets than any unit lists, and than any cluster stores.
const MAX_SOCKETS: RawFd = 65_536;

/// Why the sockets that were passed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    /// The variable is no number of descriptors.
    #[error("LISTEN_FDS={0:?} is not a number of descriptors from 1 to 65536")]
    NotANumber(String),
    /// A descriptor is no listening stream socket.
    #[error(
        "descriptor {number} ({name:?} of LISTEN_FDNAMES) is {found}, expected a listening TCP or unix \
         socket; a .socket unit needs ListenStream= with an address or an absolute path, and Accept=no"
    )]
    NotAListener {
        /// The number of the descriptor.
        number: RawFd,
        /// Its name.
        name: String,
        /// What it is.
        found: String,
    },
}

/// A socket that was passed.
#[derive(Debug)]
struct PassedSocket {
    name: String,
    address: Address,
    listener: OwnedFd,
}

/// What was passed to this process.
#[derive(Debug, Default)]
pub(in crate::master) struct PassedListeners {
    /// Those of a `.socket` unit.
    pub(in crate::master) listeners: Listeners,
    /// Those that the master before has stored.
    pub(in crate::master) stored: Vec<StoredListener>,
}

impl PassedListeners {
    /// The names of those that the master before has stored.
    pub(in crate::master) fn stored_names(&self) -> Vec<String> {
        self.stored.iter().map(|stored| stored.name.clone()).collect()
    }
}

/// The listeners that were passed to this process, none if they were meant for another one. The socket with
/// the name `admin`, or with the address that `admin` says, becomes the admin listener.
///
/// # Errors
/// [`ActivationError`] names the descriptor that cannot be used.
pub(in crate::master) fn passed_listeners(
    admin: Option<&Address>,
) -> Result<PassedListeners, ActivationError> {
    let PassedListeners {
        mut listeners,
        mut stored,
    } = PassedListeners::default();
    for socket in passed_sockets()? {
        let PassedSocket {
            name,
            address,
            listener,
        } = socket;
        if is_stored(&name) {
            stored.push(StoredListener {
                name,
                address,
                listener,
            });
            continue;
        }
        info!(%address, "the service manager passed {address} ({name:?})");
        let is_admin = name == ADMIN_NAME || admin == Some(&address);
        if is_admin && listeners.admin.is_none() {
            if let Some(other) = admin.filter(|other| **other != address) {
                warn!(
                    "cluster.admin is {other}, but the service manager passed {address} for it, which is used"
                );
            }
            listeners.admin = Some(AdminListener::passed(address, listener));
        } else {
            listeners.take(SharedListener::passed(address, listener));
        }
    }
    Ok(PassedListeners { listeners, stored })
}

fn passed_sockets() -> Result<Vec<PassedSocket>, ActivationError> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    if variable("LISTEN_PID") != std::process::id().to_string() {
        return Ok(Vec::new());
    }
    let count = variable("LISTEN_FDS");
    let count = match count.parse::<RawFd>() {
        Ok(count @ 0..=MAX_SOCKETS) => count,
        Ok(_) | Err(_) => return Err(ActivationError::NotANumber(count)),
    };
    let names = variable("LISTEN_FDNAMES");
    let names = names.split(':').chain(std::iter::repeat(""));
    (FIRST..FIRST + count)
        .zip(names)
        .map(|(number, name)| {
            passed(number, name).map_err(|found| ActivationError::NotAListener {
                number,
                name: name.to_owned(),
                found,
            })
        })
        .collect()
}

/// Takes one socket over. The error says what the descriptor is.
fn passed(number: RawFd, name: &str) -> Result<PassedSocket, String> {
    let system = |error: io::Error| format!("not usable ({error})");
    // It is looked at before it is owned: a wrong number may be a descriptor of this process itself, which
    // has no listener yet.
    match inherit::look(number, kind::of).flatten().map_err(system)? {
        DescriptorKind::Listener => {}
        other => return Err(described(other).to_owned()),
    }
    let listener = inherit::take(number).map_err(system)?;
    socket::never_wait(&listener).map_err(system)?;
    let address = match socket::local_path(&listener).map_err(system)? {
        Some(path) => Address::Unix(path),
        None => socket::local_address(&listener.as_fd())
            .map(Address::Tcp)
            .map_err(|_| "an abstract unix socket".to_owned())?,
    };
    Ok(PassedSocket {
        name: name.to_owned(),
        address,
        listener,
    })
}

fn described(kind: DescriptorKind) -> &'static str {
    match kind {
        DescriptorKind::Listener => "a listening socket",
        DescriptorKind::Stream => "a connected unix socket",
        DescriptorKind::Datagram => "a datagram socket",
        DescriptorKind::Packets => "a unix socket for packets",
        DescriptorKind::Pipe => "a pipe",
        DescriptorKind::File => "a file",
        DescriptorKind::Process => "a process",
        DescriptorKind::Other => "something else",
    }
}
