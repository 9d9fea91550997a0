//! The hosts that use the same databases, and their leases.

use std::time::Duration;

use crate::base::ids::{HostId, Incarnation};

/// A host as its master and its data directory make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::shop) struct HostIdentity {
    /// Its id.
    pub(in crate::shop) host: HostId,
    /// Its name, for people.
    pub(in crate::shop) name: String,
    /// The incarnation of its master.
    pub(in crate::shop) incarnation: Incarnation,
    /// A hash of the name of its master.
    pub(in crate::shop) master: i64,
}

/// What the databases say of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::shop) struct HostRecord {
    /// Who it is.
    pub(in crate::shop) identity: HostIdentity,
    /// How often it has renewed its lease.
    pub(in crate::shop) renewals: u64,
    /// The time since its last renewal, in milliseconds of the server's clock. It is negative after that
    /// clock was set back.
    pub(in crate::shop) silent_ms: i64,
    /// How long others wait before they take it for dead; `None` when it never renewed a lease, and is not to
    /// be judged by one.
    pub(in crate::shop) lease: Option<Duration>,
    /// It has drained and given its lease back.
    pub(in crate::shop) has_left: bool,
}

/// What a renewal finds out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::shop) struct KnownHosts {
    /// All hosts, this one too.
    pub(in crate::shop) hosts: Vec<HostRecord>,
    /// How long the server has been up.
    pub(in crate::shop) server_up: Duration,
    /// The server's clock, in milliseconds since 1970.
    pub(in crate::shop) server_ms: u64,
}

/// Another host, as this worker knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::shop) struct OtherHost {
    /// Its id.
    pub(in crate::shop) host: HostId,
    /// Its name.
    pub(in crate::shop) name: String,
    /// How it is.
    pub(in crate::shop) state: HostState,
}

/// How another host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shop) enum HostState {
    /// Its lease runs.
    Alive,
    /// Its lease is over.
    Silent,
    /// It has drained.
    Left,
}
