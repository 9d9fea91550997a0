//! Random histories: faults, reloads good and bad, scaling, stalls, hand-overs to a new master; then peace,
//! and all must be well. A failure prints its seed; `CLUSTER_SEED=… cargo test --test pool` replays that one,
//! `CLUSTER_HISTORIES=…` runs more.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cluster::base::ids::{Epoch, Incarnation, Life, Slot};
use cluster::pool::{
    Event, NotLoaded, Notification, OrphanedWork, Policy, ProcessExit, Request, Sample, StopMode,
};
use fastrand::Rng;

use crate::simulation::{Program, Simulation, asked, ms, policy};

const PROGRAMS: [Program; 7] = [
    Program::Good,
    Program::Good,
    Program::ExitsAtBoot,
    Program::NeverReady,
    Program::DiesAfterReady(ms(400)),
    Program::CannotSpawn,
    Program::GoesByItself,
];

fn random_policy(random: &mut Rng) -> Policy {
    Policy {
        max_draining: random.u16(0..4),
        stop_delay: ms(random.u64(0..800)),
        drain_timeout: ms(random.u64(100..3_000)),
        ready_timeout: ms(random.u64(100..3_000)),
        bake_time: ms(random.u64(0..2_000)),
        restart_limit: random.u32(1..6),
        heartbeat_timeout: ms(random.u64(600..3_000)),
        max_requests: random.bool().then(|| random.u64(100..2_000)),
        max_rss: random.bool().then_some(1_000_000),
        ..policy(random.u16(1..6))
    }
}

fn random_life(simulation: &Simulation, random: &mut Rng) -> Option<Life> {
    let lives: Vec<Life> = simulation.processes.keys().copied().collect();
    random.choice(lives)
}

/// One fault or request.
fn disturb(simulation: &mut Simulation, random: &mut Rng) {
    match random.u8(0..24) {
        0..3 => with_random_worker(simulation, random, |simulation, life| {
            simulation.crash(life, ProcessExit::Signal(9))
        }),
        3 => with_random_worker(simulation, random, |simulation, life| {
            simulation.crash(life, ProcessExit::Code(1))
        }),
        4 | 5 => with_random_worker(simulation, random, Simulation::hang),
        6 => with_random_worker(simulation, random, Simulation::wake_up),
        7 => with_random_worker(simulation, random, Simulation::hold_lock),
        8 => with_random_worker(simulation, random, |simulation, life| {
            simulation.happen(Event::Notified {
                life,
                notification: Notification::Stopping,
            });
        }),
        9 | 10 => reload(simulation, random),
        11 => simulation.happen(asked(Request::ScaleBy(random.i32(-2..3)))),
        12 => stall(simulation, random),
        13 => simulation.hand_over(),
        14 => lie(simulation, random),
        15 => {
            simulation.silent_takeovers = random.bool();
            simulation.unreachable = random_life(simulation, random)
                .filter(|_| random.bool())
                .into_iter()
                .collect();
        }
        16 | 17 => {
            let request = random_request(random);
            simulation.ask(request);
        }
        18 => {
            simulation.readiness = random
                .choice([Ok(()), Err("no".to_owned()), Err("silence".to_owned())])
                .expect("some");
        }
        19..22 => traffic(simulation, random),
        22 => {
            simulation.batches = random.bool();
            let mut good = || random.u8(0..3) > 0;
            simulation.rehearsal = good().then_some(()).ok_or_else(|| "not this one".to_owned());
            simulation.execution = good()
                .then(|| "2.0".to_owned())
                .ok_or_else(|| "ETXTBSY".to_owned());
        }
        _ => {
            // Two at once: the second may find the first under way.
            let requests = [random_request(random), random_request(random)];
            for request in requests {
                simulation.ask(request);
            }
        }
    }
}

fn random_request(random: &mut Rng) -> Request {
    let slot = Slot(random.u16(0..5));
    match random.u8(0..7) {
        0 => Request::Reload,
        1 => Request::Rollback,
        2 => Request::ScaleTo(random.u16(0..6)),
        3 => Request::ScaleBy(random.i32(-2..3)),
        4 => Request::Restart(slot),
        5 => Request::Upgrade,
        _ => Request::Drain(slot),
    }
}

/// Counters rise, and those of liars fall.
fn traffic(simulation: &mut Simulation, random: &mut Rng) {
    for process in simulation.processes.values_mut() {
        let sample = &mut process.sample;
        let lies = random.u8(0..10) == 0;
        let more = random.u64(0..500);
        sample.requests = if lies {
            random.u64(..)
        } else {
            sample.requests.wrapping_add(more)
        };
        sample.server_errors = if lies {
            random.u64(..)
        } else {
            sample.server_errors.wrapping_add(more / 7)
        };
        sample.refused = if lies {
            random.u64(..)
        } else {
            sample.refused.wrapping_add(more / 50)
        };
        sample.accepted = sample.accepted.wrapping_add(more);
        sample.connections = random.u32(0..200);
        sample.loop_lag = ms(random.u64(0..50));
        sample.rss = random.bool().then(|| random.u64(0..1_100_000));
    }
}

fn with_random_worker(simulation: &mut Simulation, random: &mut Rng, deed: impl Fn(&mut Simulation, Life)) {
    if let Some(life) = random_life(simulation, random) {
        deed(simulation, life);
    }
}

