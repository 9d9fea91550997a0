//! Processes named by descriptors: opened once, signalled and waited for without the race of a pid that was
//! given out again.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus};

/// Opens a descriptor of the process that has this pid now. It is readable when the process has exited, and
/// always CLOEXEC.
///
/// # Errors
/// `ESRCH` when there is no such process, `EMFILE` and the like.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and returns a new descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = RawFd::try_from(Errno::result(fd)?).map_err(io::Error::other)?;
    // SAFETY: the descriptor was made by the call above and is owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to the process.
///
/// # Errors
/// `ESRCH` when the process has been reaped, `EPERM`.
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

/// Whether the process exits within `at_most`. It need not be a child.
#[must_use]
pub fn exits_within(pidfd: &impl AsFd, at_most: Duration) -> bool {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::MAX);
    nix::poll::poll(&mut fds, timeout).is_ok_and(|ready| ready > 0)
}

/// A child that was reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// How the child ended.
    pub status: WaitStatus,
    /// The most memory that the child ever had in RAM, in bytes.
    pub peak_resident: u64,
    /// The CPU time of the child, user and system.
    pub cpu_time: Duration,
}

/// Reaps the child with this pid if it has exited; `None` while it lives. A child that was not reaped keeps
/// its pid, so a pid is safe here: the caller reaps each child once.
///
/// # Errors
/// `ECHILD` when the process is no child, or was reaped before.
pub fn reap(pid: i32) -> io::Result<Option<Reaped>> {
    let mut status = 0;
    // SAFETY: rusage is plain integers, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to memory of ours that outlives the call.
    let reaped = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) };
    if Errno::result(reaped)? == 0 {
        return Ok(None);
    }
    let status = WaitStatus::from_raw(nix::unistd::Pid::from_raw(pid), status)?;
    let peak_resident = u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024);
    Ok(Some(Reaped {
        status,
        peak_resident,
        cpu_time: duration(usage.ru_utime) + duration(usage.ru_stime),
    }))
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}

/// The pid of an exited child that waits to be reaped. The child is not reaped.
#[must_use]
pub fn any_exited_child() -> Option<i32> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    nix::sys::wait::waitid(Id::All, flags)
        .ok()?
        .pid()
        .map(nix::unistd::Pid::as_raw)
}
