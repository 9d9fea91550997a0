//! Descriptors that a tokio runtime watches. It must not know what they carry.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has the current runtime watch a descriptor. To be called inside a runtime.
///
/// # Errors
/// When the runtime's epoll refuses the descriptor.
#[expect(
    unsafe_code,
    reason = "tokio's safe constructor takes anything that claims to have a descriptor and is deprecated"
)]
pub fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is open and is always the same descriptor, and the AsyncFd owns it until its end.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}
