//! `/metrics` of a whole cluster: real masters, workers, signals and scrapes.

#[path = "../common/mod.rs"]
mod common;
mod counts;
mod listener;
mod load;
mod storms;
