//! Resource limits.

use std::io;

use nix::errno::Errno;
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

/// How many descriptors this process has and may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Files {
    /// The soft limit.
    pub limit: u64,
    /// Open now.
    pub open: u64,
}

/// Counts this process's descriptors.
///
/// # Errors
/// When the limit or `/proc/self/fd` cannot be read.
pub fn open_files() -> io::Result<Files> {
    let (limit, _hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // One of them is the directory itself.
    let open = std::fs::read_dir("/proc/self/fd")?.count().saturating_sub(1);
    Ok(Files {
        limit,
        open: open as u64,
    })
}

/// Whether what was missing, whatever was tried, is a descriptor, memory or a process. `EAGAIN` is what `fork` and
/// `pthread_create` say when processes or threads are short; not to be asked of a descriptor that does not block.
#[must_use]
pub fn is_exhaustion(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS | Errno::EAGAIN)
    )
}
