//! Who writes, within which limits, and whom a store tells.

use std::sync::Arc;

use crate::base::ids::Life;
use crate::store::{PoisonHook, SignalHook};

/// Whose writes these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriterIdentity {
    /// Those of this life of a worker, which others may fence off.
    Life(Life),
    /// Those of a command that a person has given.
    Operator,
}

/// The limits of a store, and whom it tells.
#[derive(Clone)]
pub struct PostgresOptions {
    /// How many writes may be accepted and not yet answered before new work is refused
    /// ([`Admission::New`](crate::store::Admission::New)).
    pub queue_depth: usize,
    /// Called with the reason when nobody knows whether a transaction was committed: this process must exit
    /// and be replaced, so that another one goes on from what is there.
    pub on_poison: PoisonHook,
    /// Called after a commit of a call that [signals](super::Call::signals).
    pub on_signal: SignalHook,
}

impl PostgresOptions {
    /// 4096 waiting writes, and hooks that do nothing.
    #[must_use]
    pub fn new() -> PostgresOptions {
        PostgresOptions {
            queue_depth: 4096,
            on_poison: Arc::new(|_reason| ()),
            on_signal: Arc::new(|| ()),
        }
    }
}

impl Default for PostgresOptions {
    fn default() -> PostgresOptions {
        PostgresOptions::new()
    }
}
