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

/// A copy of `fd` with a number that no call in this process was ever given, as a number is after exec.
#[cfg(test)]
pub(crate) fn copy_as_after_exec(fd: &impl std::os::fd::AsFd) -> RawFd {
    static NEXT: Mutex<RawFd> = Mutex::new(600);
    let mut next = NEXT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let number = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(*next)).expect("a copy");
    // Not one more than before: the kernel skips numbers that are in use, and those it skipped or gave may be
    // closed before the next call.
    *next = number + 1;
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_never_has_a_number_that_an_earlier_one_had() {
        let file = tempfile::tempfile().expect("a file");
        let numbers: Vec<RawFd> = (0..20)
            .map(|_| {
                let number = copy_as_after_exec(&file);
                drop(take(number).expect("taken"));
                number
            })
            .collect();
        assert!(
            numbers.is_sorted_by(|earlier, later| earlier < later),
            "{numbers:?}"
        );
    }

    #[test]
    fn what_is_not_open_or_not_ours_is_refused() {
        assert!(take(1).is_err());
        assert!(take(-1).is_err());
        assert!(take(1_000_000).is_err());
    }
}
