//! The control socket from outside: real masters, the commands as people type them, and clients that mean no
//! good.

mod addresses;
mod commands;
mod deaths;
mod hostile;
mod last_verdict;
mod reloads;
