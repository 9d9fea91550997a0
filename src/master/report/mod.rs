//! Reports to the outside: `announce` writes log lines, `metrics` collects the metrics, `last_verdict` keeps
//! how the last operation ended, `lost_sockets` which sockets are missing, `systemd` notifies the service
//! manager, `fd_store` has it keep descriptors.

pub(super) mod announce;
mod fd_store;
pub(super) mod last_verdict;
pub(super) mod lost_sockets;
mod metrics;
pub(super) mod systemd;
