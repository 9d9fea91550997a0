//! `cluster`: a supervisor for worker processes on one Linux host that loses nothing, and the shop that proves it.
//!
//! # Map
//!
//! Read in this order; an arrow in the last line is "may import".
//!
//! | module | owns | must not know |
//! |---|---|---|
//! | [`base`] | identities, time, backoff, budget, money | anything else here |
//! | [`config`] | the configuration: keys, units, defaults, errors (pure) | files, sockets, clocks |
//! | [`pool`] | the master's brain: slots, rollouts, restart policy (pure) | processes, sockets, HTTP |
//! | [`saga`] | an order's steps and what follows from each outcome (pure) | SQL, HTTP, who runs it |
//! | [`sys`] | `unsafe` and raw system calls | every policy |
//! | [`scoreboard`] | the shared page a worker beats in | who reads it |
//! | [`lifeline`] | the messages between master and worker | what they lead to |
//! | [`metrics`] | the numbers of all lives, put together | who asks for them, HTTP |
//! | [`control`] | the words of the control socket, and its client | how the master answers |
//! | [`observe`] | log lines that never block | what they say |
//! | [`store`] | one SQLite file: writer thread, lock, group commit | the shop |
//! | [`http`] | problem documents, limits (the edge's vocabulary) | the shop |
//! | [`worker`] | a worker's boot, connections, drain, beats | the shop |
//! | [`master`] | the loop that waits, asks the pool, and acts | the shop, HTTP, SQL, async |
//! | [`shop`] | orders, inventory, payments, their sagas, their routes | the supervisor's inside |
//! | [`torture`] | drills against a cluster of its own, and the verdict | the supervisor's inside |
//! | [`cli`] | flags, exit codes, what is printed | how it is done |
//!
//! `main, cli → master | worker → services, http, store, metrics, scoreboard, lifeline, control, observe → sys → pool, saga, config → base`

pub mod base;
pub mod cli;
pub mod config;
pub mod control;
pub mod http;
pub mod lifeline;
pub mod master;
pub mod metrics;
pub mod observe;
pub mod pool;
mod run;
pub mod saga;
pub mod scoreboard;
pub mod shop;
pub mod store;
pub mod sys;
pub mod torture;
pub mod worker;

pub use worker::{App, Worker};
