//! What a worker tells its master on its notify socket, by the protocol of systemd. It must not know when.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

/// The notify socket of this life.
#[derive(Debug)]
pub(crate) struct Notify {
    socket: UnixDatagram,
}

impl Notify {
    /// Connects to `NOTIFY_SOCKET`: a path, or a name in the abstract namespace when it starts with `@`.
    pub(super) fn connect(address: &Path) -> io::Result<Notify> {
        let address = match address.as_os_str().as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        socket.set_nonblocking(true)?;
        Ok(Notify { socket })
    }

    /// `READY=1`, with a status for people.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// A status for people.
    pub(crate) fn status(&self, status: &str) {
        self.send(&format!("STATUS={status}"));
    }

    /// `STOPPING=1`, with a status for people.
    pub(crate) fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// Why the worker does not do its work, for whoever reads later why it ended; `None`: it does again.
    pub(crate) fn trouble(&self, trouble: Option<&str>) {
        let text = trouble.unwrap_or_default().replace(['\n', '\r'], " ");
        self.send(&format!("X_CLUSTER_TROUBLE={text}"));
    }

    /// Sends a datagram. A failure is not reported, because the end of the master is noticed on the lifeline.
    fn send(&self, text: &str) {
        if let Err(error) = self.socket.send(text.as_bytes()) {
            tracing::debug!(%error, text, "the notify socket did not take a message");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reaches_a_path() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        let master = UnixDatagram::bind(&path).expect("bound");
        Notify::connect(&path).expect("connected").ready("serving");
        let mut buffer = [0; 100];
        let length = master.recv(&mut buffer).expect("received");
        assert_eq!(&buffer[..length], b"READY=1\nSTATUS=serving");
    }
}
