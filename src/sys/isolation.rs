//! What keeps a process apart from the processes of its user, and from the keys of another. It must not know
//! who the user is.

use std::io;

/// From now on no process of this user can read this process's memory or descriptors, or debug it. exec
/// undoes it, so a program does it itself, first of all. There are no core dumps of the process then.
///
/// # Errors
/// None that the system documents.
pub fn deny_debuggers() -> io::Result<()> {
    Ok(nix::sys::prctl::set_dumpable(false)?)
}

/// Gives this process a session keyring of its own: in the one that it has inherited, the keys of the
/// caller's user can be read. A kernel without keyrings, or a container that may not use them, has none to
/// lose.
pub(super) fn leave_keyring() {
    // SAFETY: this operation takes a name or null, and reads nothing when it is null.
    let _ = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::c_ulong::from(libc::KEYCTL_JOIN_SESSION_KEYRING),
            std::ptr::null::<libc::c_char>(),
        )
    };
}
