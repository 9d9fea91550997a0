//! Reports to the outside: `announce` writes log lines, `metrics` collects the metrics, `last_verdict` keeps
//! how the last operation ended, `systemd` notifies the service manager.

pub(super) mod announce;
pub(super) mod last_verdict;
mod metrics;
pub(super) mod systemd;
