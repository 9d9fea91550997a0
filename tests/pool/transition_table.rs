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

use crate::simulation::{FIRST, Program, Simulation, asked, ms, policy};

/// The columns of the table. `Gone`: the worker is in no list any more.
const EVENTS: [&str; 24] = [
    "looked",
    "spawned",
    "spawn failed",
    "ready",
    "stopping",
    "status",
    "trouble",
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

fn event(name: &str, life: Life, simulation: &Simulation) -> Event {
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
        "trouble" => notified(Notification::Trouble(Some("stuck".to_owned()))),
        "beats" => observed(simulation.now),
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

/// A pool of two slots whose slot 1 is in that state, and the worker that is or was in it.
fn in_state(state: WorkerState) -> (Simulation, Life) {
    let mut simulation = Simulation::serving(2);
    simulation.run(ms(2_000));
    let life = simulation.life_in(1);
    match state {
        Serving => {}
        Starting => simulation.crash(life, ProcessExit::Signal(9)),
        Quarantined => {
            simulation.hang(life);
            simulation.run(ms(600));
        }
        Draining => {
            simulation.drain_time = ms(10_000);
            simulation.happen(asked(Request::ScaleBy(-1)));
            return (simulation, life);
        }
        Killed => {
            simulation.hang(life);
            simulation.run_until("kill", |simulation| simulation.states()[1] == Killed);
            return (simulation, life);
        }
        BackingOff => {
            simulation.programs.insert(FIRST, Program::ExitsAtBoot);
            simulation.crash(life, ProcessExit::Signal(9));
            simulation.run_until("backing off", |simulation| simulation.states()[1] == BackingOff);
            return (simulation, life);
        }
        Degraded => {
            simulation.programs.insert(FIRST, Program::ExitsAtBoot);
            simulation.crash(life, ProcessExit::Signal(9));
            simulation.run_until("degraded", |simulation| simulation.states()[1] == Degraded);
            return (simulation, life);
        }
        Drained => {
            simulation.happen(asked(Request::Drain(Slot(1))));
            simulation.run(ms(1_000));
            return (simulation, life);
        }
        Vacant => {
            simulation.stop(StopMode::Graceful);
            return (simulation, life);
        }
    }
    let life = simulation.life_in(1);
    (simulation, life)
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

fn try_pair(state: WorkerState, name: &str) -> (Simulation, Life, Vec<Effect>) {
    let (mut simulation, life) = in_state(state);
    if name == "late" && simulation.pool.lives().any(|living| living == life) {
        simulation.now = simulation
            .pool
            .next_deadline(simulation.now)
            .expect("a worker is looked at");
    }
    let event = event(name, life, &simulation);
    let mut effects = Vec::new();
    simulation.pool.handle(simulation.now, event, &mut effects);
    let due = simulation.pool.next_deadline(simulation.now);
    assert!(
        due.is_none_or(|due| due > simulation.now),
        "{state:?} × {name}: {due:?} is not in the future"
    );
    (simulation, life, effects)
}

#[test]
fn every_state_of_a_worker_answers_every_event() {
    for state in [Starting, Serving, Quarantined, Draining, Killed] {
        for name in EVENTS {
            let (simulation, life, _) = try_pair(state, name);
            assert_eq!(
                state_of(&simulation.pool, life),
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
            let (simulation, _, effects) = try_pair(state, name);
            let slot = simulation.pool.slots().find(|slot| slot.slot == Slot(1));
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
fn a_stopping_pool_starts_no_worker_and_a_second_stop_kills() {
    for name in EVENTS {
        let (simulation, life, effects) = try_pair(Vacant, name);
        let expected = match name {
            "died" | "spawn failed" => None,
            "stop" | "stop at once" => Some(Killed),
            _ => Some(Draining),
        };
        assert_eq!(state_of(&simulation.pool, life), expected, "stopping × {name}");
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
        let (simulation, life, effects) = try_pair(state, name);
        let next = simulation.life_in(1);
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
fn in_stage(stage: &str) -> Simulation {
    let mut simulation = Simulation::serving(3);
    simulation.boot_time = ms(100);
    simulation.happen(asked(Request::Reload));
    match stage {
        "loading" => {}
        "booting" => simulation.run(ms(20)),
        "baking" => simulation.run_until(stage, |simulation| {
            simulation
                .pool
                .replacement()
                .is_some_and(|replacement| replacement.state == Serving)
        }),
        "rolling" => simulation.run_until(stage, |simulation| simulation.generations_in_slots()[0] == 2),
        "undoing" => {
            simulation.run_until("the last good one", |simulation| {
                simulation
                    .pool
                    .replacement()
                    .is_some_and(|replacement| replacement.life.slot == Slot(1))
            });
            simulation
                .programs
                .insert(crate::simulation::SECOND, Program::ExitsAtBoot);
            simulation.run_until(stage, |simulation| {
                simulation.was_announced(|a| matches!(a, cluster::pool::Announcement::BackingOut { .. }))
            });
            simulation.run(ms(20));
        }
        other => panic!("no such stage: {other}"),
    }
    simulation
}

#[test]
fn every_stage_of_a_rollout_answers_every_event_about_every_worker_and_ends_whole() {
    for stage in ["loading", "booting", "baking", "rolling", "undoing"] {
        let workers: Vec<Life> = in_stage(stage).pool.lives().collect();
        for life in workers {
            for name in EVENTS {
                let mut simulation = in_stage(stage);
                let event = event(name, life, &simulation);
                // What is said of a process that lives has to be true in the simulation as well.
                if name == "spawn failed" {
                    continue;
                }
                simulation.happen(event);
                simulation.run_until(&format!("rest after {stage} × {name} of {life}"), |simulation| {
                    simulation.is_at_rest() || simulation.exit.is_some()
                });
                let stopped = name.starts_with("stop") && name != "stopping";
                assert_eq!(simulation.exit.is_some(), stopped, "{stage} × {name} of {life}");
            }
        }
    }
}

#[test]
fn a_second_load_verdict_is_dropped() {
    for stage in ["booting", "baking", "rolling", "undoing"] {
        let mut simulation = in_stage(stage);
        let before = simulation.pool.clone();
        simulation.happen(Event::Loaded(Ok(Box::new(policy(9)))));
        simulation.happen(Event::Loaded(Err(NotLoaded::Binary("late".to_owned()))));
        assert_eq!(
            simulation.states(),
            before.slots().map(|slot| slot.state).collect::<Vec<_>>(),
            "{stage}"
        );
        assert!(simulation.pool.is_reloading());
    }
}
