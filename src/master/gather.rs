//! Gathering: what is readable on the host's descriptors becomes events for the pool.

use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use tracing::{debug, warn};

use super::control::{OomKill, Postmortem, UnfinishedRequests};
use super::host::Host;
use super::poller::{PollSource, WorkerFd};
use super::process::WorkerProcess;
use super::process::messages;
use super::process::worker_output::last_lines;
use crate::base::ids::Life;
use crate::base::time::Monotonic;
use crate::control::MemoryUse;
use crate::pool::{Event, Pool, ProcessExit, Request, Sample, StopMode, Ticket};
use crate::scoreboard::{LockMark, Vitals};
use crate::sys::pidfd::Reaped;
use crate::sys::{clock, pidfd, process_tree, procfs};

/// A lock that is marked for a shorter time is not looked up in `/proc`, because no worker is killed for it.
const MIN_HOLD: Duration = Duration::from_millis(10);

/// Time between two readings of a worker's resident size, where `max_rss` is set.
const RSS_INTERVAL: Duration = Duration::from_secs(1);

/// Number of children that are reaped in one go: a program may leave thousands behind.
const MAX_REAPED: u32 = 1024;

/// Stop signals within this time count as one: `timeout` sends SIGTERM to its child and then to the whole
/// group, a terminal and a shell may both pass on a Ctrl-C, and a second stop would cut the drain.
const STOP_SIGNAL_WINDOW: Duration = Duration::from_millis(250);

impl Host {
    /// Reads from these sources.
    pub(super) fn gather(&mut self, sources: &[PollSource], pool: &Pool) -> Vec<Event> {
        let mut events = Vec::new();
        for source in sources {
            match *source {
                PollSource::Signals => self.read_signals(&mut events),
                PollSource::Control => self.control.accept_clients(clock::now(), &self.poller),
                PollSource::Orphan(number) => {
                    self.records_outdated = true;
                    let ended = self.orphans.remove(number);
                    self.kill_lost();
                    events.extend(ended.map(|life| Event::OrphanEnded { life }));
                }
                PollSource::Client(id) => {
                    if let Some(request) = self.control.read_request(id, &self.poller) {
                        events.extend(self.handle_request(id, &request, pool));
                    }
                }
                PollSource::Files => self.read_changed_files(clock::now()),
                PollSource::Stub => events.extend(self.reap_stub()),
                PollSource::Rehearsal(part) => self.read_rehearsal(part, &mut events),
                PollSource::Worker(slot, epoch, part) => {
                    if let Some(process) = self.process(slot, epoch) {
                        let life = process.facts.life;
                        messages::read(process, part, &mut events);
                        if part == WorkerFd::Lifeline {
                            self.lend_listeners(life);
                        }
                        if part == WorkerFd::Exit {
                            self.handle_exit(life, &mut events);
                        }
                    }
                }
            }
        }
        self.kill_strays_if_due();
        events
    }

    /// Samples the scoreboard of every worker.
    pub(super) fn sample_workers(&mut self, now: Monotonic) -> Vec<Event> {
        self.persisted.oom.look(now);
        self.find_sessions();
        let generations = &self.generations;
        let sample = |process: &mut WorkerProcess| {
            let rss_wanted = generations
                .get(&process.facts.generation)
                .is_some_and(|generation| generation.settings.cluster.max_rss.is_some());
            let rss = rss_wanted.then(|| resident_bytes_if_due(process, now)).flatten();
            sampled(process, rss, now)
        };
        self.processes.values_mut().map(sample).collect()
    }

    fn read_signals(&mut self, events: &mut Vec<Event>) {
        let signals = self.signals.take();
        self.handle_signals(signals, events);
    }

