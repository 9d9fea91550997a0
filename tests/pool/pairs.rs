//! Every (state, event) pair: a pool is brought into each state by its own history, each event about that
//! state's worker is tried on a copy, and what the slot does afterwards is read from one table.

use cluster::base::ids::{Life, Slot};
use cluster::pool::status::WorkerState::{
    self, BackingOff, Degraded, Drained, Draining, Killed, Quarantined, Serving, Starting, Vacant,
};
use cluster::pool::{
    Activity, Effect, Event, NotLoaded, Notification, OrphanedWork, Pool, ProcessExit, Request, Sample,
    StopMode,
};

use crate::world::{FIRST, Program, World, asked, ms, policy};

/// The columns of the table. `Gone`: the worker is in no list any more.
const EVENTS: [&str; 23] = [
    "looked",
    "spawned",
    "spawn failed",
    "ready",
    "stopping",
    "status",
    "beats",
    "late",
    "examined",
    "died",
    "taken over",
    "orphan ended",
    "stop",
    "stop at once",
    "scale -1",
    "reload",
    "rollback",
    "restart",
    "drain",
    "scale to 2",
    "probed",
    "not adopted",
    "not taken over",
];

fn event(name: &str, life: Life, world: &World) -> Event {
    let notified = |notification| Event::Notified { life, notification };
    let observed = |beat| Event::Observed {
        life,
        sample: Sample {
            beat,
            lock_held_since: None,
            connections: 0,
            ..Sample::default()
        },
    };
    match name {
        "looked" => Event::Looked,
        "spawned" => Event::Spawned { life, pid: 4 },
        "spawn failed" => Event::SpawnFailed {
            life,
            reason: "EAGAIN".to_owned(),
        },
        "ready" => notified(Notification::Ready),
        "stopping" => notified(Notification::Stopping),
        "status" => notified(Notification::Status("busy".to_owned())),
        "beats" => observed(world.now),
        "late" => observed(cluster::base::time::Monotonic(0)),
        "examined" => Event::Examined {
            life,
            activity: Activity::Spinning,
        },
        "died" => Event::Died {
            life,
            exit: ProcessExit::Code(0),
            oom: false,
        },
        "orphan ended" => Event::OrphanEnded { life },
        "taken over" => Event::TakenOver {
            by: life,
            work: OrphanedWork::Life(life),
        },
        "stop" => asked(Request::Stop(StopMode::Graceful)),
        "stop at once" => asked(Request::Stop(StopMode::AtOnce)),
        "scale -1" => asked(Request::ScaleBy(-1)),
        "reload" => asked(Request::Reload),
        "rollback" => asked(Request::Rollback),
        "restart" => asked(Request::Restart(Slot(1))),
        "drain" => asked(Request::Drain(Slot(1))),
        "scale to 2" => asked(Request::ScaleTo(2)),
        "not adopted" => Event::NotAdopted {
            by: life,
            slot: Slot(1),
        },
        "not taken over" => Event::NotTakenOver {
            by: life,
            work: OrphanedWork::Life(life),
        },
        "probed" => Event::Probed {
            life,
            verdict: Err("no".to_owned()),
        },
        other => panic!("no such event: {other}"),
    }
}

/// A pool of two slots whose slot 1 is in that state, and who is or was in it.
fn in_state(state: WorkerState) -> (World, Life) {
    let mut world = World::serving(2);
    world.run(ms(2_000));
    let life = world.life_in(1);
    match state {
        Serving => {}
        Starting => world.crash(life, ProcessExit::Signal(9)),
        Quarantined => {
            world.hang(life);
            world.run(ms(600));
        }
        Draining => {
            world.drain_time = ms(10_000);
            world.happen(asked(Request::ScaleBy(-1)));
            return (world, life);
        }
        Killed => {
            world.hang(life);
            world.run_until("kill", |world| world.states()[1] == Killed);
            return (world, life);
        }
        BackingOff => {
            world.programs.insert(FIRST, Program::ExitsAtBoot);
            world.crash(life, ProcessExit::Signal(9));
            world.run_until("backing off", |world| world.states()[1] == BackingOff);
            return (world, life);
        }
        Degraded => {
            world.programs.insert(FIRST, Program::ExitsAtBoot);
            world.crash(life, ProcessExit::Signal(9));
            world.run_until("degraded", |world| world.states()[1] == Degraded);
            return (world, life);
        }
        Drained => {
            world.happen(asked(Request::Drain(Slot(1))));
            world.run(ms(1_000));
            return (world, life);
        }
        Vacant => {
            world.stop(StopMode::Graceful);
            return (world, life);
        }
    }
    let life = world.life_in(1);
    (world, life)
}

/// What the worker does after the event (`None`: it is in no list any more), or what its slot does when it
/// had none.
fn after(state: WorkerState, name: &str) -> Option<WorkerState> {
    let gone = ["died", "spawn failed"].contains(&name);
    let retired = ["stop", "scale -1"].contains(&name);
    let at_once = name == "stop at once";
    let next = match state {
        Starting if name == "ready" => Serving,
        Starting | Serving | Quarantined if name == "stopping" || retired => Draining,
        Starting | Serving | Quarantined if name == "drain" => Draining,
        Starting | Serving | Quarantined | Draining if at_once => Killed,
        Serving if name == "late" => Quarantined,
        Quarantined if name == "beats" => Serving,
        Starting | Serving | Quarantined | Draining | Killed | BackingOff | Degraded | Drained | Vacant => {
            state
        }
    };
    (!gone).then_some(next)
}

