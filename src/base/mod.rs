//! The values that every other module uses: identities, time, backoff, budgets, money, exit codes. All of it
//! is pure and imports no other module.

pub mod backoff;
pub mod budget;
pub mod exit;
pub mod ids;
pub mod millis;
pub mod money;
pub mod probe_source;
pub mod signal_names;
pub mod time;
