//! Random histories: faults, reloads good and bad, scaling, naps, hand-overs to a new master; then peace, and
//! all must be well. A failure prints its seed; `CLUSTER_SEED=… cargo test --test pool` replays that one,
//! `CLUSTER_HISTORIES=…` runs more.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cluster::base::ids::{Epoch, Incarnation, Life, Slot};
use cluster::pool::{
    Event, NotLoaded, Notification, OrphanedWork, Policy, ProcessExit, Request, Sample, StopMode,
};
use fastrand::Rng;

use crate::world::{Program, World, asked, ms, policy};

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

fn anybody(world: &World, random: &mut Rng) -> Option<Life> {
    let lives: Vec<Life> = world.processes.keys().copied().collect();
    random.choice(lives)
}

/// One fault or wish.
fn disturb(world: &mut World, random: &mut Rng) {
    match random.u8(0..24) {
        0..3 => with_anybody(world, random, |world, life| {
            world.crash(life, ProcessExit::Signal(9))
        }),
        3 => with_anybody(world, random, |world, life| {
            world.crash(life, ProcessExit::Code(1))
        }),
        4 | 5 => with_anybody(world, random, World::hang),
        6 => with_anybody(world, random, World::wake_up),
        7 => with_anybody(world, random, World::hold_lock),
        8 => with_anybody(world, random, |world, life| {
            world.happen(Event::Notified {
                life,
                notification: Notification::Stopping,
            });
        }),
        9 | 10 => reload(world, random),
        11 => world.happen(asked(Request::ScaleBy(random.i32(-2..3)))),
        12 => nap(world, random),
        13 => world.hand_over(),
        14 => lie(world, random),
        15 => {
            world.silent_takeovers = random.bool();
            world.deaf = anybody(world, random)
                .filter(|_| random.bool())
                .into_iter()
                .collect();
        }
        16 | 17 => {
            let request = wish(random);
            world.ask(request);
        }
        18 => {
            world.readiness = random
                .choice([Ok(()), Err("no".to_owned()), Err("silence".to_owned())])
                .expect("some");
        }
        19..22 => traffic(world, random),
        22 => {
            world.batches = random.bool();
            let mut good = || random.u8(0..3) > 0;
            world.rehearsal = good().then_some(()).ok_or_else(|| "not this one".to_owned());
            world.execution = good()
                .then(|| "2.0".to_owned())
                .ok_or_else(|| "ETXTBSY".to_owned());
        }
        _ => {
            // Two at once: the second may find the first under way.
            let requests = [wish(random), wish(random)];
            for request in requests {
                world.ask(request);
            }
        }
    }
}

fn wish(random: &mut Rng) -> Request {
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
fn traffic(world: &mut World, random: &mut Rng) {
    for process in world.processes.values_mut() {
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

fn with_anybody(world: &mut World, random: &mut Rng, deed: impl Fn(&mut World, Life)) {
    if let Some(life) = anybody(world, random) {
        deed(world, life);
    }
}

fn reload(world: &mut World, random: &mut Rng) {
    let program = random.choice(PROGRAMS).expect("there are some");
    let policy = Policy {
        max_draining: world.max_draining(),
        ..random_policy(random)
    };
    world.next_load = if random.u8(0..5) == 0 {
        Err(NotLoaded::Configuration("bad".to_owned()))
    } else {
        Ok((program, policy))
    };
    world.happen(asked(Request::Reload));
}

fn nap(world: &mut World, random: &mut Rng) {
    world.now = world.now + ms(random.u64(0..20_000));
    world.look();
}

/// Events about lives that nobody knows, and news that cannot be.
fn lie(world: &mut World, random: &mut Rng) {
    let life = Life {
        incarnation: Incarnation(6),
        slot: Slot(random.u16(0..4)),
        epoch: Epoch(1),
    };
    let before = world.pool.clone();
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
                beat: world.now,
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
    world.happen(Event::Looked);
    let settled = serde_json::to_value((world.states(), world.pool.takeovers())).expect("plain");
    for lie in lies {
        world.happen(lie);
    }
    assert_eq!(
        serde_json::to_value((world.states(), world.pool.takeovers())).expect("plain"),
        settled
    );
    assert_eq!(before.generation(), world.pool.generation());
    with_anybody(world, random, |world, life| {
        if world.processes[&life].ready {
            world.happen(Event::Notified {
                life,
                notification: Notification::Ready,
            });
        }
    });
}

/// Disturbs a world for a while.
fn trouble(seed: u64) -> (World, Rng) {
    let mut random = Rng::with_seed(seed);
    let first = if random.u8(0..4) == 0 {
        random.choice(PROGRAMS).expect("some")
    } else {
        Program::Good
    };
    let mut world = World::start(random_policy(&mut random), first, seed);
    world.drain_time = ms(random.u64(0..4_000));
    for _ in 0..random.u32(5..40) {
        world.run(ms(random.u64(0..1_500)));
        if world.exit.is_some() {
            break;
        }
        disturb(&mut world, &mut random);
    }
    (world, random)
}

/// No more faults: what hangs hangs on, but whatever starts is good.
fn converges(seed: u64) {
    let (mut world, _) = trouble(seed);
    if world.exit.is_some() {
        assert_eq!(world.verdicts.len() as u64, world.asked);
        return;
    }
    world.silent_takeovers = false;
    world.deaf.clear();
    world.readiness = Ok(());
    for process in world.processes.values_mut() {
        process.sample = Sample::default();
    }
    world.next_load = world.next_load.map(|(_, policy)| (Program::Good, policy));
    for program in world.programs.values_mut() {
        *program = Program::Good;
    }
    world.answer_takeovers();
    // Deaths that are on their way already, and workers that have served their time.
    world.run(ms(60_000));
    world.run_until("rest", |world| {
        world.is_at_rest() && !world.anybody_hangs() || world.exit.is_some()
    });
    world.run(ms(2_000));
    assert!(
        world.is_at_rest() || world.exit.is_some(),
        "rest does not last: {:?}",
        world.states()
    );
}

/// A stop ends, whenever it comes and whatever hangs.
fn stops(seed: u64) {
    let (mut world, mut random) = trouble(seed);
    if world.exit.is_some() {
        return;
    }
    world.stop(if random.bool() {
        StopMode::Graceful
    } else {
        StopMode::AtOnce
    });
    if random.bool() {
        disturb_stopping(&mut world, &mut random);
    }
    world.run(ms(20_000));
    assert!(
        world.exit.is_some(),
        "still there: {:?}",
        world.pool.lives().collect::<Vec<_>>()
    );
    assert_eq!(world.verdicts.len() as u64, world.asked, "everybody was answered");
}

fn disturb_stopping(world: &mut World, random: &mut Rng) {
    for _ in 0..3 {
        world.run(ms(random.u64(0..50)));
        if world.exit.is_none() {
            disturb(world, random);
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
