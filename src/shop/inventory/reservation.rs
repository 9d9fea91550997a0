//! What inventory keeps for an order. Pure.

use crate::shop::contract::{CommandOutcome, CommandRefusal};

/// What is commanded for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReservationCommand {
    /// To hold the goods.
    Reserve,
    /// To let go of them.
    Release,
    /// That they leave the shelf.
    Commit,
}

impl ReservationCommand {
    /// The answer to a command that changed nothing, because of what stands.
    pub(super) fn answer(self, stands: ReservationState, reason: Option<CommandRefusal>) -> CommandOutcome {
        let refused = |refusal| CommandOutcome::Refused(refusal);
        match (self, stands) {
            // A reservation that was released since is answered as done, too: the release followed a charge
            // that is refused for ever, and the charge will be refused again.
            (
                ReservationCommand::Reserve,
                ReservationState::Held | ReservationState::Committed | ReservationState::Released,
            ) => CommandOutcome::Done,
            (ReservationCommand::Reserve, ReservationState::Refused) => {
                refused(reason.unwrap_or(CommandRefusal::Withdrawn))
            }
            (ReservationCommand::Reserve, ReservationState::Tombstone) => refused(CommandRefusal::Withdrawn),
            (ReservationCommand::Release, ReservationState::Committed) => {
                refused(CommandRefusal::Irrevocable)
            }
            (ReservationCommand::Release, _) => CommandOutcome::Done,
            (ReservationCommand::Commit, ReservationState::Held | ReservationState::Committed) => {
                CommandOutcome::Done
            }
            (
                ReservationCommand::Commit,
                ReservationState::Released | ReservationState::Refused | ReservationState::Tombstone,
            ) => refused(CommandRefusal::Withdrawn),
        }
    }
}

/// Where the reservation of an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shop) enum ReservationState {
    /// The goods are held for the order.
    Held,
    /// The goods left the shelf.
    Committed,
    /// The goods were held, or had left the shelf, and can be sold again.
    Released,
    /// There were not enough goods.
    Refused,
    /// The order was released before anything was reserved, so that a late reserve is refused.
    Tombstone,
}

impl ReservationState {
    /// Every state.
    pub(in crate::shop) const ALL: [ReservationState; 5] = [
        ReservationState::Held,
        ReservationState::Committed,
        ReservationState::Released,
        ReservationState::Refused,
        ReservationState::Tombstone,
    ];
}
