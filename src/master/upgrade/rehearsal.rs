//! The rehearsal of an upgrade: the new binary runs as a child and is asked whether it could take over. The
//! child has a deadline, and its output is kept. The old master serves on meanwhile. It must not know how the
//! child decides.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::wait::WaitStatus;
use tracing::{info, warn};

use super::capture::{Captured, capture};
use super::role::{REHEARSE, RehearsalVerdict, STATE_FD, VERDICT_FD, environment};
use crate::base::time::{Monotonic, span};
use crate::master::host::Host;
use crate::master::perform::Performed;
use crate::master::poller::{PollSource, Poller};
use crate::master::process::StderrTail;
use crate::master::process::generation;
use crate::pool::{Event, Pool};
use crate::sys::process::{Binary, Child, ChildSignals, Spawn, kill_group, spawn};
use crate::sys::{clock, pidfd};

/// Largest size of a verdict, in bytes.
const MAX_VERDICT_BYTES: usize = 1 << 16;

/// The stage of an upgrade.
#[derive(Debug, Default)]
pub(in crate::master) enum RehearsalStage {
    /// No upgrade is under way.
    #[default]
    None,
    /// The binary on disk rehearses.
    Rehearsing(Rehearsal),
    /// The new binary can take over and is to be executed.
    Rehearsed(File),
}

/// A descriptor of the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::master) enum RehearsalFd {
    /// The pipe with its verdict.
    Verdict,
    /// The pipe with its stdout and stderr.
    Output,
    /// The pidfd, which reports its exit.
    Exit,
}

/// The child that rehearses.
#[derive(Debug)]
pub(in crate::master) struct Rehearsal {
    binary: File,
    pid: i32,
    pidfd: OwnedFd,
    verdict: Option<File>,
    verdict_text: Vec<u8>,
    output: Option<File>,
    tail: StderrTail,
    timeout: Duration,
    deadline: Monotonic,
    killed: bool,
}

impl RehearsalStage {
    /// When the child is killed.
    pub(in crate::master) fn deadline(&self) -> Option<Monotonic> {
        match self {
            RehearsalStage::Rehearsing(rehearsal) if !rehearsal.killed => Some(rehearsal.deadline),
            RehearsalStage::None | RehearsalStage::Rehearsing(_) | RehearsalStage::Rehearsed(_) => None,
        }
    }

    /// Whether this child is the one that rehearses.
    pub(in crate::master) fn is_child(&self, pid: i32) -> bool {
        matches!(self, RehearsalStage::Rehearsing(rehearsal) if rehearsal.pid == pid)
    }
}

impl Host {
    /// Starts the rehearsal of the binary on disk. Its result comes later, unless it cannot even start.
    pub(in crate::master) fn rehearse(&mut self, pool: &Pool) -> Performed {
        match begin(pool, self) {
            Ok(rehearsal) => {
                self.upgrade = RehearsalStage::Rehearsing(rehearsal);
                Performed::Done
            }
            Err(error) => {
                self.upgrade = RehearsalStage::None;
                Performed::Happened(Event::Rehearsed(Err(error.to_string())))
            }
        }
    }

    /// Reads from a descriptor of the child.
    pub(in crate::master) fn read_rehearsal(&mut self, part: RehearsalFd, events: &mut Vec<Event>) {
        let RehearsalStage::Rehearsing(rehearsal) = &mut self.upgrade else {
            return;
        };
        match part {
            RehearsalFd::Verdict => rehearsal.read_verdict(),
            RehearsalFd::Output => rehearsal.read_output(),
            RehearsalFd::Exit => events.extend(self.end_rehearsal()),
        }
    }

