//! One request: from the edge through the limits to the routes, and what is counted and logged about it.

pub(in crate::worker) mod access;
pub(in crate::worker) mod body;
pub(in crate::worker) mod client_address;
pub(in crate::worker) mod drill;
pub(in crate::worker) mod edge;
#[cfg(feature = "grpc")]
pub(in crate::worker) mod grpc;
#[cfg(feature = "grpc")]
mod grpc_body;
#[cfg(feature = "grpc")]
mod grpc_timeout;
pub(in crate::worker) mod health;
pub(in crate::worker) mod limits;
pub(in crate::worker) mod routes;
mod unsendable;
