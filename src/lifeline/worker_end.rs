//! The worker's end of the pair, for its runtime. It must not know what a command leads to.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{MsgFlags, recv, send};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Command, MAX_PACKET, Report, decode, encode};
use crate::sys::watch::watch;

/// The worker's end of its lifeline.
#[derive(Debug)]
pub struct WorkerEnd {
    socket: AsyncFd<OwnedFd>,
}

impl WorkerEnd {
    /// Takes over the inherited socket. To be called inside the runtime.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub fn new(socket: OwnedFd) -> io::Result<WorkerEnd> {
        Ok(WorkerEnd {
            socket: watch(socket, Interest::READABLE | Interest::WRITABLE)?,
        })
    }

    /// The master's next command; `None` when the master is gone. What is no command is dropped and logged. Dropping the
    /// future loses nothing.
    pub async fn receive(&self) -> Option<Command> {
        loop {
            let packet = match self.receive_packet().await {
                Ok(packet) if packet.is_empty() => return None,
                Ok(packet) => packet,
                Err(error) => {
                    tracing::warn!(%error, "the lifeline broke: taken as the end of the master");
                    return None;
                }
            };
            match decode(&packet) {
                Ok(command) => return Some(command),
                Err(error) => tracing::warn!(%error, "the master sent something unknown"),
            }
        }
    }

    /// Tells the master.
    ///
    /// # Errors
    /// When the master is gone.
    pub async fn send(&self, report: Report) -> io::Result<()> {
        let packet = encode(&report);
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        loop {
            let mut guard = self.socket.writable().await?;
            match guard.try_io(|fd| Ok(send(fd.as_raw_fd(), &packet, flags)?)) {
                Ok(sent) => return sent.map(drop),
                Err(_would_block) => {}
            }
        }
    }

    async fn receive_packet(&self) -> io::Result<Vec<u8>> {
        let mut packet = vec![0; MAX_PACKET + 1];
        loop {
            let mut guard = self.socket.readable().await?;
            match guard.try_io(|fd| Ok(recv(fd.as_raw_fd(), &mut packet, MsgFlags::MSG_DONTWAIT)?)) {
                Ok(received) => {
                    packet.truncate(received?);
                    return Ok(packet);
                }
                Err(_would_block) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    use super::*;
    use crate::base::ids::Incarnation;
    use crate::pool::Estate;

    fn pair() -> (OwnedFd, WorkerEnd) {
        let (master, worker) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .expect("a pair");
        (master, WorkerEnd::new(worker).expect("watched"))
    }

    #[tokio::test]
    async fn commands_arrive_garbage_is_dropped_and_the_end_is_told() {
        let (master, worker) = pair();
        let say = |packet: &[u8]| send(master.as_raw_fd(), packet, MsgFlags::empty()).expect("sent");
        say(b"garbage");
        say(&[b'x'; MAX_PACKET * 2]);
        say(&encode(&Command::Stop));
        assert_eq!(worker.receive().await, Some(Command::Stop));
        drop(master);
        assert_eq!(worker.receive().await, None);
    }

    #[tokio::test]
    async fn reports_arrive() {
        let (master, worker) = pair();
        let report = Report::Inherited(Estate::Before(Incarnation(3)));
        worker.send(report).await.expect("sent");
        let mut packet = [0; MAX_PACKET];
        let length = recv(master.as_raw_fd(), &mut packet, MsgFlags::empty()).expect("received");
        assert_eq!(decode::<Report>(&packet[..length]).expect("a report"), report);
    }
}