    /// Reaps the child, if it has exited, and evaluates its verdict.
    pub(in crate::master) fn end_rehearsal(&mut self) -> Option<Event> {
        let RehearsalStage::Rehearsing(rehearsal) = &self.upgrade else {
            return None;
        };
        if !pidfd::exits_within(&rehearsal.pidfd, Duration::ZERO) {
            return None;
        }
        // Processes that the child has forked would keep our listeners and locks.
        rehearsal.kill_all();
        let status = match pidfd::reap(rehearsal.pid) {
            Ok(None) => return None,
            Ok(Some(reaped)) => Ok(reaped.status),
            Err(error) => Err(error),
        };
        let RehearsalStage::Rehearsing(rehearsal) = std::mem::take(&mut self.upgrade) else {
            return None;
        };
        Some(Event::Rehearsed(rehearsal.evaluate(status).map(|binary| {
            self.upgrade = RehearsalStage::Rehearsed(binary);
        })))
    }

    /// Kills the child once its deadline has passed.
    pub(in crate::master) fn expire_rehearsal(&mut self, now: Monotonic) {
        if let RehearsalStage::Rehearsing(rehearsal) = &mut self.upgrade
            && rehearsal.deadline <= now
            && !std::mem::replace(&mut rehearsal.killed, true)
        {
            warn!(
                pid = rehearsal.pid,
                "upgrade: killing the new binary, which gave no verdict in time"
            );
            rehearsal.kill_all();
        }
    }
}

/// Starts the child with the state and the descriptors that would be handed over.
fn begin(pool: &Pool, host: &Host) -> io::Result<Rehearsal> {
    let path = host.spawner.program.location.find()?;
    let binary = generation::open_binary(&path)?;
    let captured = capture(pool, host, &[])?;
    let (verdict, childs_verdict) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let (output, childs_output) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let child = start(host, &binary, &captured, &childs_verdict, &childs_output)?;
    info!(
        pid = child.pid,
        bytes = captured.bytes,
        descriptors = captured.fds.len(),
        "upgrade: {} rehearses",
        path.display()
    );
    let timeout = host
        .generations
        .get(&pool.generation())
        .map_or(Duration::from_secs(10), |generation| {
            generation.settings.cluster.ready_timeout
        });
    let rehearsal = Rehearsal {
        binary,
        pid: child.pid,
        pidfd: child.pidfd,
        verdict: Some(verdict.into()),
        verdict_text: Vec::new(),
        output: Some(output.into()),
        tail: StderrTail::default(),
        timeout,
        deadline: clock::now() + timeout,
        killed: false,
    };
    rehearsal.poll(&host.poller)?;
    Ok(rehearsal)
}

fn start(
    host: &Host,
    binary: &File,
    captured: &Captured,
    verdict: &OwnedFd,
    output: &OwnedFd,
) -> io::Result<Child> {
    let mut args = host.spawner.program.arguments.clone();
    args.insert(1.min(args.len()), REHEARSE.to_owned());
    let env = environment(&[
        (STATE_FD, captured.state.as_raw_fd()),
        (VERDICT_FD, verdict.as_raw_fd()),
    ])?;
    let own = [captured.state.as_fd(), verdict.as_fd()];
    captured.fds.with_all(|fds| {
        let keep: Vec<BorrowedFd<'_>> = fds.iter().copied().chain(own).collect();
        spawn(&Spawn {
            binary: Binary::Open(binary.as_fd()),
            args: &args,
            env: &env,
            listen_pid: false,
            directory: None,
            signals: ChildSignals::Worker,
            stdio: [host.spawner.null.as_fd(), output.as_fd(), output.as_fd()],
            fds: &[],
            keep: &keep,
            bound: true,
            group: None,
            credentials: None,
        })
        .map_err(|error| explained(&error))
    })?
}

/// Adds a hint to the errors of exec that are hard to understand.
fn explained(error: &io::Error) -> io::Error {
    let hint = match nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
        nix::errno::Errno::ENOEXEC => " (it is not a program for this machine)",
        nix::errno::Errno::EACCES => " (it may not be executed)",
        nix::errno::Errno::ETXTBSY => " (it is still being written)",
        _ => "",
    };
    io::Error::new(
        error.kind(),
        format!("the binary cannot be executed: {error}{hint}"),
    )
}

