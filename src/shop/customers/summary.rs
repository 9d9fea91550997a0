//! What a summary says. Pure.

use crate::base::money::Money;
use crate::shop::contract::OpeningBalance;

/// What a customer spent in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpentTotal {
    /// How many orders were confirmed.
    pub orders: u64,
    /// What they cost together.
    pub spent: Money,
    /// The part of it that was known by its sum alone when the model was built.
    pub opening: Option<OpeningBalance>,
}

/// What a customer ordered and spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerSummary {
    /// For each currency.
    pub totals: Vec<SpentTotal>,
    /// When the model last changed, in milliseconds since 1970.
    pub as_of_ms: u64,
}
