//! What inventory keeps for an order. Pure.

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