fn reload(simulation: &mut Simulation, random: &mut Rng) {
    let program = random.choice(PROGRAMS).expect("there are some");
    let policy = Policy {
        max_draining: simulation.max_draining(),
        ..random_policy(random)
    };
    simulation.next_load = if random.u8(0..5) == 0 {
        Err(NotLoaded::Configuration("bad".to_owned()))
    } else {
        Ok((program, policy))
    };
    simulation.happen(asked(Request::Reload));
}

fn stall(simulation: &mut Simulation, random: &mut Rng) {
    simulation.now = simulation.now + ms(random.u64(0..20_000));
    simulation.look();
}

/// Events about unknown lives, and events that cannot be.
fn lie(simulation: &mut Simulation, random: &mut Rng) {
    let life = Life::new(Incarnation(6), Slot(random.u16(0..4)), Epoch(1));
    let before = simulation.pool.clone();
    let by = life;
    let lies = [
        Event::Spawned { life, pid: 1 },
        Event::SpawnFailed {
            life,
            reason: String::new(),
        },
        Event::Notified {
            life,
            notification: Notification::Ready,
        },
        Event::Notified {
            life,
            notification: Notification::Stopping,
        },
        Event::Observed {
            life,
            sample: Sample {
                beat: simulation.now,
                lock_held_since: None,
                connections: 1,
                ..Sample::default()
            },
        },
        Event::Died {
            life,
            exit: ProcessExit::Code(0),
            oom: false,
        },
        Event::TakenOver {
            by,
            work: OrphanedWork::Life(life),
        },
        Event::NotAdopted {
            by: life,
            slot: life.slot,
        },
    ];
    // The first one may find that time has passed.
    simulation.happen(Event::Looked);
    let settled = serde_json::to_value((simulation.states(), simulation.pool.takeovers())).expect("plain");
    for lie in lies {
        simulation.happen(lie);
    }
    assert_eq!(
        serde_json::to_value((simulation.states(), simulation.pool.takeovers())).expect("plain"),
        settled
    );
    assert_eq!(before.generation(), simulation.pool.generation());
    with_random_worker(simulation, random, |simulation, life| {
        if simulation.processes[&life].ready {
            simulation.happen(Event::Notified {
                life,
                notification: Notification::Ready,
            });
        }
    });
}

/// Disturbs a simulation for a while.
fn trouble(seed: u64) -> (Simulation, Rng) {
    let mut random = Rng::with_seed(seed);
    let first = if random.u8(0..4) == 0 {
        random.choice(PROGRAMS).expect("some")
    } else {
        Program::Good
    };
    let mut simulation = Simulation::start(random_policy(&mut random), first, seed);
    simulation.drain_time = ms(random.u64(0..4_000));
    for _ in 0..random.u32(5..40) {
        simulation.run(ms(random.u64(0..1_500)));
        if simulation.exit.is_some() {
            break;
        }
        disturb(&mut simulation, &mut random);
    }
    (simulation, random)
}

/// No more faults: what hangs hangs on, but whatever starts is good.
fn converges(seed: u64) {
    let (mut simulation, _) = trouble(seed);
    if simulation.exit.is_some() {
        assert_eq!(simulation.verdicts.len() as u64, simulation.asked);
        return;
    }
    simulation.silent_takeovers = false;
    simulation.unreachable.clear();
    simulation.readiness = Ok(());
    for process in simulation.processes.values_mut() {
        process.sample = Sample::default();
    }
    simulation.next_load = simulation.next_load.map(|(_, policy)| (Program::Good, policy));
    for program in simulation.programs.values_mut() {
        *program = Program::Good;
    }
    simulation.answer_takeovers();
    // Deaths that are on their way already, and workers that have served their time.
    simulation.run(ms(60_000));
    simulation.run_until("rest", |simulation| {
        simulation.is_at_rest() && !simulation.anybody_hangs() || simulation.exit.is_some()
    });
    simulation.run(ms(2_000));
    assert!(
        simulation.is_at_rest() || simulation.exit.is_some(),
        "rest does not last: {:?}",
        simulation.states()
    );
}

/// A stop ends, whenever it comes and whatever hangs.
fn stops(seed: u64) {
    let (mut simulation, mut random) = trouble(seed);
    if simulation.exit.is_some() {
        return;
    }
    simulation.stop(if random.bool() {
        StopMode::Graceful
    } else {
        StopMode::AtOnce
    });
    if random.bool() {
        disturb_stopping(&mut simulation, &mut random);
    }
    simulation.run(ms(20_000));
    assert!(
        simulation.exit.is_some(),
        "still there: {:?}",
        simulation.pool.lives().collect::<Vec<_>>()
    );
    assert_eq!(
        simulation.verdicts.len() as u64,
        simulation.asked,
        "every client was answered"
    );
}

fn disturb_stopping(simulation: &mut Simulation, random: &mut Rng) {
    for _ in 0..3 {
        simulation.run(ms(random.u64(0..50)));
        if simulation.exit.is_none() {
            disturb(simulation, random);
        }
    }
}

fn histories(of: fn(u64)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("CLUSTER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CLUSTER_HISTORIES").unwrap_or(500),
    };
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| of(seed))) {
            eprintln!("history with CLUSTER_SEED={seed} failed");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn after_any_history_peace_brings_every_slot_to_one_generation() {
    histories(converges);
}

#[test]
fn after_any_history_a_stop_ends() {
    histories(stops);
}
