//! One worker process as the master holds it, with the descriptors to observe and command it.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use super::line_splitter::LineSplitter;
use super::violations::Violations;
use super::worker_output::WorkerOutput;
use crate::base::ids::{Generation, Life, Slot};
use crate::base::time::Monotonic;
use crate::lifeline::{self, Command, LentAddress};
use crate::master::control::StateAtKill;
use crate::scoreboard::BoardView;
use crate::sys::notify::NotifySocket;
use crate::sys::procfs::ProcessStat;
use crate::sys::{clock, pidfd, procfs, seqpacket};

/// A worker that was forked and has not been reaped.
#[derive(Debug)]
pub(in crate::master) struct WorkerProcess {
    pub(in crate::master) facts: WorkerFacts,
    pub(in crate::master) pidfd: OwnedFd,
    pub(in crate::master) notify: NotifySocket,
    pub(in crate::master) lifeline: Option<OwnedFd>,
    pub(in crate::master) stderr: Option<File>,
    /// The read end of the pipe for its log lines, when it is another user.
    pub(in crate::master) log: Option<File>,
    pub(in crate::master) board: BoardView,
    /// The memory file of the scoreboard, which the next master binary maps again.
    pub(in crate::master) board_fd: OwnedFd,
    /// The ring of what its program prints, when it runs one.
    pub(in crate::master) output: Option<WorkerOutput>,
    /// The violations of the protocol that it has committed.
    pub(in crate::master) violations: Violations,
    /// The listeners that it has asked for or given back in the messages that were just read.
    pub(in crate::master) listener_requests: Vec<ListenerRequest>,
}

/// What a worker wants done about a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::master) enum ListenerWish {
    /// Its program wants to listen there.
    Lend,
    /// Its program listens there no more.
    TakeBack,
}

/// A worker's question about a listener.
#[derive(Debug)]
pub(in crate::master) struct ListenerRequest {
    pub(in crate::master) wish: ListenerWish,
    /// The worker's number for it.
    pub(in crate::master) number: u64,
    /// The address, as the program names it.
    pub(in crate::master) address: LentAddress,
}

impl ListenerRequest {
    pub(super) fn new(wish: ListenerWish, number: u64, address: LentAddress) -> ListenerRequest {
        ListenerRequest {
            wish,
            number,
            address,
        }
    }
}

/// What the master knows of a worker process: plain data, which an upgrade carries over unchanged. A new
/// field needs a higher `VERSION` in `upgrade::state`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::master) struct WorkerFacts {
    pub(in crate::master) life: Life,
    pub(in crate::master) pid: i32,
    /// The start time from `/proc`, in clock ticks since the machine's boot.
    pub(in crate::master) started: u64,
    /// When the worker was forked.
    pub(in crate::master) forked_at: Monotonic,
    /// The generation that the worker was started from.
    pub(in crate::master) generation: Generation,
    /// The last sample of `/proc`, to be compared with the next one.
    pub(in crate::master) last_stat: Option<(Monotonic, ProcessStat)>,
    /// Whether the worker was told to drain, so that it accepts no new connections.
    pub(in crate::master) draining: bool,
    /// When its resident size was last read.
    pub(in crate::master) rss_read_at: Option<Monotonic>,
    /// Its process state right before the master killed it.
    pub(in crate::master) at_kill: Option<StateAtKill>,
    /// The session that its program leads, once it was seen.
    pub(in crate::master) program_session: Option<i32>,
    /// The number of its pending request for the metrics of the whole cluster.
    pub(in crate::master) metrics_request: Option<u64>,
    /// Its last lines on stderr.
    pub(in crate::master) stderr_tail: StderrTail,
    /// The beginning of the next log line that it sends.
    pub(in crate::master) log_lines: LineSplitter,
}

impl WorkerFacts {
    /// The facts of a worker that was forked just now.
    pub(in crate::master) fn new(life: Life, generation: Generation, pid: i32) -> WorkerFacts {
        WorkerFacts {
            life,
            pid,
            started: procfs::stat(pid).map_or(0, |stat| stat.started),
            forked_at: clock::now(),
            generation,
            last_stat: None,
            draining: false,
            rss_read_at: None,
            at_kill: None,
            program_session: None,
            metrics_request: None,
            stderr_tail: StderrTail::default(),
            log_lines: LineSplitter::default(),
        }
    }
}

