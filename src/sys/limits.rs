//! The limits of this process on descriptors, and how a lack of resources is recognised.

use std::io;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The limit of open descriptors, before and after the soft limit was raised to the hard one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaisedLimit {
    /// The soft limit before.
    pub before: u64,
    /// The soft limit now, for this process and its children.
    pub now: u64,
}

/// Raises `RLIMIT_NOFILE` to its hard limit.
///
/// # Errors
/// When the limits cannot be read.
pub fn raise_open_files() -> io::Result<RaisedLimit> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    Ok(RaisedLimit {
        before: soft,
        now: if raised { hard } else { soft },
    })
}

/// The number of descriptors that this process has and may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// The soft limit.
    pub limit: u64,
    /// The number of descriptors that are open now.
    pub open: u64,
}

/// Counts the descriptors of this process.
///
/// # Errors
/// When the limit or `/proc/self/fd` cannot be read.
pub fn open_files() -> io::Result<OpenFiles> {
    let (limit, _hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // One of them is the directory itself.
    let open = std::fs::read_dir("/proc/self/fd")?.count().saturating_sub(1);
    Ok(OpenFiles {
        limit,
        open: open as u64,
    })
}

/// Whether an error means that descriptors, memory, processes or threads have run out. `EAGAIN` is what
/// `fork` and `pthread_create` return then, so this must not be asked about an error of a non-blocking
/// descriptor.
#[must_use]
pub fn is_exhaustion(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS | Errno::EAGAIN)
    )
}