    /// Turns signals into requests to the pool.
    pub(super) fn handle_signals(&mut self, signals: Vec<Signal>, events: &mut Vec<Event>) {
        for signal in signals {
            match signal {
                Signal::SIGTERM | Signal::SIGINT => {
                    let now = clock::now();
                    if self
                        .last_stop_signal
                        .is_none_or(|before| now.since(before) >= STOP_SIGNAL_WINDOW)
                    {
                        self.last_stop_signal = Some(now);
                        events.push(signal_request(Request::Stop(StopMode::Graceful)));
                    }
                }
                Signal::SIGQUIT => events.push(signal_request(Request::Stop(StopMode::AtOnce))),
                Signal::SIGHUP => events.push(signal_request(Request::Reload)),
                Signal::SIGUSR1 => self.reopen_output_files(),
                Signal::SIGUSR2 => events.push(signal_request(Request::Upgrade)),
                Signal::SIGTTIN => events.push(signal_request(Request::ScaleBy(1))),
                Signal::SIGTTOU => events.push(signal_request(Request::ScaleBy(-1))),
                Signal::SIGCHLD => self.reap_all(events),
                other => debug!("ignored signal {other}"),
            }
        }
    }

    /// Reaps the exited children. The master may be PID 1, or inherit what programs have left behind, and
    /// have children that are not its workers. Beyond [`MAX_REAPED`] it goes on when others have had their
    /// turn.
    fn reap_all(&mut self, events: &mut Vec<Event>) {
        for _ in 0..MAX_REAPED {
            let Some(pid) = pidfd::any_exited_child() else {
                return;
            };
            match self
                .processes
                .values()
                .find(|process| process.facts.pid == pid)
                .map(|process| process.facts.life)
            {
                Some(life) => self.handle_exit(life, events),
                None if self.is_stub(pid) => events.extend(self.reap_stub()),
                None if self.upgrade.is_child(pid) => events.extend(self.end_rehearsal()),
                None => {
                    reap_unknown(pid);
                    self.strays.process_ended();
                }
            }
        }
        if let Err(error) = nix::sys::signal::raise(Signal::SIGCHLD) {
            warn!("exited children wait to be reaped until the next one exits: {error}");
        }
    }

    /// Reads the last messages of a worker that has exited, reaps it, keeps the evidence, and reports its
    /// death.
    fn handle_exit(&mut self, life: Life, events: &mut Vec<Event>) {
        let Some(process) = self.processes.get_mut(&life) else {
            return;
        };
        let Some((exit, reaped)) = reap(process) else {
            return;
        };
        for part in [
            WorkerFd::Notify,
            WorkerFd::Lifeline,
            WorkerFd::Stderr,
            WorkerFd::Log,
        ] {
            messages::read(process, part, events);
        }
        if let Some(line) = process.facts.stderr_tail.finish() {
            warn!(%life, "worker said: {line}");
        }
        self.listeners.take_back(life);
        self.strays.worker_ended(life, process.facts.program_session);
        if let Some(mut process) = self.processes.remove(&life) {
            // The scoreboard outlives the worker: it shows the requests that the worker was handling.
            events.push(sampled(&mut process, None, clock::now()));
            self.close_counters(&process, reaped.map(|reaped| reaped.cpu_time));
            let peak_resident = reaped.map(|reaped| reaped.peak_resident);
            let oom = self.keep_evidence(process, exit, peak_resident);
            events.push(Event::Died { life, exit, oom });
        }
        if let ProcessExit::Code(code) = exit {
            self.persisted.last_code = Some(code);
        }
        self.records_outdated = true;
    }

    /// Keeps what `why` will show. Returns whether the kernel's OOM killer killed the worker.
    fn keep_evidence(
        &mut self,
        process: WorkerProcess,
        exit: ProcessExit,
        peak_resident: Option<u64>,
    ) -> bool {
        let by_master = process.facts.at_kill.is_some();
        let killed = exit == ProcessExit::Signal(Signal::SIGKILL as i32) && !by_master;
        let oom = killed
            .then(|| self.persisted.oom.explains(clock::now()))
            .flatten();
        let memory = MemoryUse {
            peak_rss_bytes: peak_resident,
            limit_bytes: self.persisted.oom.limit(),
            oom_kill: oom.is_some(),
            oom_kill_maybe_elsewhere: oom == Some(OomKill::OnMachine),
        };
        let evidence = Postmortem {
            stderr: last_lines(process.output.as_ref(), process.facts.stderr_tail.last_lines()),
            memory,
            requests: UnfinishedRequests::left_on(&process.board),
            at_kill: process.facts.at_kill,
        };
        self.persisted.postmortems.keep(process.facts.life, evidence);
        if let Some(output) = process.output {
            self.ended_outputs.keep(process.facts.life, output.view);
        }
        oom.is_some()
    }
}

