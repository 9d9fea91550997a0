//! `/metrics` of a whole cluster: real masters, workers, signals and scrapes.

mod counts;
mod listener;
mod load;
mod storms;
