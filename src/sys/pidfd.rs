//! Processes named by descriptors: opened once, signalled and waited for without the race of a pid that was given out again.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus};

/// A descriptor of the process that has this pid now. Readable when it has exited. CLOEXEC by the kernel's own rule.
///
/// # Errors
/// `ESRCH` when there is none, `EMFILE` and the like.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and returns a new descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = RawFd::try_from(Errno::result(fd)?).map_err(io::Error::other)?;
    // SAFETY: the descriptor was made by the call above and is owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to the process, or to nobody if it is gone.
///
/// # Errors
/// `ESRCH` when it has been reaped, `EPERM`.
pub fn signal(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    // SAFETY: a null siginfo is allowed and means the same as kill(2).
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal as i32,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    Ok(Errno::result(result).map(drop)?)
}

/// Reaps a child that has exited; `None` while it lives.
///
/// # Errors
/// `ECHILD` when it is not ours or was reaped before.
pub fn reap(pidfd: BorrowedFd<'_>) -> io::Result<Option<WaitStatus>> {
    match nix::sys::wait::waitid(
        Id::PIDFd(pidfd.as_fd()),
        WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG,
    )? {
        WaitStatus::StillAlive => Ok(None),
        status => Ok(Some(status)),
    }
}

/// The pid of some exited child that waits to be reaped, without reaping it.
#[must_use]
pub fn any_exited_child() -> Option<i32> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    nix::sys::wait::waitid(Id::All, flags)
        .ok()?
        .pid()
        .map(nix::unistd::Pid::as_raw)
}