fn sampled(process: &mut WorkerProcess, rss: Option<u64>, now: Monotonic) -> Event {
    let vitals = process.board.vitals(now);
    process.violations.check(process.facts.life, &vitals);
    Event::Observed {
        life: process.facts.life,
        sample: Sample {
            rss,
            lock_held_since: held_since(process.facts.pid, &vitals.locks, now),
            ..sample(&vitals, process.facts.forked_at)
        },
    }
}

/// Reaps a worker: how it ended and what it used; `None` while it runs.
fn reap(process: &WorkerProcess) -> Option<(ProcessExit, Option<Reaped>)> {
    let life = process.facts.life;
    match pidfd::reap(process.facts.pid) {
        Ok(None) => None,
        Ok(Some(reaped)) => match reaped.status {
            WaitStatus::Exited(_, code) => Some((ProcessExit::Code(code), Some(reaped))),
            WaitStatus::Signaled(_, signal, _) => Some((ProcessExit::Signal(signal as i32), Some(reaped))),
            status => {
                debug!(%life, "a worker {} without ending", change_of_state(status));
                None
            }
        },
        Err(error) => {
            warn!(%life, "failed to reap a worker: {error}");
            Some((ProcessExit::Code(-1), None))
        }
    }
}

/// A request by signal: no client waits for its verdict.
fn signal_request(request: Request) -> Event {
    Event::Asked {
        ticket: Ticket::NOBODY,
        request,
    }
}

/// Since when the worker holds a store lock. A mark only shows that the worker waits for the lock or holds
/// it. After [`MIN_HOLD`] the kernel is asked which of the two; where it gives no answer, the worker counts
/// as the holder.
fn held_since(pid: i32, marked: &[LockMark], now: Monotonic) -> Option<Monotonic> {
    let only_waits = |lock: &LockMark| {
        now.since(lock.since) >= MIN_HOLD && lock.fd.and_then(|fd| procfs::has_lock(pid, fd)) == Some(false)
    };
    let held = marked.iter().filter(|lock| !only_waits(lock));
    held.map(|lock| lock.since).min()
}

/// The pool's sample of a scoreboard. Before its first beat, the fork counts as the worker's last beat.
fn sample(vitals: &Vitals, forked_at: Monotonic) -> Sample {
    let counts = &vitals.counts;
    Sample {
        beat: vitals.beat.unwrap_or(forked_at),
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

/// The resident size in bytes, once every [`RSS_INTERVAL`].
fn resident_bytes_if_due(process: &mut WorkerProcess, now: Monotonic) -> Option<u64> {
    if process
        .facts
        .rss_read_at
        .is_some_and(|before| now.since(before) < RSS_INTERVAL)
    {
        return None;
    }
    process.facts.rss_read_at = Some(now);
    process_tree::resident_bytes(process.facts.pid)
}

/// What happened to a process, to follow its name.
fn change_of_state(status: WaitStatus) -> String {
    match status {
        WaitStatus::Exited(_, code) => format!("exited with code {code}"),
        WaitStatus::Signaled(_, signal, _) => format!("was ended by {signal}"),
        WaitStatus::Stopped(_, signal) => format!("was stopped by {signal}"),
        WaitStatus::Continued(_) => "went on".to_owned(),
        _traced_or_unchanged => "changed its state".to_owned(),
    }
}

fn reap_unknown(pid: i32) {
    let status = nix::sys::wait::waitpid(
        nix::unistd::Pid::from_raw(pid),
        Some(nix::sys::wait::WaitPidFlag::WNOHANG),
    );
    match status {
        Ok(status) => debug!(pid, "a child that is not a worker {}", change_of_state(status)),
        Err(error) => debug!(pid, %error, "failed to reap a child that is not a worker"),
    }
}
