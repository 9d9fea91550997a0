//! Where a program that brings its own `tracing` subscriber writes.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use crate::sys::inherit;

/// The descriptor where the lines of the master's log go.
const LOG_FD: &str = "CLUSTER_LOG_FD";

/// Where the log lines of this process go, for a program that brings its own `tracing` subscriber: the stderr
/// of the master, in a worker, too. (What a worker writes to its own stderr, the master logs as `worker
/// said`. So it is with workers of another user, to whom the master gives no descriptor of its own.)
///
/// Set the subscriber before [`App::run`](super::App::run). The supervisor's lines go to it then, in the
/// master and in each worker, and the keys of `[log]` have no effect. The supervisor's own log never waits
/// for whoever reads it; a subscriber that writes here does.
///
/// ```no_run
/// let output = cluster::worker::log_output().expect("stderr is open");
/// tracing_subscriber::fmt().json().with_writer(output).init();
/// ```
///
/// # Errors
/// When the descriptor is closed.
pub fn log_output() -> io::Result<File> {
    let of_master = std::env::var(LOG_FD).ok();
    let fd = match of_master.and_then(|number| number.parse().ok()) {
        Some(number) => inherit::look(number, |fd| fd.try_clone_to_owned())?,
        None => io::stderr().as_fd().try_clone_to_owned(),
    };
    fd.map(File::from)
}
