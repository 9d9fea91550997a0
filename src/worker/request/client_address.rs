//! The address of the client, for handlers that ask for it with axum's `ConnectInfo`.

use std::fmt;
use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use http::Request;

use crate::worker::connection::shared::Connection;

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAddress {
    /// The client's end of a TCP connection.
    Tcp(SocketAddr),
    /// On this machine, behind a unix socket of the cluster. Such a client has no address.
    Unix,
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientAddress::Tcp(address) => address.fmt(f),
            ClientAddress::Unix => f.write_str("unix"),
        }
    }
}

/// Puts the address where `ConnectInfo` looks for it.
pub(super) fn give<B>(request: &mut Request<B>, connection: &Connection) {
    let extensions = request.extensions_mut();
    let client = match connection.peer {
        Some(address) => {
            extensions.insert(ConnectInfo(address));
            ClientAddress::Tcp(address)
        }
        None => ClientAddress::Unix,
    };
    extensions.insert(ConnectInfo(client));
}
