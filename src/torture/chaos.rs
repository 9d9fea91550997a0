//! Injects faults at random times, drawn from the seed, at the requested rates.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde::Serialize;

use super::client_log::ClientLog;
use super::cluster::{TorturedCluster, TorturedWorker};
use super::options::TortureOptions;
use super::server::TorturedServer;
use crate::shop::recovery::clock::now_ms;

/// The longest stop of a worker, in milliseconds.
const MAX_STOP_MS: u64 = 3_000;
/// The longest time for which the disk is full, in milliseconds.
const MAX_FULL_MS: u64 = 2_000;
/// How many bytes may be left at most when the disk becomes full.
const MAX_FREE_BYTES: u64 = 512 << 10;

/// The smallest number of requested faults that is judged: with so many, half of them are almost never missed
/// by chance.
const MIN_JUDGED: u64 = 20;

/// How often each fault was injected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct FaultCounts {
    pub(super) kills: u32,
    pub(super) stops: u32,
    pub(super) reloads: u32,
    pub(super) master_kills: u32,
    pub(super) outages: u32,
    pub(super) full_disks: u32,
    /// Links to the server that were cut at a COMMIT.
    pub(super) cuts: u32,
    /// Restarts of the server.
    pub(super) restarts: u32,
    /// When each life was killed, in milliseconds since 1970.
    #[serde(skip)]
    pub(super) killed: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Kill,
    Stop,
    Reload,
    MasterKill,
    Outage,
    FullDisk,
    Cut,
}

impl FaultCounts {
    /// Names the faults that were injected far less often than requested. Faults of which few were requested
    /// are not judged, because chance alone may halve them.
    pub(super) fn shortfalls(&self, options: &TortureOptions, has_disk: bool) -> Vec<String> {
        let full_disks = if has_disk { options.full_disks } else { 0 };
        let cuts = options.postgres.as_ref().map_or(0, |_| options.cuts);
        [
            ("kills", options.kills, self.kills),
            ("stops", options.stops, self.stops),
            ("reloads", options.reloads, self.reloads),
            ("master kills", options.master_kills, self.master_kills),
            ("outages", options.outages, self.outages),
            ("full disks", full_disks, self.full_disks),
            ("cuts", cuts, self.cuts),
        ]
        .into_iter()
        .filter_map(|(what, per_minute, done)| {
            let asked = u64::from(per_minute) * options.secs / 60;
            let short = asked >= MIN_JUDGED && u64::from(done) * 2 < asked;
            short.then(|| {
                format!("{asked} {what} were asked for and {done} done, expected half of them at least")
            })
        })
        .collect()
    }
}

/// Injects faults until `end`, and then continues every stopped worker.
pub(super) fn inject(
    options: &TortureOptions,
    cluster: &TorturedCluster,
    log: &ClientLog,
    end: Instant,
) -> FaultCounts {
    let mut injector = FaultInjector {
        cluster,
        random: fastrand::Rng::with_seed(options.seed ^ 0xc4a0),
        stopped: BTreeMap::new(),
        full_until: None,
        counts: FaultCounts::default(),
    };
    let rates = [
        (Fault::Kill, options.kills),
        (Fault::Stop, options.stops),
        (Fault::Reload, options.reloads),
        (Fault::MasterKill, options.master_kills),
        (Fault::Outage, options.outages),
        (Fault::FullDisk, cluster.disk().map_or(0, |_| options.full_disks)),
        (Fault::Cut, cluster.server().map_or(0, |_| options.cuts)),
    ];
    let sum: u32 = rates.iter().map(|(_, rate)| rate).sum();
    while let Some(pause) = injector.pause(sum, end) {
        injector.sleep(pause);
        if sum == 0 {
            continue;
        }
        let number = injector.random.u32(..sum);
        if let Err(error) = injector.inject(draw(&rates, number)) {
            log.complain(error);
            break;
        }
    }
    injector.empty_the_disk();
    injector.continue_all();
    injector.counts.cuts = cluster.server().map_or(0, TorturedServer::cuts);
    injector.counts
}

fn draw(rates: &[(Fault, u32)], mut number: u32) -> Fault {
    for &(fault, rate) in rates {
        match number.checked_sub(rate) {
            Some(rest) => number = rest,
            None => return fault,
        }
    }
    Fault::Kill
}

struct FaultInjector<'a> {
    cluster: &'a TorturedCluster,
    random: fastrand::Rng,
    stopped: BTreeMap<Instant, TorturedWorker>,
    /// When the full disk is emptied.
    full_until: Option<Instant>,
    counts: FaultCounts,
}

