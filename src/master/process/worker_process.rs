//! One worker process as the master holds it: the descriptors it is watched and spoken to by.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use super::violations::Oddities;
use crate::base::ids::{Generation, Life, Slot};
use crate::base::time::Monotonic;
use crate::lifeline::{self, Command};
use crate::master::control::AtKill;
use crate::scoreboard::BoardView;
use crate::sys::notify::NotifySocket;
use crate::sys::procfs::Stat;
use crate::sys::{pidfd, seqpacket};

/// A worker that was forked and has not been reaped.
#[derive(Debug)]
pub(in crate::master) struct Process {
    pub(in crate::master) life: Life,
    pub(in crate::master) pid: i32,
    /// In clock ticks since boot, as `/proc` has it.
    pub(in crate::master) started: u64,
    /// When it was forked.
    pub(in crate::master) born: Monotonic,
    pub(in crate::master) pidfd: OwnedFd,
    pub(in crate::master) notify: NotifySocket,
    pub(in crate::master) lifeline: Option<OwnedFd>,
    pub(in crate::master) stderr: Option<File>,
    pub(in crate::master) tail: Tail,
    pub(in crate::master) board: BoardView,
    /// The board's file, which the master after this one maps anew.
    pub(in crate::master) board_fd: OwnedFd,
    /// The last look at `/proc`, for the next one to be compared with.
    pub(in crate::master) looked: Option<(Monotonic, Stat)>,
    /// Of what it was started.
    pub(in crate::master) generation: Generation,
    /// Whether it was told to drain, and takes nothing new.
    pub(in crate::master) leaving: bool,
    /// When its size was last looked at.
    pub(in crate::master) weighed: Option<Monotonic>,
    /// What it did when it was killed, if it was.
    pub(in crate::master) at_kill: Option<AtKill>,
    /// It wants the numbers of the whole cluster, and calls this wish by that number.
    pub(in crate::master) figures_wanted: Option<u64>,
    /// What it said that cannot be true.
    pub(in crate::master) oddities: Oddities,
}

impl Process {
    /// Sends a signal to this life and to no other.
    pub(in crate::master) fn signal(&self, signal: nix::sys::signal::Signal) -> io::Result<()> {
        pidfd::signal(self.pidfd.as_fd(), signal)
    }

    /// Sends a command, or says that the worker does not read.
    pub(in crate::master) fn command(&self, command: &Command) -> io::Result<()> {
        let lifeline = self.lifeline.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        seqpacket::send(lifeline.as_fd(), &lifeline::encode(command))
    }

    /// Sends a command with a descriptor, or says that the worker does not read.
    pub(in crate::master) fn command_with(&self, command: &Command, fd: BorrowedFd<'_>) -> io::Result<()> {
        let lifeline = self.lifeline.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        seqpacket::send_with(lifeline.as_fd(), &lifeline::encode(command), &[fd])
    }

    /// Hands it the listeners of another slot.
    pub(in crate::master) fn hand_over(&self, slot: Slot, listeners: &[BorrowedFd<'_>]) -> io::Result<()> {
        let lifeline = self.lifeline.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        let packet = lifeline::encode(&Command::Adopt(slot));
        listeners
            .chunks(seqpacket::MAX_FDS)
            .try_for_each(|some| seqpacket::send_with(lifeline.as_fd(), &packet, some))
    }
}

/// What a worker writes to its stderr (panics, aborts, foreign libraries), put together to lines, of which the last are kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::master) struct Tail {
    unfinished: Vec<u8>,
    kept: VecDeque<String>,
}

impl Tail {
    const LINE_BYTES: usize = 1024;
    const KEPT: usize = 20;

    /// Takes what was read; gives back the lines that were finished by it.
    pub(in crate::master) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut finished = Vec::new();
        for &byte in bytes {
            if byte == b'\n' || self.unfinished.len() == Self::LINE_BYTES {
                finished.extend(self.finish());
            }
            if byte != b'\n' {
                self.unfinished.push(byte);
            }
        }
        finished
    }

    /// Takes what is left without its line end.
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
        self.kept.push_back(line);
        if self.kept.len() > Self::KEPT {
            self.kept.pop_front();
        }
    }

    /// The last lines, the newest last.
    pub(in crate::master) fn last_lines(&self) -> Vec<String> {
        self.kept.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_cleaned_and_bounded() {
        let mut tail = Tail::default();
        assert!(tail.push(b"thread 'main' pan").is_empty());
        assert_eq!(
            tail.push(b"icked\n\nat\x1b[31m\n"),
            ["thread 'main' panicked", "at [31m"]
        );
        assert_eq!(tail.finish(), None);
        let lines = tail.push(&[b'x'; 3000]);
        assert!(lines.len() == 2 && lines.iter().all(|line| line.len() == Tail::LINE_BYTES));
        let numbers: String = (0..100).map(|number| format!("{number}\n")).collect();
        tail.push(numbers.as_bytes());
        let last = tail.last_lines();
        assert_eq!(
            (last.len(), last[0].as_str(), last[19].as_str()),
            (20, "80", "99")
        );
    }
}
