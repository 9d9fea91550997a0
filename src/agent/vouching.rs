//! The beats of a worker that runs a program: they vouch for the program, and not for the agent alone. At
//! every point of the grid the program is looked at and judged; while its event loop beats by itself, a beat
//! is stamped whenever it does. An agent that hangs itself stamps nothing, either.

use std::time::Duration;

use super::evidence::{self, CpuSeen, Evidence, SocketsSeen};
use super::facts::ProgramFacts;
use super::liveness::{HealthLook, HealthTimes, Judgement, ProgramHealth, QueueSeen};
use super::probing::Probing;
use super::pulse::Pulse;
use crate::base::time::{Grid, Monotonic, span};
use crate::config::Settings;
use crate::scoreboard::Cell;
use crate::sys::clock;
use crate::worker::{RegularWork, Worker};

impl HealthTimes {
    /// Those of these settings.
    #[must_use]
    pub fn of(settings: &Settings) -> HealthTimes {
        HealthTimes {
            heartbeat_interval: settings.cluster.heartbeat_interval,
            late_after: settings.late_after(),
            heartbeat_timeout: settings.cluster.heartbeat_timeout,
            stuck_timeout: settings.run.stuck_timeout,
        }
    }
}

/// Beats for the program from its readiness on, and does the regular work of the worker. Returns when the
/// program is to be given up, with the reason; else it runs until it is dropped.
pub async fn beat_for(program: ProgramFacts, pulse: Pulse, worker: Worker, cell: Cell) -> String {
    let times = HealthTimes::of(worker.settings());
    let probing = worker.settings().run.probe.clone().map(|path| {
        Probing::start(
            program.clone(),
            path,
            times.heartbeat_interval,
            times.heartbeat_timeout,
        )
    });
    let mut vouching = Vouching {
        watch: ProgramWatch::new(program, times),
        probing,
        health: ProgramHealth::new(times),
        troubled: None,
        pulse,
        worker,
        cell,
    };
    vouching.run(Grid::new(times.heartbeat_interval)).await
}

struct Vouching {
    watch: ProgramWatch,
    probing: Option<Probing>,
    health: ProgramHealth,
    /// Since when the program is not well, and of what kind that is.
    troubled: Option<(Monotonic, std::mem::Discriminant<Judgement>)>,
    pulse: Pulse,
    worker: Worker,
    cell: Cell,
}

impl Vouching {
    async fn run(&mut self, grid: Grid) -> String {
        let mut work = RegularWork::default();
        let mut due = clock::now();
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep(due.since(clock::now())) => {}
                () = self.pulse.turned() => {
                    // A loop that turns does not vouch for a program that is in trouble all the same.
                    if self.troubled.is_none() {
                        self.cell.stamp();
                    }
                    continue;
                }
            }
            let now = clock::now();
            if let Err(reason) = self.look(now, now.since(due)) {
                return reason;
            }
            work.run(&self.worker, now.since(due));
            due = grid.after(clock::now());
        }
    }

    /// Looks at the program and stamps what follows. The error is the reason why it is given up.
    fn look(&mut self, now: Monotonic, lag: Duration) -> Result<(), String> {
        let probes = self.probing.as_ref().map(Probing::record);
        let pulses = self.pulse.last();
        let seen = HealthLook {
            now,
            pulses,
            probes,
            ..HealthLook::default()
        };
        let look = self.watch.look(seen, lag, self.health.is_busy());
        let judgement = self.health.judge(&look);
        let was_well = self.troubled.is_none();
        self.tell(&judgement, now);
        match judgement {
            // Its own beats are stamped as they come. One that got no CPU could not beat.
            Judgement::Alive if pulses.node.is_some() && look.lost.is_zero() && was_well => Ok(()),
            Judgement::Alive => {
                self.cell.stamp();
                Ok(())
            }
            Judgement::Busy(_) => {
                self.cell.stamp_at(late(now, self.watch.times.late_after));
                Ok(())
            }
            Judgement::Silent(_) => Ok(()),
            Judgement::GivenUp(reason) => Err(reason),
        }
    }

    /// Says when a program is no longer well, and when it is again.
    fn tell(&mut self, judgement: &Judgement, now: Monotonic) {
        let kind = std::mem::discriminant(judgement);
        if let Judgement::Busy(reason) | Judgement::Silent(reason) = judgement {
            self.worker
                .set_status_note(Some(format!("the program: {reason}")));
        }
        if self.troubled.is_some_and(|(_, known)| known == kind) {
            return;
        }
        let since = self.troubled.map_or(now, |(since, _)| since);
        match judgement {
            Judgement::Alive => {
                if self.troubled.take().is_some() {
                    self.worker.set_status_note(None);
                    tracing::info!("the program is well again after {}", span(now.since(since)));
                }
            }
            Judgement::Busy(reason) | Judgement::Silent(reason) => {
                self.troubled = Some((since, kind));
                tracing::warn!("the program gets no new connections: {reason}");
            }
            Judgement::GivenUp(reason) => tracing::warn!("the program is given up: {reason}"),
        }
    }
}

