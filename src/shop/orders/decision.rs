//! An operator's decision about a parked order.

use crate::shop::contract::OrderId;

/// A decision that is to be recorded.
#[derive(Clone, Debug)]
pub(in crate::shop) struct OperatorDecision {
    pub(in crate::shop) order: OrderId,
    pub(in crate::shop) act: DecidedAct,
    /// The operator.
    pub(in crate::shop) who: String,
    pub(in crate::shop) reason: String,
}

/// What an operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shop) enum DecidedAct {
    /// The cluster tries the order again.
    Retry,
    /// The cluster undoes every step of the order.
    Compensate,
    /// The order stands, if its last claim is still this one.
    Confirm {
        /// The claim under which the records were compared.
        claim_no: u32,
    },
    /// The order does not stand, if its last claim is still this one.
    Reject {
        /// The claim under which the records were compared.
        claim_no: u32,
    },
}

impl DecidedAct {
    /// The act in one word.
    pub(in crate::shop) fn name(self) -> &'static str {
        match self {
            DecidedAct::Retry => "retry",
            DecidedAct::Compensate => "compensate",
            DecidedAct::Confirm { .. } => "confirm",
            DecidedAct::Reject { .. } => "reject",
        }
    }
}

/// What came of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shop) enum DecisionOutcome {
    /// The decision is recorded and in force.
    Recorded,
    /// The order is not parked, and nothing was written.
    NotParked,
    /// The order is parked under another claim than the decision was made for, and nothing was written.
    ClaimedMeanwhile,
    /// There is no such order.
    NoSuchOrder,
}
