//! The new binary as a child that is asked whether it could go on from here: watched like any other child, bounded in time, its
//! words kept. The old master goes on meanwhile. It must not know how the child finds out.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::wait::WaitStatus;
use tracing::{info, warn};

use super::arrival::{REHEARSE, STATE_FD, VERDICT_FD, Verdict, environment};
use super::capture::{Captured, capture};
use crate::base::time::Monotonic;
use crate::master::announce::span;
use crate::master::generation;
use crate::master::perform::Performed;
use crate::master::process::Tail;
use crate::master::watch::{Source, Watch};
use crate::master::world::World;
use crate::pool::{Event, Pool};
use crate::sys::process::{Child, Spawn, kill_group, spawn};
use crate::sys::{clock, pidfd};

/// No verdict is longer, in bytes.
const LONGEST_VERDICT: usize = 1 << 16;

/// How far an upgrade has come.
#[derive(Debug, Default)]
pub(in crate::master) enum Upgrade {
    /// Nobody wants one.
    #[default]
    None,
    /// The binary on disk rehearses.
    Rehearsing(Rehearsal),
    /// It could go on from here: what is to be executed.
    Rehearsed(File),
}

/// Which descriptor of the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::master) enum Part {
    /// Its verdict.
    Verdict,
    /// What it writes to stdout and stderr.
    Words,
    /// Its exit.
    Exit,
}

/// The child.
#[derive(Debug)]
pub(in crate::master) struct Rehearsal {
    binary: File,
    pid: i32,
    pidfd: OwnedFd,
    verdict: Option<File>,
    said: Vec<u8>,
    words: Option<File>,
    tail: Tail,
    patience: Duration,
    until: Monotonic,
    killed: bool,
}

impl Upgrade {
    /// When the child has had time enough.
    pub(in crate::master) fn deadline(&self) -> Option<Monotonic> {
        match self {
            Upgrade::Rehearsing(rehearsal) if !rehearsal.killed => Some(rehearsal.until),
            Upgrade::None | Upgrade::Rehearsing(_) | Upgrade::Rehearsed(_) => None,
        }
    }

    /// Whether that child is the one that rehearses.
    pub(in crate::master) fn is_child(&self, pid: i32) -> bool {
        matches!(self, Upgrade::Rehearsing(rehearsal) if rehearsal.pid == pid)
    }
}

impl World {
    /// Lets the binary on disk rehearse. Whether it could is said later, unless it cannot even begin.
    pub(in crate::master) fn rehearse(&mut self, pool: &Pool) -> Performed {
        match begin(pool, self) {
            Ok(rehearsal) => {
                self.upgrade = Upgrade::Rehearsing(rehearsal);
                Performed::Done
            }
            Err(error) => {
                self.upgrade = Upgrade::None;
                Performed::Happened(Event::Rehearsed(Err(error.to_string())))
            }
        }
    }

    /// The child said something, or is gone.
    pub(in crate::master) fn hear_rehearsal(&mut self, part: Part, events: &mut Vec<Event>) {
        let Upgrade::Rehearsing(rehearsal) = &mut self.upgrade else {
            return;
        };
        match part {
            Part::Verdict => rehearsal.hear_verdict(),
            Part::Words => rehearsal.hear_words(),
            Part::Exit => events.extend(self.end_rehearsal()),
        }
    }

    /// Reaps the child, if it is gone, and judges by what it said.
    pub(in crate::master) fn end_rehearsal(&mut self) -> Option<Event> {
        let Upgrade::Rehearsing(rehearsal) = &self.upgrade else {
            return None;
        };
        if !pidfd::exits_within(&rehearsal.pidfd, Duration::ZERO) {
            return None;
        }
        // Whom it has forked would keep our listeners and locks.
        rehearsal.kill_all();
        let status = match pidfd::reap(rehearsal.pid) {
            Ok(None) => return None,
            Ok(Some(reaped)) => Ok(reaped.status),
            Err(error) => Err(error),
        };
        let Upgrade::Rehearsing(rehearsal) = std::mem::take(&mut self.upgrade) else {
            return None;
        };
        Some(Event::Rehearsed(rehearsal.judge(status).map(|binary| {
            self.upgrade = Upgrade::Rehearsed(binary);
        })))
    }

    /// Kills a child that has had time enough.
    pub(in crate::master) fn expire_rehearsal(&mut self, now: Monotonic) {
        if let Upgrade::Rehearsing(rehearsal) = &mut self.upgrade
            && rehearsal.until <= now
            && !std::mem::replace(&mut rehearsal.killed, true)
        {
            warn!(
                pid = rehearsal.pid,
                "upgrade: killing the new binary, which does not answer"
            );
            rehearsal.kill_all();
        }
    }
}