/// A beat of this time is late at every look, so that the worker is in quarantine, and is not hung, however
/// short `heartbeat_timeout` is: it is more than two intervals, and twice what is late beyond that.
fn late(now: Monotonic, late_after: Duration) -> Monotonic {
    let behind = late_after * 19 / 18;
    Monotonic(
        now.0
            .saturating_sub(u64::try_from(behind.as_nanos()).unwrap_or(u64::MAX)),
    )
}

/// Looks at a program, and remembers as much as the next look needs.
struct ProgramWatch {
    program: ProgramFacts,
    times: HealthTimes,
    looked_at: Monotonic,
    cpu: Option<CpuSeen>,
    queue: Option<(u32, SocketsSeen)>,
}

impl ProgramWatch {
    fn new(program: ProgramFacts, times: HealthTimes) -> ProgramWatch {
        ProgramWatch {
            program,
            times,
            looked_at: clock::now(),
            cpu: None,
            queue: None,
        }
    }

    /// Completes a look by what the kernel says. Where all is well that costs three system calls and one more
    /// for each listener.
    fn look(&mut self, seen: HealthLook, lag: Duration, busy: bool) -> HealthLook {
        let waiting = self.program.listeners.waiting();
        let suspicious = busy || waiting.is_some_and(|waiting| waiting > 0) || self.is_overdue(&seen);
        let stopped = evidence::is_stopped(self.program.pid);
        let lost = self.lost(seen.now, lag, suspicious && !stopped);
        let queue = waiting.map_or(QueueSeen::Unknown, |waiting| self.look_at_queue(waiting, busy));
        HealthLook {
            lost,
            stopped,
            queue,
            ..seen
        }
    }

    /// Whether something that is expected of the program has not come.
    fn is_overdue(&self, seen: &HealthLook) -> bool {
        let older =
            |beat: Option<Monotonic>, than: Duration| beat.is_some_and(|beat| seen.now.since(beat) > than);
        older(seen.pulses.node, self.times.heartbeat_interval * 5 / 4)
            || older(seen.pulses.watchdog, self.times.heartbeat_timeout / 2)
            || seen.probes.as_ref().is_some_and(|probes| probes.failed > 0)
    }

    /// The time since the last look in which the program could do nothing: it wanted CPU and got none, or the
    /// agent itself did not run, and what the program said waits to be read. Only a suspicious program is
    /// looked at, so one look is needed before the first that can tell.
    fn lost(&mut self, now: Monotonic, lag: Duration, suspicious: bool) -> Duration {
        let since_look = now.since(std::mem::replace(&mut self.looked_at, now));
        let cpu = suspicious.then(|| CpuSeen::of(self.program.pid));
        let before = std::mem::replace(&mut self.cpu, cpu);
        let starved = match (cpu, before) {
            (Some(cpu), Some(before)) => cpu.starved_since(&before),
            _ => false,
        };
        if starved {
            since_look
        } else if lag > self.times.heartbeat_interval / 2 {
            lag.min(since_look)
        } else {
            Duration::ZERO
        }
    }

    /// Once a program is busy, workers of other slots accept from its listeners, too.
    fn look_at_queue(&mut self, waiting: u32, busy: bool) -> QueueSeen {
        if waiting == 0 && !busy {
            self.queue = None;
            return QueueSeen::Empty;
        }
        let pid = self.program.pid;
        let Some(sockets) = SocketsSeen::of(pid) else {
            self.queue = None;
            return QueueSeen::Unknown;
        };
        let Some((waited, had)) = self.queue.replace((waiting, sockets)) else {
            return QueueSeen::Empty;
        };
        if had != sockets || (!busy && waiting < waited) {
            return QueueSeen::Taken;
        }
        let turns = match evidence::waits_for(pid, &self.program.listeners.inodes()) {
            Evidence::Shown if waiting == 0 => return QueueSeen::Taken,
            Evidence::Shown => true,
            Evidence::NotShown | Evidence::Unknown => evidence::loop_turns(pid) == Evidence::Shown,
        };
        match (turns, waiting) {
            (true, _) => QueueSeen::Full(waiting),
            (false, 0) => QueueSeen::Empty,
            (false, _) => QueueSeen::Waiting(waiting),
        }
    }
}

#[cfg(test)]
#[path = "vouching_tests.rs"]
mod tests;
