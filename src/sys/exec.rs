//! Becoming another program in the same process, with exactly the descriptors that are to go along. It must
//! not know why.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::process::{FIRST_FD, close_on_exec_from, execveat, pointers, set_close_on_exec};

/// The program that this process is to become.
#[derive(Debug)]
pub struct Exec<'a> {
    /// An open descriptor of the binary.
    pub binary: BorrowedFd<'a>,
    /// The arguments; the first is the name of the program.
    pub args: &'a [CString],
    /// The whole environment, as `KEY=value`.
    pub env: &'a [CString],
    /// Descriptors that stay open under the same numbers, beside the three standard ones.
    pub keep: &'a [BorrowedFd<'a>],
}

/// Becomes the program. If this returns, nothing has changed, and the error says why.
#[must_use]
pub fn become_program(exec: &Exec<'_>) -> io::Error {
    let error = try_to(exec);
    for fd in exec.keep {
        let marked = set_close_on_exec(*fd, true);
        debug_assert!(marked.is_ok(), "an open descriptor can be marked");
    }
    error
}

fn try_to(exec: &Exec<'_>) -> io::Error {
    let (argv, envp) = (pointers(exec.args), pointers(exec.env));
    let marked = close_on_exec_from(usize::try_from(FIRST_FD).unwrap_or(3))
        .and_then(|()| exec.keep.iter().try_for_each(|fd| set_close_on_exec(*fd, false)));
    if let Err(errno) = marked {
        return errno.into();
    }
    // SAFETY: `pointers` ends both lists with a null pointer, and the strings are borrowed until this
    // returns.
    unsafe { execveat(exec.binary.as_raw_fd(), &argv, &envp) }.into()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    use super::*;

    #[test]
    fn what_is_no_program_leaves_everything_as_it_was() {
        let (binary, kept) = (
            tempfile::tempfile().expect("a file"),
            tempfile::tempfile().expect("a file"),
        );
        let error = become_program(&Exec {
            binary: binary.as_fd(),
            args: &[c"x".to_owned()],
            env: &[],
            keep: &[kept.as_fd()],
        });
        assert!(
            matches!(error.raw_os_error(), Some(libc::EACCES | libc::ENOEXEC)),
            "{error}"
        );
        let flags = FdFlag::from_bits_retain(fcntl(&kept, FcntlArg::F_GETFD).expect("open"));
        assert!(flags.contains(FdFlag::FD_CLOEXEC));
    }
}
