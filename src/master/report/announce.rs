//! Turns the pool's announcements into log lines: the message is the announcement's own, the level and the
//! fields are here.

use tracing::field::{DisplayValue, display};
use tracing::{Level, error, info, warn};

use crate::base::ids::{Generation, Life, Slot};
use crate::pool::Announcement;

/// Logs an announcement.
pub(in crate::master) fn announce(announcement: &Announcement) {
    let fields = fields(announcement);
    macro_rules! log {
        ($level:ident) => {
            $level!(
                life = fields.life,
                slot = fields.slot,
                generation = fields.generation,
                pid = fields.pid,
                workers = fields.workers,
                from = fields.from,
                to = fields.to,
                failures = fields.failures,
                deaths = fields.deaths,
                version = fields.version,
                "{announcement}"
            )
        };
    }
    match level(announcement) {
        Level::ERROR => log!(error),
        Level::WARN => log!(warn),
        _info => log!(info),
    }
}

/// What a log line may carry beside its message.
#[derive(Default)]
struct Fields<'a> {
    life: Option<DisplayValue<Life>>,
    slot: Option<DisplayValue<Slot>>,
    generation: Option<DisplayValue<Generation>>,
    pid: Option<i32>,
    workers: Option<u16>,
    from: Option<u16>,
    to: Option<u16>,
    failures: Option<u32>,
    deaths: Option<u32>,
    version: Option<&'a str>,
}

fn level(announcement: &Announcement) -> Level {
    use Announcement as A;
    match announcement {
        A::SpawnFailed { .. }
        | A::BreakerOpened { .. }
        | A::NoWorkerServes
        | A::BackingOut { .. }
        | A::NotUpgraded { .. }
        | A::ScaleFailed { .. }
        | A::BackedOut { .. } => Level::ERROR,
        A::Crashed { .. }
        | A::StubEnded { .. }
        | A::Quarantined { .. }
        | A::Killed { .. }
        | A::NotReplaced { .. }
        | A::Refused { .. }
        | A::Stalled { .. } => Level::WARN,
        A::Starting { .. }
        | A::Ready { .. }
        | A::Serving { .. }
        | A::BreakerClosed { .. }
        | A::StubStopped
        | A::Returned { .. }
        | A::Draining { .. }
        | A::Drained { .. }
        | A::ReloadStarted { .. }
        | A::Baking { .. }
        | A::UpgradeStarted
        | A::HandingOver { .. }
        | A::Upgraded { .. }
        | A::Queued { .. }
        | A::Reloaded { .. }
        | A::RollbackStarted { .. }
        | A::Replacing { .. }
        | A::Scaled { .. }
        | A::StopDelayed { .. }
        | A::Stopping { .. } => Level::INFO,
    }
}

fn fields(announcement: &Announcement) -> Fields<'_> {
    use Announcement as A;
    let mut fields = Fields::default();
    match announcement {
        A::Ready { life, .. }
        | A::SpawnFailed { life, .. }
        | A::Quarantined { life, .. }
        | A::Returned { life, .. }
        | A::Killed { life, .. }
        | A::Draining { life }
        | A::Drained { life, .. } => fields.life = Some(display(*life)),
        A::Crashed { life, failures, .. } => {
            fields.life = Some(display(*life));
            fields.failures = Some(*failures);
        }
        A::Starting {
            life,
            generation,
            pid,
        } => {
            fields.life = Some(display(*life));
            fields.generation = Some(display(*generation));
            fields.pid = Some(*pid);
        }
        A::Baking { life, generation, .. } => {
            fields.life = Some(display(*life));
            fields.generation = Some(display(*generation));
        }
        A::BreakerClosed { slot } | A::Replacing { slot, .. } | A::NotReplaced { slot, .. } => {
            fields.slot = Some(display(*slot));
        }
        A::BreakerOpened { slot, deaths } => {
            fields.slot = Some(display(*slot));
            fields.deaths = Some(*deaths);
        }
        A::ReloadStarted { generation }
        | A::RollbackStarted { generation }
        | A::BackingOut { generation, .. }
        | A::Reloaded { generation, .. }
        | A::BackedOut { generation, .. } => fields.generation = Some(display(*generation)),
        A::Serving { workers } | A::Stopping { workers } => fields.workers = Some(*workers),
        A::Scaled { from, to } | A::ScaleFailed { from, to, .. } => {
            (fields.from, fields.to) = (Some(*from), Some(*to))
        }
        A::Upgraded { version, .. } => fields.version = Some(version),
        A::UpgradeStarted
        | A::NoWorkerServes
        | A::StubEnded { .. }
        | A::StubStopped
        | A::HandingOver { .. }
        | A::NotUpgraded { .. }
        | A::Queued { .. }
        | A::Refused { .. }
        | A::StopDelayed { .. }
        | A::Stalled { .. } => {}
    }
    fields
}
