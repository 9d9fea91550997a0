//! The process at the other end of a connected unix socket, as the kernel vouches. It must not know which
//! processes are welcome.

use std::io;
use std::os::fd::AsFd;

use nix::sys::socket::{getsockopt, sockopt};

/// The process at the other end, as it was when it connected (or began to listen).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its pid as seen from here; 0 when the process lives in a namespace that cannot be seen.
    pub pid: i32,
    /// The number of its effective user.
    pub uid: u32,
}

/// Asks the kernel for the peer of a socket (SO_PEERCRED).
///
/// # Errors
/// When `socket` is no connected unix socket.
pub fn of_peer(socket: &impl AsFd) -> io::Result<Peer> {
    let found = getsockopt(socket, sockopt::PeerCredentials)?;
    Ok(Peer {
        pid: found.pid(),
        uid: found.uid(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_of_a_pair_is_this_process() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let own = Peer {
            pid: nix::unistd::getpid().as_raw(),
            uid: nix::unistd::geteuid().as_raw(),
        };
        assert_eq!(of_peer(&one).expect("known"), own);
    }
}
