//! The shop: orders, inventory, payments, their sagas and their routes.

pub mod payments;
pub mod sandbox;
