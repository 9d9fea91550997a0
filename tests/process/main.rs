//! Whole clusters from outside: real masters with real workers, signals, commands and files. One program, so
//! that it is linked once and its tests wait side by side.

mod activation;
mod admin_commands;
mod adoption;
mod blocked_signals;
mod boundary;
mod broken_files;
#[path = "../common/mod.rs"]
mod common;
mod control;
mod dead_master;
mod events;
mod fd_store;
mod fencing;
mod file_modes;
mod file_size_limit;
mod full_disk;
mod health;
mod http2;
mod internal;
mod locked_database;
mod log_lines;
mod long_wal;
mod metrics;
mod mistakes;
mod orders;
mod outage;
mod program_group;
mod releases;
mod removed_socket;
mod restore;
mod service_manager;
mod stock;
mod stop_delay;
mod supervisor;
mod terminal;
mod top;
mod units;
mod upgrade;
