//! Simulated traffic, for tests: a real pool steers through the real program, drawn from as the kernel draws,
//! and sees what workers accepted only when it looks. Time goes on in milliseconds; nothing sleeps.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;

use super::steering::{BpfInstruction, program};
use crate::base::ids::{Generation, Incarnation, Life, Slot};
use crate::base::time::Monotonic;
use crate::pool::Pool;
use crate::pool::fixture::{at, policy, run};
use crate::pool::protocol::effect::Effect;
use crate::pool::protocol::event::{Event, Notification, Sample};
use crate::pool::protocol::facts::Policy;

/// One simulated worker: keep-alive connections, and a queue of short requests.
#[derive(Default)]
struct Worker {
    /// When each connection that is not accepted yet came.
    backlog: VecDeque<u64>,
    kept: u32,
    accepted: u64,
    answered: u64,
    /// When each request in the queue came, and when the first will be done.
    queue: VecDeque<u64>,
    done_at: u64,
}

struct Traffic {
    pool: Pool,
    lives: Vec<Life>,
    workers: Vec<Worker>,
    program: Vec<BpfInstruction>,
    random: Rng,
    ms: u64,
    looks: u64,
    /// Whether the pool's wishes are heard; otherwise all slots are equal for ever.
    steered: bool,
}

impl Traffic {
    fn start(slots: u16, seed: u64, steered: bool) -> Traffic {
        let policy = Policy {
            workers: slots,
            ..policy()
        };
        let pool = Pool::new(policy, Incarnation(1), Generation(1), at(1_000), seed);
        let equal: Vec<_> = (0..slots).map(|slot| (Slot(slot), 1)).collect();
        let mut traffic = Traffic {
            pool,
            lives: Vec::new(),
            workers: (0..slots).map(|_| Worker::default()).collect(),
            program: program(&equal, slots),
            random: Rng::with_seed(seed),
            ms: 1_000,
            looks: 0,
            steered,
        };
        let mut effects = Vec::new();
        traffic.pool.start(at(1_000), &mut effects);
        traffic.lives = traffic.pool.lives().collect();
        let ready = |life: &Life| Event::Notified {
            life: *life,
            notification: Notification::Ready,
        };
        let events: Vec<_> = traffic.lives.iter().map(ready).collect();
        traffic.pool.handle_all(at(1_000), events, &mut effects);
        traffic.obey(effects);
        traffic
    }

    fn obey(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::Steer(weights) = effect
                && self.steered
            {
                self.program = program(&weights, u16::try_from(self.workers.len()).expect("few"));
            }
        }
    }

    /// Which worker the kernel gives the next connection to.
    fn draw(&mut self) -> &mut Worker {
        let slot = run(&self.program, self.random.u32(..));
        &mut self.workers[slot as usize]
    }

    /// A millisecond goes by; who waited in a backlog for `lag` is accepted.
    fn pass(&mut self, lag: u64) {
        self.ms += 1;
        for worker in &mut self.workers {
            while worker.backlog.front().is_some_and(|came| came + lag <= self.ms) {
                worker.backlog.pop_front();
                worker.kept += 1;
                worker.accepted += 1;
            }
        }
        let now = at(self.ms);
        if self.pool.next_deadline(now).is_some_and(|due| due <= now) {
            self.look(now);
        }
    }

    fn look(&mut self, now: Monotonic) {
        self.looks += 1;
        let sample = |(life, worker): (&Life, &Worker)| Event::Observed {
            life: *life,
            sample: Sample {
                beat: Monotonic(now.0 / 250_000_000 * 250_000_000),
                connections: worker.kept + u32::try_from(worker.queue.len()).expect("few"),
                accepted: worker.accepted,
                requests: worker.answered,
                loop_lag: Duration::from_millis(worker.queue.front().map_or(0, |came| self.ms - came)),
                ..Sample::default()
            },
        };
        let mut events: Vec<_> = self.lives.iter().zip(&self.workers).map(sample).collect();
        events.push(Event::Looked);
        let mut effects = Vec::new();
        self.pool.handle_all(now, events, &mut effects);
        self.obey(effects);
    }

    /// The fullest worker's connections over the mean, once all are accepted.
    fn fullest(&self) -> f64 {
        let held = |worker: &Worker| f64::from(worker.kept) + worker.backlog.len() as f64;
        let most = self.workers.iter().map(held).fold(0.0, f64::max);
        most * self.workers.len() as f64 / self.workers.iter().map(held).sum::<f64>()
    }
}

