//! Whether an address is free: probed before it is bound, because SO_REUSEPORT would let two clusters share a
//! port by accident.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::Address;
use crate::sys::{procfs, socket};

/// Why the cluster cannot listen on an address.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Another process listens on it.
    #[error("{address} is in use{}; stop that program, or choose another --bind", by_whom(.holders))]
    Taken {
        /// The address.
        address: Address,
        /// The processes that listen there, as far as this user may see them.
        holders: Vec<String>,
    },
    /// The service manager passed a socket that takes some of its connections.
    #[error(
        "{address} takes the connections of {passed}, too, which the service manager passed; remove {address} \
         from cluster.bind, or {passed} from the .socket unit"
    )]
    Overlaps {
        /// The address.
        address: Address,
        /// That of the socket.
        passed: Address,
    },
    /// The operating system refused.
    #[error("failed to listen on {address}: {source}{}", hint(.source))]
    Io {
        /// The address.
        address: Address,
        /// The error of the operating system.
        source: io::Error,
    },
}

pub(super) fn by_whom(holders: &[String]) -> String {
    if holders.is_empty() {
        String::new()
    } else {
        format!(" by {}", holders.join(", "))
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            " (ports below 1024 need root or CAP_NET_BIND_SERVICE; start as root with --user to let the \
             workers run as another)"
        }
        io::ErrorKind::AddrNotAvailable => " (no interface of this machine has that address)",
        _ => "",
    }
}

/// Checks that no process listens on the address. A unix socket's path is checked when it is opened.
///
/// # Errors
/// [`AddressError::Taken`] names the processes that listen there, as far as they are found within `search`.
pub(in crate::master) fn probe(address: &Address, search: Duration) -> Result<(), AddressError> {
    probe_with(address, false, search)
}

/// As [`probe`]; with `dual_stack`, an IPv6 address is to take IPv4 along.
pub(super) fn probe_with(address: &Address, dual_stack: bool, search: Duration) -> Result<(), AddressError> {
    let Address::Tcp(tcp) = address else { return Ok(()) };
    socket::probe_with(*tcp, dual_stack).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => AddressError::Taken {
            address: address.clone(),
            holders: holders(*tcp, search),
        },
        _ => AddressError::Io {
            address: address.clone(),
            source,
        },
    })
}

fn holders(address: SocketAddr, search: Duration) -> Vec<String> {
    let pids = procfs::listeners_at(address, search);
    pids.iter()
        .map(|&pid| format!("pid {pid} ({})", procfs::command_line(pid)))
        .collect()
}
