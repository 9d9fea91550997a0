//! Descriptors that came through `exec` by number. It knows neither which numbers nor what they are for.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// The numbers that were taken, so that none is owned twice.
static TAKEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// Takes ownership of an inherited descriptor and sets `FD_CLOEXEC` on it. To be called before this process
/// has opened anything of its own that could have the number.
///
/// # Errors
/// When the number is no open descriptor, is one of the three standard ones, or was taken before.
pub fn take(number: RawFd) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the standard descriptors are not taken",
        ));
    }
    let first = TAKEN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .insert(number);
    if !first {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the descriptor was taken before",
        ));
    }
    mark_close_on_exec(number)?;
    Ok(own(number))
}

/// Lends an inherited descriptor to `with` without taking ownership of it.
///
/// # Errors
/// `EBADF` when the number is no open descriptor.
pub fn look<T>(number: RawFd, with: impl FnOnce(BorrowedFd<'_>) -> T) -> io::Result<T> {
    if number < 0 {
        return Err(nix::errno::Errno::EBADF.into());
    }
    fcntl(borrow(number), FcntlArg::F_GETFD)?;
    Ok(with(borrow(number)))
}

/// As [`look`], for several descriptors at once.
///
/// # Errors
/// `EBADF` when one of the numbers is no open descriptor.
pub fn look_all<T>(numbers: &[RawFd], with: impl FnOnce(&[BorrowedFd<'_>]) -> T) -> io::Result<T> {
    let open = |&number: &RawFd| look(number, |_| ()).map(|()| borrow(number));
    let all: Vec<BorrowedFd<'_>> = numbers.iter().map(open).collect::<io::Result<_>>()?;
    Ok(with(&all))
}

fn mark_close_on_exec(number: RawFd) -> io::Result<()> {
    fcntl(borrow(number), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(())
}

#[expect(
    unsafe_code,
    reason = "a number from the environment becomes a descriptor here and nowhere else"
)]
fn borrow(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the number is positive, and system calls on it fail with EBADF when nothing is open there.
    unsafe { BorrowedFd::borrow_raw(number) }
}

#[expect(
    unsafe_code,
    reason = "a number from the environment becomes a descriptor here and nowhere else"
)]
fn own(number: RawFd) -> OwnedFd {
    // SAFETY: fcntl has just succeeded on the number, so it is open. The environment of this process named
    // it, so no part of this process has opened it, and TAKEN lets it be owned only once.
    unsafe { OwnedFd::from_raw_fd(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_open_or_not_ours_is_refused() {
        assert!(take(1).is_err());
        assert!(take(-1).is_err());
        assert!(take(1_000_000).is_err());
    }
}
