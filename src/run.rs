//! The one `main` of an application: the same program is master and worker, and its environment says which.

use std::process::ExitCode;

use crate::worker::{self, App};

impl App {
    /// The whole `main` of an application: in a process that a master started as a worker, lives as one.
    #[must_use]
    pub fn run(self) -> ExitCode {
        worker::run(self)
    }
}
