//! Resource limits.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How many descriptors a process may have: before and after the soft limit was raised to the hard one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// What it was.
    pub before: u64,
    /// What it is, for this process and its children.
    pub now: u64,
}

/// Raises `RLIMIT_NOFILE` to its hard limit.
///
/// # Errors
/// When the limits cannot be read.
pub fn raise_open_files() -> io::Result<OpenFiles> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    Ok(OpenFiles {
        before: soft,
        now: if raised { hard } else { soft },
    })
}