impl Rehearsal {
    fn poll(&self, watch: &Poller) -> io::Result<()> {
        for (file, part) in [
            (&self.verdict, RehearsalFd::Verdict),
            (&self.output, RehearsalFd::Output),
        ] {
            if let Some(file) = file {
                nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
                watch.add(file, PollSource::Rehearsal(part))?;
            }
        }
        watch.add(&self.pidfd, PollSource::Rehearsal(RehearsalFd::Exit))
    }

    /// Kills the child and the processes that it has forked. The child has not been reaped.
    fn kill_all(&self) {
        if let Err(error) = kill_group(self.pid) {
            warn!("failed to kill the new binary: {error}");
        }
    }

    fn read_verdict(&mut self) {
        let (text, max) = (&mut self.verdict_text, MAX_VERDICT_BYTES);
        let over = read_available(&mut self.verdict, |bytes| {
            text.extend_from_slice(&bytes[..bytes.len().min(max.saturating_sub(text.len()))]);
        });
        if over {
            self.verdict = None;
        }
    }

    fn read_output(&mut self) {
        let tail = &mut self.tail;
        let over = read_available(&mut self.output, |bytes| {
            for line in tail.push(bytes) {
                warn!("upgrade: the new binary said: {line}");
            }
        });
        if over {
            self.output = None;
        }
    }

    /// The child has exited. It can take over only if its verdict says so and its exit code is 0.
    fn evaluate(mut self, status: io::Result<WaitStatus>) -> Result<File, String> {
        self.read_verdict();
        self.read_output();
        if let Some(line) = self.tail.finish() {
            warn!("upgrade: the new binary said: {line}");
        }
        let reason = match (self.killed, status, RehearsalVerdict::parse(&self.verdict_text)) {
            (false, Ok(WaitStatus::Exited(_, 0)), Some(RehearsalVerdict::Can { version })) => {
                info!(version, "upgrade: the new binary can take over");
                return Ok(self.binary);
            }
            (false, Ok(WaitStatus::Exited(..)), Some(RehearsalVerdict::Cannot { reason })) => reason,
            (true, _, _) => format!(
                "it did not say within {} whether it can take over",
                span(self.timeout)
            ),
            (false, Ok(WaitStatus::Signaled(_, signal, _)), _) => {
                format!("it was ended by {signal} when it was asked whether it can take over")
            }
            (false, Ok(WaitStatus::Exited(_, code)), _) => format!(
                "it exited with code {code} without saying whether it can take over; expected a program that \
                 knows upgrades"
            ),
            (false, Ok(_), _) => "it ended in an unexpected way".to_owned(),
            (false, Err(error), _) => format!("its exit status cannot be read: {error}"),
        };
        Err(with_last_lines(reason, &self.tail.last_lines()))
    }
}

fn with_last_lines(reason: String, lines: &[String]) -> String {
    match lines {
        [] => reason,
        lines => format!("{reason}; its last lines: {}", lines.join(" | ")),
    }
}

/// Reads what is available; returns whether the end was reached.
fn read_available(file: &mut Option<File>, mut with: impl FnMut(&[u8])) -> bool {
    let Some(file) = file else { return false };
    let mut buffer = [0; 4096];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return true,
            Ok(length) => with(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_follow_the_reason() {
        assert_eq!(with_last_lines("no".to_owned(), &[]), "no");
        let lines = ["one".to_owned(), "two".to_owned()];
        assert_eq!(
            with_last_lines("no".to_owned(), &lines),
            "no; its last lines: one | two"
        );
    }

    #[test]
    fn a_file_that_is_not_a_program_is_explained() {
        let error = io::Error::from_raw_os_error(nix::libc::ENOEXEC);
        assert!(
            explained(&error)
                .to_string()
                .contains("not a program for this machine")
        );
    }
}
