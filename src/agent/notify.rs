//! What a program says by the protocol of systemd's `sd_notify`, on a socket of its own.

use std::io;

use nix::errno::Errno;
use nix::unistd::{Pid, getsid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sys::notify::{Datagram, NotifySocket};
use crate::sys::readiness::watch;

/// The most characters of a status that are shown.
const MAX_STATUS: usize = 200;

/// The socket that `NOTIFY_SOCKET` names for one program.
#[derive(Debug)]
pub(super) struct ProgramNotify {
    socket: AsyncFd<NotifySocket>,
    /// What a datagram said beyond its first part.
    more: Vec<ProgramNotification>,
}

/// What a program has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ProgramNotification {
    /// `READY=1`: it is ready.
    Ready,
    /// `WATCHDOG=1`: it is alive.
    Alive,
    /// `WATCHDOG=trigger`: it wants to be replaced.
    Failed,
    /// `STATUS=…`, without control characters.
    Status(String),
}

impl ProgramNotify {
    /// To be called inside the runtime.
    pub(super) fn bind() -> io::Result<ProgramNotify> {
        Ok(ProgramNotify {
            socket: watch(NotifySocket::bind()?, Interest::READABLE)?,
            more: Vec::new(),
        })
    }

    /// The value for `NOTIFY_SOCKET`.
    pub(super) fn name(&self) -> &str {
        self.socket.get_ref().name()
    }

    /// What a process of the session says next. Dropping the future loses nothing.
    pub(super) async fn next(&mut self, session: i32) -> ProgramNotification {
        loop {
            if let Some(said) = self.more.pop() {
                return said;
            }
            let Ok(mut ready) = self.socket.readable().await else {
                return std::future::pending().await;
            };
            match ready.get_inner().receive() {
                Ok(Datagram::From { pid, text }) if is_of(pid, session) => {
                    self.more = parse(&text);
                    self.more.reverse();
                }
                Ok(Datagram::From { .. } | Datagram::Garbage) => {}
                Ok(Datagram::Nothing) => ready.clear_ready(),
                Err(error) => {
                    tracing::warn!(%error, "the notifications of the program cannot be read");
                    return std::future::pending().await;
                }
            }
        }
    }
}

/// Whether a process belongs to the session. One that has ended already, as `systemd-notify` has, may have.
fn is_of(pid: i32, session: i32) -> bool {
    match getsid(Some(Pid::from_raw(pid))) {
        Ok(found) => found.as_raw() == session,
        Err(errno) => errno == Errno::ESRCH,
    }
}

fn parse(text: &str) -> Vec<ProgramNotification> {
    let said = |line: &str| match line.split_once('=')? {
        ("READY", "1") => Some(ProgramNotification::Ready),
        ("WATCHDOG", "1") => Some(ProgramNotification::Alive),
        ("WATCHDOG", "trigger") => Some(ProgramNotification::Failed),
        ("STATUS", status) => {
            let shown = status
                .chars()
                .map(|char| if char.is_control() { ' ' } else { char });
            Some(ProgramNotification::Status(shown.take(MAX_STATUS).collect()))
        }
        (_, _) => None,
    };
    text.lines().filter_map(said).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::notify;

    fn session() -> i32 {
        getsid(None).expect("a session").as_raw()
    }

    #[tokio::test]
    async fn what_is_said_arrives_in_order_and_the_rest_is_ignored() {
        let mut socket = ProgramNotify::bind().expect("bound");
        let text = "STATUS=up\x1b[2J\nREADY=1\nMAINPID=1\nnonsense\nWATCHDOG=1";
        notify::send(socket.name().as_ref(), text).expect("sent");
        for expected in [
            ProgramNotification::Status("up [2J".to_owned()),
            ProgramNotification::Ready,
            ProgramNotification::Alive,
        ] {
            assert_eq!(socket.next(session()).await, expected);
        }
    }

    #[tokio::test]
    async fn a_process_of_another_session_is_not_heard() {
        let mut socket = ProgramNotify::bind().expect("bound");
        notify::send(socket.name().as_ref(), "READY=1").expect("sent");
        let said = socket.next(session() + 1);
        let heard = tokio::time::timeout(std::time::Duration::from_millis(50), said).await;
        assert!(heard.is_err(), "{heard:?}");
    }
}
