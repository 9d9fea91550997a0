//! Reports to the outside: `announce` writes log lines, `metrics` collects the metrics, `systemd` notifies
//! the service manager.

pub(super) mod announce;
mod metrics;
pub(super) mod systemd;
