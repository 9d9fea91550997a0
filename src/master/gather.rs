//! What is readable becomes events. Everything a worker says is taken as from a stranger: bounded, checked, dropped when odd.

use std::io::Read;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use tracing::{debug, warn};

use super::control::{Evidence, OomKill, Requests};
use super::oddities::Odd;
use super::process::Process;
use super::watch::{Part, Source};
use super::world::World;
use crate::base::ids::Life;
use crate::base::time::Monotonic;
use crate::control::MemoryUse;
use crate::lifeline::{self, MAX_PACKET, MAX_REASON, Report};
use crate::pool::{Event, Notification, Pool, ProcessExit, Request, Sample, StopMode, Ticket};
use crate::scoreboard::{LockMark, Vitals};
use crate::sys::notify::Datagram;
use crate::sys::pidfd::Reaped;
use crate::sys::seqpacket::PacketRead;
use crate::sys::{clock, pidfd, procfs, seqpacket};

/// How much one worker is listened to before the others have their turn.
const AT_ONCE: usize = 16;

/// A lock that is marked for less is not worth a look at `/proc`: nobody is killed for it.
const HOLD_WORTH_A_LOOK: Duration = Duration::from_millis(10);

/// How often a worker's size is looked at, when it matters.
const WEIGHED_EVERY: Duration = Duration::from_secs(1);

/// Stop signals that follow each other faster are one: `timeout` sends SIGTERM to its child and then to the whole group, a
/// terminal and a shell may both pass a Ctrl-C on, and a second one would cut the drain.
const ONE_STOP: Duration = Duration::from_millis(250);

impl World {
    /// Reads what these sources have to say.
    pub(super) fn gather(&mut self, sources: &[Source], pool: &Pool) -> Vec<Event> {
        let mut events = Vec::new();
        for source in sources {
            match *source {
                Source::Signals => self.take_signals(&mut events),
                Source::Control => self.desk.welcome(clock::now(), &self.watch),
                Source::Orphan(place) => {
                    self.unrecorded = true;
                    events.extend(self.orphans.bury(place).map(|life| Event::OrphanEnded { life }));
                }
                Source::Client(id) => {
                    if let Some(request) = self.desk.hear(id, &self.watch) {
                        events.extend(self.hear_client(id, &request, pool));
                    }
                }
                Source::Rehearsal(part) => self.hear_rehearsal(part, &mut events),
                Source::Worker(slot, epoch, part) => {
                    if let Some(process) = self.process(slot, epoch) {
                        let life = process.life;
                        hear(process, part, &mut events);
                        if part == Part::Exit {
                            self.bury(life, &mut events);
                        }
                    }
                }
            }
        }
        events
    }

    /// Looks at every worker's scoreboard.
    pub(super) fn observe(&mut self, now: Monotonic) -> Vec<Event> {
        self.kept.oom.look(now);
        let generations = &self.generations;
        let look = |process: &mut Process| {
            let weighed = generations
                .get(&process.generation)
                .is_some_and(|generation| generation.settings.cluster.max_rss.is_some());
            let rss = weighed.then(|| weigh(process, now)).flatten();
            observed(process, rss, now)
        };
        self.processes.values_mut().map(look).collect()
    }

    fn take_signals(&mut self, events: &mut Vec<Event>) {
        let signals = self.signals.take();
        self.heed(signals, events);
    }

    /// Signals that have arrived.
    pub(super) fn heed(&mut self, signals: Vec<Signal>, events: &mut Vec<Event>) {
        for signal in signals {
            match signal {
                Signal::SIGTERM | Signal::SIGINT => {
                    let now = clock::now();
                    if self.stop_heard.is_none_or(|before| now.since(before) >= ONE_STOP) {
                        self.stop_heard = Some(now);
                        events.push(asked(Request::Stop(StopMode::Graceful)));
                    }
                }
                Signal::SIGQUIT => events.push(asked(Request::Stop(StopMode::AtOnce))),
                Signal::SIGHUP => events.push(asked(Request::Reload)),
                Signal::SIGUSR2 => events.push(asked(Request::Upgrade)),
                Signal::SIGTTIN => events.push(asked(Request::ScaleBy(1))),
                Signal::SIGTTOU => events.push(asked(Request::ScaleBy(-1))),
                Signal::SIGCHLD => self.reap_all(events),
                other => debug!("{other} has no meaning here"),
            }
        }
    }

    /// Every exited child: ours are buried, strangers' (this may be PID 1) are only reaped.
    fn reap_all(&mut self, events: &mut Vec<Event>) {
        while let Some(pid) = pidfd::any_exited_child() {
            match self
                .processes
                .values()
                .find(|process| process.pid == pid)
                .map(|process| process.life)
            {
                Some(life) => self.bury(life, events),
                None if self.upgrade.is_child(pid) => events.extend(self.end_rehearsal()),
                None => reap_stranger(pid),
            }
        }
    }

