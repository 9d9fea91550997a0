//! What the first worker of a new generation has to show before the others follow: that its own readiness
//! holds, and that it does not answer with a worse share of 5xx than the old generation does at the same
//! time. A connection told 503 for want of room is a 5xx like any other. The share is worse:
//!
//! - of many answers, [`CanaryAnswers::ENOUGH`] or more: [`CanaryAnswers::ERRORS`] of them 5xx, and
//!   [`CanaryAnswers::MARGIN`] points more than the old one's;
//! - of fewer: [`CanaryAnswers::FEW_ERRORS`] of them and at least half are 5xx, while the old one gave
//!   [`CanaryAnswers::ENOUGH_OLD`] answers or more with no more than [`CanaryAnswers::MARGIN`] points of 5xx.

use serde::{Deserialize, Serialize};

use super::context::RolloutContext;
use crate::base::ids::Life;
use crate::base::time::Monotonic;
use crate::pool::protocol::verdict::Share;

/// What the canary's own readiness says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) enum ReadinessProbe {
    /// The canary was asked, and has not answered yet.
    Asked { deadline: Monotonic },
    /// The canary is not ready, in its own words; it is asked again as long as it bakes.
    Denied { reason: String, again_at: Monotonic },
    /// The canary is ready.
    Ready,
}

impl ReadinessProbe {
    pub(in crate::pool) fn asked(context: RolloutContext<'_>) -> ReadinessProbe {
        ReadinessProbe::Asked {
            deadline: context.now + context.policy.ready_timeout,
        }
    }

    pub(in crate::pool) fn deadline(&self) -> Option<Monotonic> {
        match self {
            ReadinessProbe::Asked { deadline } => Some(*deadline),
            ReadinessProbe::Denied { again_at, .. } => Some(*again_at),
            ReadinessProbe::Ready => None,
        }
    }

    /// That the canary is not ready is final once the time to bake is up: until then a store may be busy.
    pub(in crate::pool) fn answered(
        self,
        verdict: Result<(), String>,
        until: Monotonic,
        context: RolloutContext<'_>,
    ) -> Result<ReadinessProbe, String> {
        match (self, verdict) {
            (ReadinessProbe::Asked { .. }, Ok(())) => Ok(ReadinessProbe::Ready),
            (ReadinessProbe::Asked { .. }, Err(reason)) if until <= context.now => Err(reason),
            (ReadinessProbe::Asked { .. }, Err(reason)) => Ok(ReadinessProbe::Denied {
                reason,
                again_at: until.min(context.now + context.policy.heartbeat_interval),
            }),
            // The canary was not asked.
            (probe @ (ReadinessProbe::Denied { .. } | ReadinessProbe::Ready), Ok(()) | Err(_)) => Ok(probe),
        }
    }
}

/// What the canary and the old generation answered since the canary bakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct CanaryAnswers {
    pub(in crate::pool) life: Life,
    pub(in crate::pool) new: Share,
    pub(in crate::pool) old: Share,
}

impl CanaryAnswers {
    /// With fewer answers than this the canary is worse only when most of them are errors.
    pub(in crate::pool) const ENOUGH: u64 = 20;
    /// One error alone may be chance.
    pub(in crate::pool) const ERRORS: u64 = 2;
    /// Percentage points by which the canary's share of errors has to be larger.
    pub(in crate::pool) const MARGIN: u64 = 5;

    /// This many errors are no chance even among few answers, if the old generation has next to none.
    pub(in crate::pool) const FEW_ERRORS: u64 = 3;
    /// With fewer answers of the old generation than this, it is not known whether that has next to none.
    pub(in crate::pool) const ENOUGH_OLD: u64 = 10;

    pub(in crate::pool) fn are_worse(self) -> bool {
        if self.new.answers() >= Self::ENOUGH {
            self.are_worse_by_the_margin()
        } else {
            self.are_mostly_errors() && self.old_ones_are_well()
        }
    }

    fn are_worse_by_the_margin(self) -> bool {
        let (new, old) = (self.new, self.old);
        // e/n > o/m + 5/100, without fractions; bounded so that a worker's false numbers fit.
        let part = |errors: u64, of: u64| u128::from(bounded(errors)) * u128::from(bounded(of)) * 100;
        let (n, m) = (new.answers().max(1), old.answers().max(1));
        let margin = part(n, m) / 100 * u128::from(Self::MARGIN);
        new.errors() >= Self::ERRORS && part(new.errors(), m) > part(old.errors(), n) + margin
    }

    fn are_mostly_errors(self) -> bool {
        let errors = self.new.errors();
        errors >= Self::FEW_ERRORS && errors >= self.new.answers().div_ceil(2)
    }

    fn old_ones_are_well(self) -> bool {
        let (answers, errors) = (self.old.answers(), self.old.errors());
        answers >= Self::ENOUGH_OLD && bounded(errors) * 100 <= bounded(answers) * Self::MARGIN
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
            refused: 0,
        };
        CanaryAnswers {
            life: life(0, 1),
            new: share(new),
            old: share(old),
        }
        .are_worse()
    }

    #[test]
    fn worse_is_more_than_five_points_of_twenty_answers_and_not_one_error() {
        assert!(are_worse((20, 2), (0, 0)));
        assert!(!are_worse((19, 2), (1_000, 0)) && !are_worse((20, 1), (0, 0)));
        assert!(!are_worse((100, 5), (100, 0)) && are_worse((100, 6), (100, 0)));
        assert!(!are_worse((100, 15), (1_000, 100)) && are_worse((100, 16), (1_000, 100)));
    }

    #[test]
    fn a_few_answers_that_are_mostly_errors_are_worse_when_the_old_generation_is_known_to_be_well() {
        assert!(are_worse((3, 3), (10, 0)) && are_worse((19, 19), (100, 5)) && are_worse((7, 4), (10, 0)));
        assert!(!are_worse((2, 2), (1_000, 0)), "two may be chance");
        assert!(!are_worse((7, 3), (1_000, 0)), "less than half");
        assert!(!are_worse((19, 19), (9, 0)), "too few to compare with");
        assert!(!are_worse((19, 19), (100, 6)), "the old ones fail, too");
    }

    #[test]
    fn a_connection_refused_at_the_door_is_an_error_on_either_side() {
        let with = |refused| Share {
            requests: 10,
            server_errors: 0,
            refused,
        };
        let are_worse = |new, old| {
            let life = life(0, 1);
            CanaryAnswers { life, new, old }.are_worse()
        };
        assert!(are_worse(with(10), with(0)));
        assert!(!are_worse(with(10), with(10)) && !are_worse(with(0), with(10)));
    }

    #[test]
    fn a_liars_numbers_do_not_overflow() {
        for new in [(u64::MAX, u64::MAX), (u64::MAX, 0), (20, u64::MAX), (3, u64::MAX)] {
            for old in [(u64::MAX, u64::MAX), (0, u64::MAX), (u64::MAX, 0), (9, u64::MAX)] {
                let _ = are_worse(new, old);
            }
        }
    }
}
