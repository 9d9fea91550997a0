//! Descriptors that a tokio runtime watches. It must not know what they carry.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

#[cfg(feature = "shop")]
use super::file_signal::FileSignalWatch;
use super::notify::NotifySocket;

/// A value that owns one descriptor, always the same, for as long as it lives.
pub trait OwnsDescriptor: AsRawFd {}

impl OwnsDescriptor for OwnedFd {}

impl OwnsDescriptor for NotifySocket {}

#[cfg(feature = "shop")]
impl OwnsDescriptor for FileSignalWatch {}

/// Has the current runtime watch a descriptor. To be called inside a runtime.
///
/// # Errors
/// When the runtime's epoll refuses the descriptor.
#[expect(
    unsafe_code,
    reason = "tokio's safe constructor takes anything that claims to have a descriptor and is deprecated"
)]
pub fn watch<T: OwnsDescriptor>(fd: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: what owns a descriptor keeps it open and is always the same one, and the AsyncFd owns it until
    // its end.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}
