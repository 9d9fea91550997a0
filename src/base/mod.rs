//! The words everything else is written in: identities, time, backoff, budgets, money, exit codes. Pure, and knows no other module.

pub mod backoff;
pub mod budget;
pub mod exit;
pub mod ids;
pub mod money;
pub mod time;
