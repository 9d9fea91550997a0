//! A running cluster as a test sees it: a real master with real workers in a private directory, its log read
//! line by line, and a method for each gesture. Whatever a test waits for is an event with a generous
//! deadline; nothing sleeps to find out.
#![expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test program uses a part of the gestures"
)]

mod answer;
mod cli;
mod cluster;
mod log;
mod plan;
mod program;
mod requests;
mod scrape;
mod service_manager;
mod shop;
mod waiting;
mod workers;

use std::time::Duration;

pub use answer::{Answer, client};
pub use cli::{Cli, CommandResult, command, run};
pub use cluster::Cluster;
pub use log::Log;
pub use plan::{Plan, under_umask};
pub use program::{put, put_bytes, replaceable};
pub use scrape::{Scrape, admin, watched};
pub use service_manager::{notify_socket, wait_for_status};
pub use shop::{break_pages, order, place};
pub use waiting::wait_until;

/// Longer than anything here takes on a machine that is busy with something else.
pub const TIMEOUT: Duration = Duration::from_secs(60);
