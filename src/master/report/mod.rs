//! What the world outside is told: `announce` writes log lines, `metrics` the metrics, `systemd` the service manager's messages.

pub(super) mod announce;
mod metrics;
pub(super) mod systemd;