impl FaultInjector<'_> {
    /// The time until the next fault; `None` at the end.
    fn pause(&mut self, per_minute: u32, end: Instant) -> Option<Duration> {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        if per_minute == 0 {
            return Some(left);
        }
        // Exponential, so that faults also come close together.
        let mean = 60.0 / f64::from(per_minute);
        let pause = Duration::from_secs_f64(-mean * (1.0 - self.random.f64()).ln());
        Some(pause.min(left))
    }

    /// Sleeps, and meanwhile ends the stops and the full disk that are due.
    fn sleep(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        loop {
            let wakes = self.stopped.first_key_value().map(|(due, _)| *due);
            match wakes.into_iter().chain(self.full_until).min() {
                Some(due) if due <= until => {
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    self.end_what_is_due(due);
                }
                Some(_) | None => break,
            }
        }
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }

    fn end_what_is_due(&mut self, due: Instant) {
        if let Some(worker) = self.stopped.remove(&due) {
            worker.signal(Signal::SIGCONT);
        }
        if self.full_until.is_some_and(|until| until <= due) {
            self.empty_the_disk();
        }
    }

    fn empty_the_disk(&mut self) {
        self.full_until = None;
        if let Some(disk) = self.cluster.disk() {
            disk.empty();
        }
    }

    fn inject(&mut self, fault: Fault) -> Result<(), String> {
        match fault {
            Fault::Kill => {
                if let Some(victim) = self.victim() {
                    self.counts.killed.insert(victim.life.clone(), now_ms());
                    victim.signal(Signal::SIGKILL);
                    self.counts.kills += 1;
                }
            }
            Fault::Stop => {
                if let Some(victim) = self.victim() {
                    victim.signal(Signal::SIGSTOP);
                    let ms = self.random.u64(20..MAX_STOP_MS);
                    self.stopped
                        .insert(Instant::now() + Duration::from_millis(ms), victim);
                    self.counts.stops += 1;
                }
            }
            Fault::Reload => {
                self.cluster.reload();
                self.counts.reloads += 1;
            }
            Fault::FullDisk => self.fill_the_disk(),
            Fault::Cut => self.cluster.server().map_or((), TorturedServer::cut),
            // A master that finds no space at its start exits with a message, which is not what is tested
            // here.
            Fault::MasterKill => {
                self.empty_the_disk();
                self.cluster.kill_master(false)?;
                self.counts.master_kills += 1;
            }
            Fault::Outage => {
                self.empty_the_disk();
                self.cluster.kill_master(true)?;
                self.counts.outages += 1;
            }
        }
        Ok(())
    }

    fn fill_the_disk(&mut self) {
        let (room, ms) = (
            self.random.u64(..MAX_FREE_BYTES),
            self.random.u64(200..MAX_FULL_MS),
        );
        if self.cluster.disk().is_some_and(|disk| disk.fill(room)) {
            self.full_until = Some(Instant::now() + Duration::from_millis(ms));
            self.counts.full_disks += 1;
        }
    }

    fn victim(&mut self) -> Option<TorturedWorker> {
        let workers = self.cluster.workers();
        self.random.choice(workers)
    }

    fn continue_all(&mut self) {
        std::mem::take(&mut self.stopped)
            .into_values()
            .for_each(|process| process.signal(Signal::SIGCONT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_fewer_faults_than_requested_are_a_shortfall_and_chance_is_not() {
        let words = "torture --secs 60 --kills 50 --stops 10 --reloads 0 --full-disks 100";
        let options = TortureOptions::parse(words.split(' ').map(Into::into).collect()).unwrap();
        let done = |kills, stops| FaultCounts {
            kills,
            stops,
            ..FaultCounts::default()
        };
        assert_eq!(done(25, 0).shortfalls(&options, false), Vec::<String>::new());
        let words = done(24, 0).shortfalls(&options, false).join("\n");
        assert!(
            words.starts_with("50 kills were asked for and 24 done"),
            "{words}"
        );
        assert_eq!(done(24, 0).shortfalls(&options, true).len(), 2);
    }

    #[test]
    fn every_fault_is_drawn_as_often_as_its_rate() {
        let rates = [(Fault::Kill, 5), (Fault::Stop, 0), (Fault::Outage, 2)];
        let drawn = |wanted| (0..7).filter(|&number| draw(&rates, number) == wanted).count();
        assert_eq!([Fault::Kill, Fault::Stop, Fault::Outage].map(drawn), [5, 0, 2]);
    }
}
