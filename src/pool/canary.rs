//! What is asked of the first worker of a new generation before the others follow: that its own readiness holds, and that it
//! does not answer with a worse share of 5xx than the old generation does at the same time. When the share is worse:
//! [`Answers::ENOUGH`] answers, [`Answers::ERRORS`] of them 5xx, and [`Answers::MARGIN`] points more than the old one's.

use serde::{Deserialize, Serialize};

use super::rollout::Hand;
use super::verdict::Share;
use crate::base::ids::Life;
use crate::base::time::Monotonic;

/// What the canary's own readiness says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Probe {
    /// Asked, and there is no answer yet.
    Asked { deadline: Monotonic },
    /// Not ready, in its own words; it is asked again as long as it bakes.
    Denied { reason: String, again_at: Monotonic },
    /// Ready.
    Held,
}

impl Probe {
    pub(super) fn asked(hand: Hand<'_>) -> Probe {
        Probe::Asked {
            deadline: hand.now + hand.policy.ready_timeout,
        }
    }

    pub(super) fn deadline(&self) -> Option<Monotonic> {
        match self {
            Probe::Asked { deadline } => Some(*deadline),
            Probe::Denied { again_at, .. } => Some(*again_at),
            Probe::Held => None,
        }
    }

    /// A denial is final once the time to bake is up: until then it may be a store that is busy.
    pub(super) fn answered(
        self,
        verdict: Result<(), String>,
        until: Monotonic,
        hand: Hand<'_>,
    ) -> Result<Probe, String> {
        match (self, verdict) {
            (Probe::Asked { .. }, Ok(())) => Ok(Probe::Held),
            (Probe::Asked { .. }, Err(reason)) if until <= hand.now => Err(reason),
            (Probe::Asked { .. }, Err(reason)) => Ok(Probe::Denied {
                reason,
                again_at: until.min(hand.now + hand.policy.heartbeat_interval),
            }),
            // Nobody asked.
            (probe @ (Probe::Denied { .. } | Probe::Held), Ok(()) | Err(_)) => Ok(probe),
        }
    }
}

/// What the canary and the old generation answered since it bakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) life: Life,
    pub(super) new: Share,
    pub(super) old: Share,
}

impl Answers {
    /// Fewer answers of the canary say nothing.
    pub(super) const ENOUGH: u64 = 20;
    /// One error alone is chance.
    pub(super) const ERRORS: u64 = 2;
    /// Percentage points.
    pub(super) const MARGIN: u64 = 5;

    /// Whether the canary's share of 5xx is more than [`Answers::MARGIN`] points above the old generation's.
    pub(super) fn are_worse(self) -> bool {
        let (new, old) = (self.new, self.old);
        // e/n > o/m + 5/100, without fractions; bounded so that a liar's numbers fit.
        let part = |errors: u64, of: u64| u128::from(bounded(errors)) * u128::from(bounded(of)) * 100;
        let (n, m) = (new.requests.max(1), old.requests.max(1));
        let margin = part(n, m) / 100 * u128::from(Self::MARGIN);
        new.requests >= Self::ENOUGH
            && new.server_errors >= Self::ERRORS
            && part(new.server_errors, m) > part(old.server_errors, n) + margin
    }
}

/// No worker answers more in a thousand years.
fn bounded(count: u64) -> u64 {
    count.min(1 << 56)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::fixture::life;

    fn are_worse(new: (u64, u64), old: (u64, u64)) -> bool {
        let share = |(requests, server_errors)| Share {
            requests,
            server_errors,
        };
        Answers {
            life: life(0, 1),
            new: share(new),
            old: share(old),
        }
        .are_worse()
    }

    #[test]
    fn worse_is_more_than_five_points_of_twenty_answers_and_not_one_error() {
        assert!(are_worse((20, 2), (0, 0)));
        assert!(!are_worse((19, 19), (0, 0)) && !are_worse((20, 1), (0, 0)));
        assert!(!are_worse((100, 5), (100, 0)) && are_worse((100, 6), (100, 0)));
        assert!(!are_worse((100, 15), (1_000, 100)) && are_worse((100, 16), (1_000, 100)));
    }

    #[test]
    fn a_liars_numbers_do_not_overflow() {
        for new in [(u64::MAX, u64::MAX), (u64::MAX, 0), (20, u64::MAX)] {
            for old in [(u64::MAX, u64::MAX), (0, u64::MAX), (u64::MAX, 0)] {
                let _ = are_worse(new, old);
            }
        }
    }
}