fn state_of(pool: &Pool, life: Life) -> Option<WorkerState> {
    let seated = pool.slots().filter_map(|slot| slot.worker);
    let found = seated
        .chain(pool.replacement())
        .chain(pool.leaving())
        .find(|worker| worker.life == life);
    found.map(|worker| worker.state)
}

fn try_pair(state: WorkerState, name: &str) -> (World, Life, Vec<Effect>) {
    let (mut world, life) = in_state(state);
    if name == "late" && world.pool.lives().any(|living| living == life) {
        world.now = world
            .pool
            .next_deadline(world.now)
            .expect("somebody is looked at");
    }
    let event = event(name, life, &world);
    let mut effects = Vec::new();
    world.pool.handle(world.now, event, &mut effects);
    let due = world.pool.next_deadline(world.now);
    assert!(
        due.is_none_or(|due| due > world.now),
        "{state:?} × {name}: {due:?} is not in the future"
    );
    (world, life, effects)
}

#[test]
fn every_state_of_a_worker_answers_every_event() {
    for state in [Starting, Serving, Quarantined, Draining, Killed] {
        for name in EVENTS {
            let (world, life, _) = try_pair(state, name);
            assert_eq!(
                state_of(&world.pool, life),
                after(state, name),
                "{state:?} × {name}"
            );
        }
    }
}

#[test]
fn events_about_the_dead_leave_an_empty_slot_as_it_is() {
    for state in [BackingOff, Degraded, Drained] {
        for name in EVENTS {
            let (world, _, effects) = try_pair(state, name);
            let slot = world.pool.slots().find(|slot| slot.slot == Slot(1));
            let expected = match name {
                "stop" | "stop at once" => Some(Vacant),
                "scale -1" => None,
                "drain" => Some(Drained),
                _ => Some(state),
            };
            assert_eq!(slot.map(|slot| slot.state), expected, "{state:?} × {name}");
            assert!(
                name == "restart"
                    || !effects
                        .iter()
                        .any(|effect| matches!(effect, Effect::Spawn { .. })),
                "{state:?} × {name}"
            );
        }
    }
}

#[test]
fn a_stopping_pool_starts_nobody_and_a_second_stop_kills() {
    for name in EVENTS {
        let (world, life, effects) = try_pair(Vacant, name);
        let expected = match name {
            "died" | "spawn failed" => None,
            "stop" | "stop at once" => Some(Killed),
            _ => Some(Draining),
        };
        assert_eq!(state_of(&world.pool, life), expected, "stopping × {name}");
        assert!(
            !effects
                .iter()
                .any(|effect| matches!(effect, Effect::Spawn { .. } | Effect::Load(_))),
            "{name}"
        );
    }
}

#[test]
fn a_worker_that_left_a_slot_is_followed_by_another_at_once() {
    for (state, name) in [
        (Serving, "died"),
        (Serving, "stopping"),
        (Quarantined, "died"),
        (Quarantined, "stopping"),
        (Killed, "died"),
    ] {
        let (world, life, effects) = try_pair(state, name);
        let next = world.life_in(1);
        assert_eq!(
            (next.slot, next.epoch),
            (life.slot, life.epoch.next()),
            "{state:?} × {name}"
        );
        assert!(effects.contains(&Effect::Spawn {
            life: next,
            generation: FIRST
        }));
    }
}

/// Each stage of a rollout, by how it is reached.
fn in_stage(stage: &str) -> World {
    let mut world = World::serving(3);
    world.boot_time = ms(100);
    world.happen(asked(Request::Reload));
    match stage {
        "loading" => {}
        "booting" => world.run(ms(20)),
        "baking" => world.run_until(stage, |world| {
            world
                .pool
                .replacement()
                .is_some_and(|replacement| replacement.state == Serving)
        }),
        "rolling" => world.run_until(stage, |world| world.generations_in_slots()[0] == 2),
        "undoing" => {
            world.run_until("the last good one", |world| {
                world
                    .pool
                    .replacement()
                    .is_some_and(|replacement| replacement.life.slot == Slot(1))
            });
            world.programs.insert(crate::world::SECOND, Program::ExitsAtBoot);
            world.run_until(stage, |world| {
                world.was_announced(|a| matches!(a, cluster::pool::Announcement::BackingOut { .. }))
            });
            world.run(ms(20));
        }
        other => panic!("no such stage: {other}"),
    }
    world
}

#[test]
fn every_stage_of_a_rollout_answers_every_event_about_everybody_and_ends_whole() {
    for stage in ["loading", "booting", "baking", "rolling", "undoing"] {
        let everybody: Vec<Life> = in_stage(stage).pool.lives().collect();
        for life in everybody {
            for name in EVENTS {
                let mut world = in_stage(stage);
                let event = event(name, life, &world);
                // What is said of a process that lives has to be true in the world as well.
                if name == "spawn failed" {
                    continue;
                }
                world.happen(event);
                world.run_until(&format!("rest after {stage} × {name} of {life}"), |world| {
                    world.is_at_rest() || world.exit.is_some()
                });
                let stopped = name.starts_with("stop") && name != "stopping";
                assert_eq!(world.exit.is_some(), stopped, "{stage} × {name} of {life}");
            }
        }
    }
}

#[test]
fn a_second_load_verdict_is_dropped() {
    for stage in ["booting", "baking", "rolling", "undoing"] {
        let mut world = in_stage(stage);
        let before = world.pool.clone();
        world.happen(Event::Loaded(Ok(policy(9))));
        world.happen(Event::Loaded(Err(NotLoaded::Binary("late".to_owned()))));
        assert_eq!(
            world.states(),
            before.slots().map(|slot| slot.state).collect::<Vec<_>>(),
            "{stage}"
        );
        assert!(world.pool.is_reloading());
    }
}