/// 1,000 keep-alive connections over 3 s on 4 workers.
fn fullest_after_a_thousand(seed: u64, lag: u64, steered: bool) -> f64 {
    let mut traffic = Traffic::start(4, seed, steered);
    for _ in 0..1_000 {
        let came = traffic.ms;
        traffic.draw().backlog.push_back(came);
        (0..3).for_each(|_| traffic.pass(lag));
    }
    traffic.fullest()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn a_thousand_keep_alive_connections_are_spread_evenly_even_when_acceptance_lags() {
    let trials = |lag, steered| {
        let all: Vec<_> = (0..40)
            .map(|seed| fullest_after_a_thousand(seed, lag, steered))
            .collect();
        // The bar is the median of any ten trials.
        all.chunks(10).map(|ten| median(ten.to_vec())).fold(0.0, f64::max)
    };
    let (chance, steered, lagging) = (trials(0, false), trials(0, true), trials(100, true));
    assert!(steered <= 1.03, "{steered} (chance alone: {chance})");
    assert!(lagging <= 1.04, "{lagging} (chance alone: {chance})");
    assert!(chance > 1.04, "{chance}: the test shows nothing");
}

/// The 99th percentile of answering, in ms, and the slow worker's part: three workers answer one request a
/// millisecond, one takes eight, 1,200 requests a second come, each on a connection of its own.
fn with_a_slow_worker(seed: u64, steered: bool) -> (u64, f64) {
    let mut traffic = Traffic::start(4, seed, steered);
    let mut taken = Vec::new();
    for _ in 0..20_000 {
        let arrivals = u64::from(traffic.random.u32(..1_000) < 200) + 1;
        for _ in 0..arrivals {
            let came = traffic.ms;
            let worker = traffic.draw();
            worker.accepted += 1;
            worker.queue.push_back(came);
        }
        traffic.pass(0);
        let now = traffic.ms;
        for (index, worker) in traffic.workers.iter_mut().enumerate() {
            if worker.done_at > now {
                continue;
            }
            if let Some(came) = worker.queue.pop_front() {
                let time = if index == 2 { 8 } else { 1 };
                worker.done_at = now + time;
                worker.answered += 1;
                taken.push(now + time - came);
            }
        }
    }
    let slow = traffic.workers[2].accepted as f64;
    let all: u64 = traffic.workers.iter().map(|worker| worker.accepted).sum();
    taken.sort_unstable();
    (taken[taken.len() * 99 / 100], slow / all as f64)
}

#[test]
fn with_one_slow_worker_the_others_take_over_and_p99_of_all_is_better() {
    for seed in 0..5 {
        let (chance, _) = with_a_slow_worker(seed, false);
        let (steered, part) = with_a_slow_worker(seed, true);
        assert!(steered * 4 < chance, "p99 {steered} ms, by chance {chance} ms");
        assert!((0.01..0.15).contains(&part), "the slow one gets {part}");
    }
}

#[test]
fn loads_are_weighed_ten_times_a_second_while_traffic_flows_and_never_when_idle() {
    let mut traffic = Traffic::start(4, 1, true);
    for _ in 0..100 {
        let came = traffic.ms;
        traffic.draw().backlog.push_back(came);
    }
    (0..2_000).for_each(|_| traffic.pass(0));
    let before = traffic.looks;
    (0..10_000).for_each(|_| traffic.pass(0));
    assert!(traffic.looks - before <= 41, "idle: {}", traffic.looks - before);
    let before = traffic.looks;
    for _ in 0..10_000 {
        traffic.workers[0].answered += 1;
        traffic.pass(0);
    }
    let busy = traffic.looks - before;
    assert!((80..=130).contains(&busy), "busy: {busy}");
}
