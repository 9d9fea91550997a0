//! Sending on a unix stream socket, with a descriptor along. It must not know what the bytes say.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr};

/// Sends as many of the bytes as the other side has room for, and returns their number. A copy of the
/// descriptor travels with the first of them.
///
/// # Errors
/// `WouldBlock` when there is no room, `BrokenPipe` when the other side is gone; also when the system allows
/// no more descriptors on their way (`ETOOMANYREFS`).
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], along: Option<BorrowedFd<'_>>) -> io::Result<usize> {
    let numbers: Vec<i32> = along.iter().map(AsRawFd::as_raw_fd).collect();
    let messages = [ControlMessage::ScmRights(&numbers)];
    let messages = if numbers.is_empty() {
        &messages[..0]
    } else {
        &messages
    };
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let parts = [IoSlice::new(bytes)];
    let sent = nix::sys::socket::sendmsg::<UnixAddr>(socket.as_raw_fd(), &parts, messages, flags, None);
    Ok(sent?)
}
