//! How many faults a history may hold, and what is broken on purpose to see that the check would notice.

/// So many of each, anywhere, in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bounds {
    /// Lives that are killed.
    pub crashes: u8,
    /// Claims from a life that only sleeps, and goes on at any later moment.
    pub claims: u8,
    /// Commands whose outcome no life learns: lost on the way there, on the way back (and so sent twice), or
    /// arriving late; and budgets that run out.
    pub unknowns: u8,
}

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Sabotage {
    Nothing,
    /// Participants do not look at fences.
    NoFences,
    /// Participants look at neither fences nor claim numbers.
    NoFencesAndLowerClaims,
    /// Past its budget, a step whose outcome is unknown is taken for refused, and what lies before it is
    /// undone.
    CompensateFromUnknown,
}

impl Sabotage {
    pub(crate) fn fences_count(self) -> bool {
        matches!(self, Sabotage::Nothing | Sabotage::CompensateFromUnknown)
    }

    pub(crate) fn claims_count(self) -> bool {
        self != Sabotage::NoFencesAndLowerClaims
    }
}