impl WorkerProcess {
    /// Sends a signal to this process; a later process with the same pid cannot get it.
    pub(in crate::master) fn signal(&self, signal: nix::sys::signal::Signal) -> io::Result<()> {
        pidfd::signal(self.pidfd.as_fd(), signal)
    }

    /// Sends a command over the lifeline.
    ///
    /// # Errors
    /// When the worker does not read its lifeline, or has closed it.
    pub(in crate::master) fn command(&self, command: &Command) -> io::Result<()> {
        let lifeline = self.lifeline.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        seqpacket::send(lifeline.as_fd(), &lifeline::encode(command))
    }

    /// Sends a command with a descriptor over the lifeline.
    ///
    /// # Errors
    /// As [`WorkerProcess::command`].
    pub(in crate::master) fn command_with(&self, command: &Command, fd: BorrowedFd<'_>) -> io::Result<()> {
        let lifeline = self.lifeline.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        seqpacket::send_with(lifeline.as_fd(), &lifeline::encode(command), &[fd])
    }

    /// Sends the worker the listeners of another slot.
    ///
    /// # Errors
    /// As [`WorkerProcess::command`]; some of the listeners may have been sent then.
    pub(in crate::master) fn hand_over(&self, slot: Slot, listeners: &[BorrowedFd<'_>]) -> io::Result<()> {
        let lifeline = self.lifeline.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        let packet = lifeline::encode(&Command::Adopt(slot));
        listeners
            .chunks(seqpacket::MAX_FDS)
            .try_for_each(|some| seqpacket::send_with(lifeline.as_fd(), &packet, some))
    }
}

/// The stderr of a worker (panics, aborts, foreign libraries), split into lines, of which the last ones are
/// kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::master) struct StderrTail {
    unfinished: Vec<u8>,
    lines: VecDeque<String>,
}

impl StderrTail {
    /// Longest line, in bytes; a longer one is split.
    const MAX_LINE_BYTES: usize = 1024;
    /// Number of lines that are kept.
    const MAX_LINES: usize = 20;

    /// Adds bytes that were read; returns the lines that are complete now.
    pub(in crate::master) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut finished = Vec::new();
        for &byte in bytes {
            if byte == b'\n' || self.unfinished.len() == Self::MAX_LINE_BYTES {
                finished.extend(self.finish());
            }
            if byte != b'\n' {
                self.unfinished.push(byte);
            }
        }
        finished
    }

    /// Completes the last line, which has no line end.
    pub(in crate::master) fn finish(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.unfinished);
        if bytes.is_empty() {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        let line: String = text
            .chars()
            .map(|char| if char.is_control() { ' ' } else { char })
            .collect();
        self.keep(line.clone());
        Some(line)
    }

    fn keep(&mut self, line: String) {
        self.lines.push_back(line);
        if self.lines.len() > Self::MAX_LINES {
            self.lines.pop_front();
        }
    }

    /// The last lines, newest last.
    pub(in crate::master) fn last_lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_cleaned_and_bounded() {
        let mut tail = StderrTail::default();
        assert!(tail.push(b"thread 'main' pan").is_empty());
        assert_eq!(
            tail.push(b"icked\n\nat\x1b[31m\n"),
            ["thread 'main' panicked", "at [31m"]
        );
        assert_eq!(tail.finish(), None);
        let lines = tail.push(&[b'x'; 3000]);
        assert!(lines.len() == 2 && lines.iter().all(|line| line.len() == StderrTail::MAX_LINE_BYTES));
        let numbers: String = (0..100).map(|number| format!("{number}\n")).collect();
        tail.push(numbers.as_bytes());
        let last = tail.last_lines();
        assert_eq!(
            (last.len(), last[0].as_str(), last[19].as_str()),
            (20, "80", "99")
        );
    }
}
