//! The agent: the native worker process that runs a program of the user's and answers for it to the master.

pub mod node;
