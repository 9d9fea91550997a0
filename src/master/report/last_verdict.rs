//! How the last operation on the whole cluster ended. An operation that a signal asked for has no client that
//! waits for its verdict; it is kept here for `status` and for systemd.

use serde::{Deserialize, Serialize};

use crate::base::ids::Generation;
use crate::base::millis::ms;
use crate::base::time::Monotonic;
use crate::control::{LastVerdict, OperationKind, OperationResult};
use crate::pool::{Announcement, Pool, Request};

/// A verdict with the instant at which it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::master) struct RecordedVerdict {
    operation: OperationKind,
    result: OperationResult,
    reason: Option<String>,
    generation: Option<Generation>,
    at: Monotonic,
}

/// Longest reason in a status line, in characters.
const MAX_REASON: usize = 300;

impl RecordedVerdict {
    /// The verdict that an announcement gives, if it gives one. A scaling that was carried out replaces only
    /// the verdict of another scaling: the number of slots shows it, and a reload may scale as well.
    pub(in crate::master) fn of(
        announcement: &Announcement,
        before: Option<&RecordedVerdict>,
        now: Monotonic,
    ) -> Option<RecordedVerdict> {
        use Announcement as A;
        use OperationResult::{BackedOut, Done, Refused};
        let (operation, result, reason, generation) = match announcement {
            A::Reloaded {
                request, generation, ..
            } => (kind(*request)?, Done, None, Some(*generation)),
            A::BackedOut {
                request,
                generation,
                reason,
            } => (
                kind(*request)?,
                BackedOut,
                Some(reason.to_string()),
                Some(*generation),
            ),
            A::Upgraded { .. } => (OperationKind::Upgrade, Done, None, None),
            A::NotUpgraded { reason } => (OperationKind::Upgrade, BackedOut, Some(reason.clone()), None),
            A::ScaleFailed { reason, .. } => {
                (OperationKind::Scale, BackedOut, Some(reason.to_string()), None)
            }
            A::Refused { request, reason } => (kind(*request)?, Refused, Some(reason.clone()), None),
            A::Scaled { .. } => match before?.operation {
                OperationKind::Scale => (OperationKind::Scale, Done, None, None),
                OperationKind::Reload | OperationKind::Rollback | OperationKind::Upgrade => return None,
            },
            A::Starting { .. }
            | A::Ready { .. }
            | A::Serving { .. }
            | A::Crashed { .. }
            | A::SpawnFailed { .. }
            | A::BreakerOpened { .. }
            | A::BreakerClosed { .. }
            | A::NoWorkerServes
            | A::StubEnded { .. }
            | A::StubStopped
            | A::Quarantined { .. }
            | A::Returned { .. }
            | A::Killed { .. }
            | A::Draining { .. }
            | A::Drained { .. }
            | A::ReloadStarted { .. }
            | A::RollbackStarted { .. }
            | A::Baking { .. }
            | A::BackingOut { .. }
            | A::UpgradeStarted
            | A::HandingOver { .. }
            | A::Queued { .. }
            | A::Replacing { .. }
            | A::NotReplaced { .. }
            | A::Stopping { .. }
            | A::StopDelayed { .. }
            | A::Stalled { .. } => return None,
        };
        Some(RecordedVerdict {
            operation,
            result,
            reason,
            generation,
            at: now,
        })
    }

    /// The verdict as `status` shows it.
    pub(in crate::master) fn report(&self, now: Monotonic) -> LastVerdict {
        LastVerdict {
            operation: self.operation,
            result: self.result,
            reason: self.reason.clone(),
            generation: self.generation,
            ago_ms: ms(now.since(self.at)),
        }
    }

    /// The failure in one line; `None` after a success.
    fn failure(&self) -> Option<String> {
        let reason = one_line(self.reason.as_deref()?);
        let operation = self.operation.as_str();
        let tried = self
            .generation
            .map_or_else(String::new, |generation| format!(" to generation {generation}"));
        match self.result {
            OperationResult::Done => None,
            OperationResult::BackedOut => Some(format!("{operation}{tried} failed: {reason}")),
            OperationResult::Refused => Some(format!("{operation} refused: {reason}")),
        }
    }
}

fn kind(request: Request) -> Option<OperationKind> {
    match request {
        Request::Reload => Some(OperationKind::Reload),
        Request::Rollback => Some(OperationKind::Rollback),
        Request::Upgrade => Some(OperationKind::Upgrade),
        Request::ScaleTo(_) | Request::ScaleBy(_) => Some(OperationKind::Scale),
        Request::Restart(_) | Request::Drain(_) | Request::Stop(_) => None,
    }
}

/// The state of a cluster that serves, in one line: its generation, the slots whose workers keep dying, and
/// the last operation if it failed.
pub(in crate::master) fn serving(pool: &Pool, last: Option<&RecordedVerdict>) -> String {
    let degraded = pool.slots().filter(|slot| slot.breaker_open);
    let degraded: Vec<String> = degraded.map(|slot| slot.slot.to_string()).collect();
    let dying =
        (!degraded.is_empty()).then(|| format!("the workers of slot {} keep dying", degraded.join(", ")));
    let failure = last.and_then(RecordedVerdict::failure);
    let generation = pool.generation();
    let serving = if pool.refuses() {
        format!("no worker can serve and a stub answers 503; generation {generation}")
    } else {
        format!("serving generation {generation}")
    };
    [Some(serving), dying, failure]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}

/// A reason without line ends and control characters, shortened.
fn one_line(reason: &str) -> String {
    let lines = reason.lines().map(str::trim).filter(|line| !line.is_empty());
    let joined = lines.collect::<Vec<_>>().join("; ");
    let mut text: String = joined
        .chars()
        .filter(|char| !char.is_control())
        .take(MAX_REASON)
        .collect();
    if joined.chars().count() > MAX_REASON {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Monotonic = Monotonic(1_000_000_000);

    fn refused(request: Request, reason: &str) -> Announcement {
        let reason = reason.to_owned();
        Announcement::Refused { request, reason }
    }

    #[test]
    fn a_scaling_replaces_the_verdict_of_a_scaling_and_of_no_other_operation() {
        let scaled = Announcement::Scaled { from: 1, to: 2 };
        assert_eq!(RecordedVerdict::of(&scaled, None, NOW), None);
        let reload = RecordedVerdict::of(&refused(Request::Reload, "no"), None, NOW).expect("a verdict");
        assert_eq!(RecordedVerdict::of(&scaled, Some(&reload), NOW), None);
        let scale = RecordedVerdict::of(&refused(Request::ScaleBy(-1), "no"), None, NOW).expect("a verdict");
        let done = RecordedVerdict::of(&scaled, Some(&scale), NOW).expect("a verdict");
        assert_eq!((done.result, done.failure()), (OperationResult::Done, None));
    }

    #[test]
    fn a_reason_becomes_one_short_line_without_control_characters() {
        let reason = format!("a\u{1b}[31m\n\n  b\r\n{}", "x".repeat(400));
        let verdict = RecordedVerdict::of(&refused(Request::Upgrade, &reason), None, NOW).expect("a verdict");
        let line = verdict.failure().expect("a failure");
        assert!(line.starts_with("upgrade refused: a[31m; b; xxx"), "{line}");
        assert!(line.ends_with("x…") && line.chars().count() < 330, "{line}");
        assert_eq!(
            RecordedVerdict::of(
                &refused(Request::Drain(crate::base::ids::Slot(1)), "no"),
                None,
                NOW
            ),
            None
        );
    }
}
