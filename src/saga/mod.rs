//! The steps of an order, and what follows from each outcome. Pure: it holds no SQL, no HTTP, no clock and no task. The caller
//! passes in the time, randomness and events, and gets back the next state and the one thing to do.
//!
//! - [`definition`] is the list to read first: each step's command, its compensation, and how an unknown outcome is settled.
//! - [`table`] is the state machine, with every pair of state and event written down. Recovery has no logic of its own: the new
//!   owner of a saga begins with the first step, and participants answer what they answered before.
//! - [`budget_used`] is all that a new owner knows of the earlier ones: how much of the budgets they used.

pub mod budget_used;
pub mod definition;
pub mod table;

pub use budget_used::BudgetUsed;
pub use definition::{ORDER, SagaCommand, SagaDefinition, SagaStep, StepPhase};
pub use table::{IllegalTransition, RejectionCause, SagaEffect, SagaEvent, SagaState, SagaVerdict};
