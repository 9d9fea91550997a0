//! The worker's end of the pair, for its runtime. It must not know what a command leads to.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Command, MAX_PACKET, Report, decode, encode};
use crate::sys::readiness::watch;
use crate::sys::seqpacket;

/// The worker's end of its lifeline.
#[derive(Debug)]
pub struct WorkerEnd {
    socket: AsyncFd<OwnedFd>,
}

/// A command, and the descriptors that came along.
#[derive(Debug)]
pub struct ReceivedCommand {
    /// The command.
    pub command: Command,
    /// The descriptors, in the order in which they were sent.
    pub fds: Vec<OwnedFd>,
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

    /// The master's next command; `None` when the master is gone. What is no command is dropped and logged.
    /// Dropping the future loses nothing.
    pub async fn receive(&self) -> Option<ReceivedCommand> {
        let mut packet = vec![0; MAX_PACKET];
        loop {
            let (received, fds) = match self.receive_packet(&mut packet).await {
                Ok(received) => received,
                Err(error) => {
                    tracing::warn!(%error, "the lifeline broke: taken as the end of the master");
                    return None;
                }
            };
            match received {
                seqpacket::PacketRead::Packet(length) => match decode(&packet[..length]) {
                    Ok(command) => return Some(ReceivedCommand { command, fds }),
                    Err(error) => tracing::warn!(%error, "the master sent something unknown"),
                },
                seqpacket::PacketRead::TooLong => {
                    tracing::warn!("the master sent more than {MAX_PACKET} bytes; they are dropped");
                }
                seqpacket::PacketRead::Nothing => {}
                seqpacket::PacketRead::End => return None,
            }
        }
    }

    /// Sends a report to the master.
    ///
    /// # Errors
    /// When the master is gone.
    pub async fn send(&self, report: Report) -> io::Result<()> {
        let packet = encode(&report);
        loop {
            let mut guard = self.socket.writable().await?;
            match guard.try_io(|fd| seqpacket::send(fd.as_fd(), &packet)) {
                Ok(sent) => return sent,
                Err(_would_block) => {}
            }
        }
    }

    async fn receive_packet(&self, packet: &mut [u8]) -> io::Result<(seqpacket::PacketRead, Vec<OwnedFd>)> {
        loop {
            let mut guard = self.socket.readable().await?;
            match seqpacket::receive_with(self.socket.as_fd(), packet)? {
                (seqpacket::PacketRead::Nothing, _) => guard.clear_ready(),
                received => return Ok(received),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{Incarnation, Slot};
    use crate::pool::OrphanedWork;

    fn pair() -> (OwnedFd, WorkerEnd) {
        let (master, worker) = seqpacket::pair().expect("a pair");
        (master, WorkerEnd::new(worker).expect("watched"))
    }

    #[tokio::test]
    async fn commands_arrive_garbage_is_dropped_and_the_end_is_told() {
        let (master, worker) = pair();
        let say = |packet: &[u8]| seqpacket::send(master.as_fd(), packet).expect("sent");
        say(b"garbage");
        say(&[b'x'; MAX_PACKET * 2]);
        say(&encode(&Command::Stop));
        let received = worker.receive().await.expect("a command");
        assert_eq!((received.command, received.fds.len()), (Command::Stop, 0));
        drop(master);
        assert!(worker.receive().await.is_none());
    }

    #[tokio::test]
    async fn descriptors_come_with_their_command() {
        let (master, worker) = pair();
        let adopt = encode(&Command::Adopt(Slot(3)));
        seqpacket::send_with(master.as_fd(), &adopt, &[master.as_fd(), master.as_fd()]).expect("sent");
        seqpacket::send(master.as_fd(), &encode(&Command::Disown(Slot(3)))).expect("sent");
        let received = worker.receive().await.expect("a command");
        assert_eq!(
            (received.command, received.fds.len()),
            (Command::Adopt(Slot(3)), 2)
        );
        let received = worker.receive().await.expect("a command");
        assert_eq!(
            (received.command, received.fds.len()),
            (Command::Disown(Slot(3)), 0)
        );
    }

    #[tokio::test]
    async fn reports_arrive() {
        let (master, worker) = pair();
        let report = Report::TakenOver(OrphanedWork::Before(Incarnation(3)));
        worker.send(report.clone()).await.expect("sent");
        let mut packet = [0; MAX_PACKET];
        match seqpacket::receive(master.as_fd(), &mut packet).expect("received") {
            seqpacket::PacketRead::Packet(length) => {
                assert_eq!(decode::<Report>(&packet[..length]).expect("a report"), report);
            }
            other => panic!("{other:?}"),
        }
    }
}