    /// Hears the last words, reaps, keeps the evidence, and tells the pool.
    fn bury(&mut self, life: Life, events: &mut Vec<Event>) {
        let Some(process) = self.processes.get_mut(&life) else {
            return;
        };
        let Some((exit, reaped)) = reap(process) else {
            return;
        };
        for part in [Part::Notify, Part::Lifeline, Part::Stderr] {
            hear(process, part, events);
        }
        if let Some(line) = process.tail.finish() {
            warn!(%life, "worker said: {line}");
        }
        if let Some(mut process) = self.processes.remove(&life) {
            // What it was answering when it ended: the board outlives it.
            events.push(observed(&mut process, None, clock::now()));
            self.close_account(&process, reaped.map(|reaped| reaped.cpu_time));
            let peak_resident = reaped.map(|reaped| reaped.peak_resident);
            let oom = self.keep_evidence(process, exit, peak_resident);
            events.push(Event::Died { life, exit, oom });
        }
        if let ProcessExit::Code(code) = exit {
            self.kept.last_code = Some(code);
        }
        self.unrecorded = true;
    }

    /// What `why` will tell. Whether the kernel killed it for want of memory.
    fn keep_evidence(&mut self, process: Process, exit: ProcessExit, peak_resident: Option<u64>) -> bool {
        let by_us = process.at_kill.is_some();
        let killed = exit == ProcessExit::Signal(Signal::SIGKILL as i32) && !by_us;
        let oom = killed.then(|| self.kept.oom.explains(clock::now())).flatten();
        let memory = MemoryUse {
            peak_rss_bytes: peak_resident,
            limit_bytes: self.kept.oom.limit(),
            oom_kill: oom.is_some(),
            oom_kill_maybe_elsewhere: oom == Some(OomKill::OnMachine),
        };
        let evidence = Evidence {
            stderr: process.tail.last_lines(),
            memory,
            requests: Requests::left_on(&process.board),
            at_kill: process.at_kill,
        };
        self.kept.graves.keep(process.life, evidence);
        oom.is_some()
    }
}

fn observed(process: &mut Process, rss: Option<u64>, now: Monotonic) -> Event {
    let vitals = process.board.vitals(now);
    process.oddities.look(process.life, &vitals);
    Event::Observed {
        life: process.life,
        sample: Sample {
            rss,
            lock_held_since: held_since(process.pid, &vitals.locks, now),
            ..sample(&vitals, process.born)
        },
    }
}

/// How a process ended and what it had used; `None` while it lives.
fn reap(process: &Process) -> Option<(ProcessExit, Option<Reaped>)> {
    let life = process.life;
    match pidfd::reap(process.pid) {
        Ok(None) => None,
        Ok(Some(reaped)) => match reaped.status {
            WaitStatus::Exited(_, code) => Some((ProcessExit::Code(code), Some(reaped))),
            WaitStatus::Signaled(_, signal, _) => Some((ProcessExit::Signal(signal as i32), Some(reaped))),
            status => {
                debug!(%life, "neither exited nor killed: {status:?}");
                None
            }
        },
        Err(error) => {
            warn!(%life, "failed to reap a worker: {error}");
            Some((ProcessExit::Code(-1), None))
        }
    }
}

/// A signal asks, and nobody waits for the verdict.
fn asked(request: Request) -> Event {
    Event::Asked {
        ticket: Ticket::NOBODY,
        request,
    }
}

/// Since when it holds a store lock. A mark says only that it waits for one or holds it: once that has lasted, the kernel is asked
/// which. Where it does not say, the mark is taken for a hold.
fn held_since(pid: i32, marked: &[LockMark], now: Monotonic) -> Option<Monotonic> {
    let waits = |lock: &LockMark| {
        now.since(lock.since) >= HOLD_WORTH_A_LOOK
            && lock.fd.and_then(|fd| procfs::has_lock(pid, fd)) == Some(false)
    };
    let held = marked.iter().filter(|lock| !waits(lock));
    held.map(|lock| lock.since).min()
}

/// Before its first beat a worker is judged by the time of its birth.
fn sample(vitals: &Vitals, born: Monotonic) -> Sample {
    let counts = &vitals.counts;
    Sample {
        beat: vitals.beat.unwrap_or(born),
        connections: counts.connections,
        in_flight: counts.in_flight,
        accepted: counts.accepted,
        requests: counts
            .responses
            .iter()
            .fold(0, |sum, class| sum.saturating_add(*class)),
        server_errors: counts.responses[4],
        refused: counts.refused,
        loop_lag: Duration::from_nanos(counts.loop_lag_ns),
        ..Sample::default()
    }
}