/// Starts the child with the state and everything that goes along with it.
fn begin(pool: &Pool, world: &World) -> io::Result<Rehearsal> {
    let binary = generation::open_binary(&world.nursery.program.path)?;
    let captured = capture(pool, world, &[])?;
    let (verdict, its_verdict) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let (words, its_words) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let child = start(world, &binary, &captured, &its_verdict, &its_words)?;
    info!(
        pid = child.pid,
        bytes = captured.bytes,
        descriptors = captured.luggage.len(),
        "upgrade: {} rehearses",
        world.nursery.program.path.display()
    );
    let patience = world
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
        said: Vec::new(),
        words: Some(words.into()),
        tail: Tail::default(),
        patience,
        until: clock::now() + patience,
        killed: false,
    };
    rehearsal.watched(&world.watch)?;
    Ok(rehearsal)
}

fn start(
    world: &World,
    binary: &File,
    captured: &Captured,
    verdict: &OwnedFd,
    words: &OwnedFd,
) -> io::Result<Child> {
    let mut args = world.nursery.program.arguments.clone();
    args.insert(1.min(args.len()), REHEARSE.to_owned());
    let env = environment(&[
        (STATE_FD, captured.state.as_raw_fd()),
        (VERDICT_FD, verdict.as_raw_fd()),
    ])?;
    let own = [captured.state.as_fd(), verdict.as_fd()];
    captured.luggage.with_all(|luggage| {
        let keep: Vec<BorrowedFd<'_>> = luggage.iter().copied().chain(own).collect();
        spawn(&Spawn {
            binary: binary.as_fd(),
            args: &args,
            env: &env,
            stdio: [world.nursery.null.as_fd(), words.as_fd(), words.as_fd()],
            fds: &[],
            keep: &keep,
            bound: true,
            credentials: None,
        })
        .map_err(|error| explained(&error))
    })?
}

/// What exec says of a file that is no program is hard to recognise.
fn explained(error: &io::Error) -> io::Error {
    let hint = match nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
        nix::errno::Errno::ENOEXEC => " (it is no program for this machine)",
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
    fn watched(&self, watch: &Watch) -> io::Result<()> {
        for (file, part) in [(&self.verdict, Part::Verdict), (&self.words, Part::Words)] {
            if let Some(file) = file {
                nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
                watch.add(file, Source::Rehearsal(part))?;
            }
        }
        watch.add(&self.pidfd, Source::Rehearsal(Part::Exit))
    }

    /// It is not reaped.
    fn kill_all(&self) {
        if let Err(error) = kill_group(self.pid) {
            warn!("failed to kill it: {error}");
        }
    }

    fn hear_verdict(&mut self) {
        let (said, longest) = (&mut self.said, LONGEST_VERDICT);
        let over = drain(&mut self.verdict, |bytes| {
            said.extend_from_slice(&bytes[..bytes.len().min(longest.saturating_sub(said.len()))]);
        });
        if over {
            self.verdict = None;
        }
    }

    fn hear_words(&mut self) {
        let tail = &mut self.tail;
        let over = drain(&mut self.words, |bytes| {
            for line in tail.push(bytes) {
                warn!("upgrade: the new binary said: {line}");
            }
        });
        if over {
            self.words = None;
        }
    }

    /// It is gone. It could go on only if it said so and then left well.
    fn judge(mut self, status: io::Result<WaitStatus>) -> Result<File, String> {
        self.hear_verdict();
        self.hear_words();
        if let Some(line) = self.tail.finish() {
            warn!("upgrade: the new binary said: {line}");
        }
        let reason = match (self.killed, status, Verdict::parse(&self.said)) {
            (false, Ok(WaitStatus::Exited(_, 0)), Some(Verdict::Can { version })) => {
                info!(version, "upgrade: the new binary could go on from here");
                return Ok(self.binary);
            }
            (false, Ok(WaitStatus::Exited(..)), Some(Verdict::Cannot { reason })) => reason,
            (true, _, _) => format!(
                "it did not say within {} whether it can take over",
                span(self.patience)
            ),
            (false, Ok(WaitStatus::Signaled(_, signal, _)), _) => {
                format!("it was ended by {signal} when it was asked whether it can take over")
            }
            (false, Ok(WaitStatus::Exited(_, code)), _) => format!(
                "it exited with code {code} without saying whether it can take over; expected a program that \
                 knows upgrades"
            ),
            (false, Ok(status), _) => format!("it ended oddly ({status:?})"),
            (false, Err(error), _) => format!("what became of it cannot be told: {error}"),
        };
        Err(with_last_words(reason, &self.tail.last_lines()))
    }
}

fn with_last_words(reason: String, lines: &[String]) -> String {
    match lines {
        [] => reason,
        lines => format!("{reason}; its last words: {}", lines.join(" | ")),
    }
}

/// Reads what is there. Whether the end was reached.
fn drain(file: &mut Option<File>, mut with: impl FnMut(&[u8])) -> bool {
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
    fn last_words_follow_the_reason() {
        assert_eq!(with_last_words("no".to_owned(), &[]), "no");
        let lines = ["one".to_owned(), "two".to_owned()];
        assert_eq!(
            with_last_words("no".to_owned(), &lines),
            "no; its last words: one | two"
        );
    }

    #[test]
    fn what_is_no_program_is_explained() {
        let error = io::Error::from_raw_os_error(nix::libc::ENOEXEC);
        assert!(
            explained(&error)
                .to_string()
                .contains("no program for this machine")
        );
    }
}
