//! What the world outside is told: `announce` writes log lines, `figures` the metrics, `systemd` the service manager's messages.

pub(super) mod announce;
mod figures;
pub(super) mod systemd;