/// Resident bytes, once every [`WEIGHED_EVERY`]: nobody grows over a limit much faster than that.
fn weigh(process: &mut Process, now: Monotonic) -> Option<u64> {
    if process
        .weighed
        .is_some_and(|before| now.since(before) < WEIGHED_EVERY)
    {
        return None;
    }
    process.weighed = Some(now);
    procfs::resident_bytes(process.pid)
}

fn reap_stranger(pid: i32) {
    let status = nix::sys::wait::waitpid(
        nix::unistd::Pid::from_raw(pid),
        Some(nix::sys::wait::WaitPidFlag::WNOHANG),
    );
    debug!(pid, "reaped a child that is not ours: {status:?}");
}

fn hear(process: &mut Process, part: Part, events: &mut Vec<Event>) {
    match part {
        Part::Notify => hear_notices(process, events),
        Part::Lifeline => hear_reports(process, events),
        Part::Stderr => hear_stderr(process),
        Part::Exit => {}
    }
}

fn hear_notices(process: &mut Process, events: &mut Vec<Event>) {
    let life = process.life;
    for _ in 0..AT_ONCE {
        match process.notify.receive() {
            Ok(Datagram::From { pid, text }) if pid == process.pid => {
                let news = notifications(&text)
                    .filter(|said| *said != Notification::Ready || process.oddities.hears_ready(life));
                events.extend(news.map(|notification| Event::Notified { life, notification }));
            }
            Ok(Datagram::From { pid, .. }) => process.oddities.tell(life, &Odd::OtherProcess { pid }),
            Ok(Datagram::Garbage) => process.oddities.tell(life, &Odd::Garbled),
            Ok(Datagram::Nothing) => return,
            Err(error) => return warn!(%life, "failed to read notifications: {error}"),
        }
    }
}

/// Lines of `KEY=value` as sd_notify(3) has them; keys without a meaning here are passed over.
fn notifications(text: &str) -> impl Iterator<Item = Notification> + '_ {
    text.lines().filter_map(|line| match line.split_once('=')? {
        ("READY", "1") => Some(Notification::Ready),
        ("STOPPING", "1") => Some(Notification::Stopping),
        ("STATUS", status) => Some(Notification::Status(printable(status, 200))),
        (_, _) => None,
    })
}

fn printable(text: &str, most: usize) -> String {
    text.chars()
        .take(most)
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}

fn hear_reports(process: &mut Process, events: &mut Vec<Event>) {
    let life = process.life;
    let mut buffer = [0; MAX_PACKET];
    for _ in 0..AT_ONCE {
        let Some(lifeline) = &process.lifeline else { return };
        match seqpacket::receive(lifeline.as_fd(), &mut buffer) {
            Ok(PacketRead::Packet(length)) => match lifeline::decode(&buffer[..length]) {
                Ok(Report::TakenOver(work)) => events.push(Event::TakenOver { by: life, work }),
                Ok(Report::Probed(verdict)) => events.push(Event::Probed {
                    life,
                    verdict: verdict.map_err(|reason| printable(&reason, MAX_REASON)),
                }),
                Ok(Report::NotAdopted(slot)) => events.push(Event::NotAdopted { by: life, slot }),
                Ok(Report::MetricsWanted(number)) => process.figures_wanted = Some(number),
                Err(error) => process.oddities.tell(life, &Odd::NoReport(error.to_string())),
            },
            Ok(PacketRead::TooLong) => {
                let why = format!("it has more than {MAX_PACKET} bytes");
                process.oddities.tell(life, &Odd::NoReport(why));
            }
            Ok(PacketRead::Nothing) => return,
            // Closed by the worker: nothing more will come, and a closed descriptor stays readable for ever.
            Ok(PacketRead::End) => process.lifeline = None,
            Err(error) => {
                warn!(%life, "failed to read reports: {error}");
                process.lifeline = None;
            }
        }
    }
}

fn hear_stderr(process: &mut Process) {
    let mut buffer = [0; 4096];
    for _ in 0..AT_ONCE {
        let Some(stderr) = &mut process.stderr else { return };
        match stderr.read(&mut buffer) {
            Ok(length) if length > 0 => {
                for line in process.tail.push(&buffer[..length]) {
                    warn!(life = %process.life, "worker said: {line}");
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => process.stderr = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_read_line_by_line_and_cleaned() {
        let text = "READY=1\nSTATUS=up\x1b[2J\nMAINPID=1\nREADY=2\nnonsense\nSTOPPING=1";
        let found: Vec<_> = notifications(text).collect();
        assert_eq!(
            found,
            [
                Notification::Ready,
                Notification::Status("up [2J".to_owned()),
                Notification::Stopping
            ]
        );
    }
}
