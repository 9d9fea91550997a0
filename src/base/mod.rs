//! The words everything else is written in: identities, time, backoff, budgets, money. Pure, and knows no other module.

pub mod backoff;
pub mod budget;
pub mod ids;
pub mod money;
pub mod time;
