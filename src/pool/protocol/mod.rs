//! What comes into the pool and what goes out of it, as plain values. No logic, and nothing of the pool
//! itself.

pub mod announcement;
pub mod certificate;
pub mod effect;
pub mod event;
pub mod facts;
pub mod verdict;
pub mod wording;
