//! Payments: what was charged and refunded for which order.

pub mod provider;
