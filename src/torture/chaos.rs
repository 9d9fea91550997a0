//! What goes wrong, when: drawn from the seed, at the rates that were asked for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde::Serialize;

use super::client_log::ClientLog;
use super::cluster::{TorturedCluster, TorturedWorker};
use super::options::TortureOptions;
use crate::shop::recovery::clock::now_ms;

/// No worker is stopped for longer.
const LONGEST_STOP_MS: u64 = 3_000;
/// The disk is full for no longer,
const LONGEST_SHORTAGE_MS: u64 = 2_000;
/// and has at most so much room left when it begins.
const MOST_ROOM: u64 = 512 << 10;

/// Half of so many, drawn at random, are all but never missed by chance.
const ENOUGH_TO_COUNT: u64 = 20;

/// How often what was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct FaultCounts {
    pub(super) kills: u32,
    pub(super) stops: u32,
    pub(super) reloads: u32,
    pub(super) master_kills: u32,
    pub(super) outages: u32,
    pub(super) full_disks: u32,
    /// Which life was killed when, in milliseconds since 1970.
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
}

impl FaultCounts {
    /// Of which sorts far less was done than was asked for, in words. What happens by chance is no shortfall:
    /// of so few that were asked for that half of them may, nothing is said.
    pub(super) fn shortfalls(&self, options: &TortureOptions, has_disk: bool) -> Vec<String> {
        let full_disks = if has_disk { options.full_disks } else { 0 };
        [
            ("kills", options.kills, self.kills),
            ("stops", options.stops, self.stops),
            ("reloads", options.reloads, self.reloads),
            ("master kills", options.master_kills, self.master_kills),
            ("outages", options.outages, self.outages),
            ("full disks", full_disks, self.full_disks),
        ]
        .into_iter()
        .filter_map(|(what, per_minute, done)| {
            let asked = u64::from(per_minute) * options.secs / 60;
            let short = asked >= ENOUGH_TO_COUNT && u64::from(done) * 2 < asked;
            short.then(|| {
                format!("{asked} {what} were asked for and {done} done, expected half of them at least")
            })
        })
        .collect()
    }
}

/// Does its worst until `end`; then nobody is stopped any more.
pub(super) fn inject(
    options: &TortureOptions,
    cluster: &TorturedCluster,
    log: &ClientLog,
    end: Instant,
) -> FaultCounts {
    let mut injector = FaultInjector {
        cluster,
        random: fastrand::Rng::with_seed(options.seed ^ 0xc4a0),
        asleep: BTreeMap::new(),
        short_until: None,
        counts: FaultCounts::default(),
    };
    let rates = [
        (Fault::Kill, options.kills),
        (Fault::Stop, options.stops),
        (Fault::Reload, options.reloads),
        (Fault::MasterKill, options.master_kills),
        (Fault::Outage, options.outages),
        (Fault::FullDisk, cluster.disk().map_or(0, |_| options.full_disks)),
    ];
    let sum: u32 = rates.iter().map(|(_, rate)| rate).sum();
    while let Some(pause) = injector.pause(sum, end) {
        injector.sleep(pause);
        if sum == 0 {
            continue;
        }
        let number = injector.random.u32(..sum);
        if let Err(error) = injector.strike(draw(&rates, number)) {
            log.complain(error);
            break;
        }
    }
    injector.relieve();
    injector.wake_all();
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
    asleep: BTreeMap<Instant, TorturedWorker>,
    /// Until when the disk is full.
    short_until: Option<Instant>,
    counts: FaultCounts,
}

impl FaultInjector<'_> {
    /// Until the next fault; `None` at the end.
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

    /// Ends meanwhile what is due to end.
    fn sleep(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        loop {
            let wakes = self.asleep.first_key_value().map(|(due, _)| *due);
            match wakes.into_iter().chain(self.short_until).min() {
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
        if let Some(sleeper) = self.asleep.remove(&due) {
            sleeper.signal(Signal::SIGCONT);
        }
        if self.short_until.is_some_and(|until| until <= due) {
            self.relieve();
        }
    }

    fn relieve(&mut self) {
        self.short_until = None;
        if let Some(disk) = self.cluster.disk() {
            disk.relieve();
        }
    }

    fn strike(&mut self, fault: Fault) -> Result<(), String> {
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
                    let ms = self.random.u64(20..LONGEST_STOP_MS);
                    self.asleep
                        .insert(Instant::now() + Duration::from_millis(ms), victim);
                    self.counts.stops += 1;
                }
            }
            Fault::Reload => {
                self.cluster.reload();
                self.counts.reloads += 1;
            }
            Fault::FullDisk => self.fill_the_disk(),
            // A master that finds no room to start says so and ends, which is for a person and not for this.
            Fault::MasterKill => {
                self.relieve();
                self.cluster.kill_master(false)?;
                self.counts.master_kills += 1;
            }
            Fault::Outage => {
                self.relieve();
                self.cluster.kill_master(true)?;
                self.counts.outages += 1;
            }
        }
        Ok(())
    }

    fn fill_the_disk(&mut self) {
        let (room, ms) = (
            self.random.u64(..MOST_ROOM),
            self.random.u64(200..LONGEST_SHORTAGE_MS),
        );
        if self.cluster.disk().is_some_and(|disk| disk.fill(room)) {
            self.short_until = Some(Instant::now() + Duration::from_millis(ms));
            self.counts.full_disks += 1;
        }
    }

    fn victim(&mut self) -> Option<TorturedWorker> {
        let workers = self.cluster.workers();
        self.random.choice(workers)
    }

    fn wake_all(&mut self) {
        std::mem::take(&mut self.asleep)
            .into_values()
            .for_each(|process| process.signal(Signal::SIGCONT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_less_than_was_asked_for_is_a_shortfall_and_chance_is_none() {
        let words = "torture --secs 60 --kills 50 --stops 10 --reloads 0 --full-disks 100";
        let options = TortureOptions::parse(words.split(' ').map(Into::into).collect()).unwrap();
        let done = |kills, stops| FaultCounts {
            kills,
            stops,
            ..FaultCounts::default()
        };
        assert_eq!(done(25, 0).shortfalls(&options, false), Vec::<String>::new());
        let told = done(24, 0).shortfalls(&options, false).join("\n");
        assert!(told.starts_with("50 kills were asked for and 24 done"), "{told}");
        assert_eq!(done(24, 0).shortfalls(&options, true).len(), 2);
    }

    #[test]
    fn every_fault_is_drawn_as_often_as_its_rate() {
        let rates = [(Fault::Kill, 5), (Fault::Stop, 0), (Fault::Outage, 2)];
        let drawn = |wanted| (0..7).filter(|&number| draw(&rates, number) == wanted).count();
        assert_eq!([Fault::Kill, Fault::Stop, Fault::Outage].map(drawn), [5, 0, 2]);
    }
}
