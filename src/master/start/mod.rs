//! What a master does before its first fork: `launch` is what it was started with, `startup` is the order of
//! the steps, and each other module is one of the steps.

pub(super) mod activation;
pub(super) mod build;
pub(super) mod directories;
pub(super) mod incarnation;
pub mod launch;
pub(super) mod orphans;
pub(super) mod pid_file;
pub(super) mod startup;
pub mod user;
mod variables;

pub use startup::StartError;
pub(super) use startup::{Started, start};
