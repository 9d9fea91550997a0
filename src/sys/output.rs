//! The standard output and error of this process. It must not know who reads them.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// From now on what this process prints is lost: nobody reads the pipes behind its output any more, and a
/// write to them would fail.
///
/// # Errors
/// When `/dev/null` cannot be opened.
pub fn discard() -> io::Result<()> {
    let null = File::options().write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    Ok(())
}

/// Waits until whoever reads the standard output has closed it, at most this long. Returns whether that is
/// so. A file has no such reader.
#[must_use]
pub fn reader_leaves_within(at_most: Duration) -> bool {
    let (stdout, deadline) = (io::stdout(), Instant::now() + at_most);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        // No event is asked for: errors and hang-ups are always told.
        let mut polled = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
        match poll(&mut polled, timeout) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(_interrupted) if left.is_zero() => return false,
            Err(_interrupted) => {}
        }
    }
}
