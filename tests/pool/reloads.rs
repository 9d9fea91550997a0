//! Reload as a transaction: the good, the bad, and everything that can come between.

use cluster::base::ids::Generation;
use cluster::pool::status::WorkerState;
use cluster::pool::{
    Announcement, Event, NotLoaded, Outcome, Policy, ProcessExit, Request, Sample, StopMode,
};

use crate::world::{Program, SECOND, World, asked, ms, policy};

fn reason_of_back_out(world: &World) -> Option<String> {
    world.announced.iter().find_map(|a| match a {
        Announcement::BackedOut { reason, .. } => Some(reason.to_string()),
        _ => None,
    })
}

fn reloaded(world: &World) -> usize {
    world.count(|a| matches!(a, Announcement::Reloaded { .. }))
}

#[test]
fn a_good_reload_replaces_every_slot_and_never_falls_below_capacity() {
    let mut world = World::serving(4);
    world.least_serving = usize::MAX;
    world.happen(asked(Request::Reload));
    world.run(ms(900));
    assert_eq!(
        world.generations_in_slots(),
        [1, 1, 1, 1],
        "the old generation is whole while the canary bakes"
    );
    assert_eq!(
        world.pool.replacement().map(|worker| worker.state),
        Some(WorkerState::Serving)
    );
    world.run_until("reloaded", |world| reloaded(world) == 1);
    assert_eq!(world.generations_in_slots(), [2, 2, 2, 2]);
    world.run_until("rest", World::is_at_rest);
    assert_eq!((world.least_serving, world.kills.len()), (4, 0));
    assert_eq!(world.pool.generation(), SECOND);
}

#[test]
fn a_reload_waits_for_room_to_drain_and_cuts_nobody() {
    let mut world = World::start(
        Policy {
            max_draining: 1,
            ..policy(4)
        },
        Program::Good,
        9,
    );
    world.run(ms(100));
    world.drain_time = ms(10_000);
    world.next_load = Ok((
        Program::Good,
        Policy {
            max_draining: 1,
            ..policy(4)
        },
    ));
    world.happen(asked(Request::Reload));
    world.run_until("rest", |world| reloaded(world) == 1 && world.is_at_rest());
    assert!(world.kills.is_empty());
}

#[test]
fn a_bad_configuration_touches_nothing() {
    let mut world = World::serving(2);
    let before = (world.life_in(0), world.life_in(1));
    world.next_load = Err(NotLoaded::Configuration("unknown key \"wrokers\"".to_owned()));
    world.happen(asked(Request::Reload));
    world.run(ms(1_000));
    assert_eq!(
        reason_of_back_out(&world).as_deref(),
        Some("unknown key \"wrokers\"")
    );
    assert_eq!((world.life_in(0), world.life_in(1)), before);
    assert!(world.is_at_rest());
    world.next_load = Ok((Program::Good, policy(2)));
    world.happen(asked(Request::Reload));
    world.run(ms(5_000));
    assert_eq!(
        world.pool.generation(),
        Generation(3),
        "a number that was tried is not used again"
    );
}

#[test]
fn a_bad_canary_backs_out_and_the_old_workers_were_never_touched() {
    let cases = [
        (Program::ExitsAtBoot, "exited with code 1 before it was ready"),
        (Program::NeverReady, "was not ready in time"),
        (
            Program::DiesAfterReady(ms(900)),
            "was ended by signal 11 while it was watched",
        ),
        (Program::CannotSpawn, "could not be started: ENOEXEC"),
        (Program::GoesByItself, "went by itself"),
    ];
    for (program, words) in cases {
        let mut world = World::serving(3);
        let before: Vec<_> = (0..3).map(|slot| world.life_in(slot)).collect();
        world.next_load = Ok((program, policy(3)));
        world.happen(asked(Request::Reload));
        world.run_until("verdict", |world| reason_of_back_out(world).is_some());
        let reason = reason_of_back_out(&world).expect("there is one");
        assert!(reason.contains(words), "{program:?}: {reason}");
        world.run_until("rest", World::is_at_rest);
        assert_eq!(
            (0..3).map(|slot| world.life_in(slot)).collect::<Vec<_>>(),
            before,
            "{program:?}"
        );
        assert_eq!(world.generations_in_slots(), [1, 1, 1]);
    }
}

#[test]
fn a_canary_that_hangs_while_it_bakes_does_not_take_over() {
    let mut world = World::serving(2);
    let slow = Policy {
        heartbeat_timeout: ms(2_000),
        ..policy(2)
    };
    world.next_load = Ok((Program::Good, slow));
    world.happen(asked(Request::Reload));
    world.run(ms(300));
    let canary = world.pool.replacement().expect("bakes").life;
    world.hang(canary);
    world.run(ms(10_000));
    assert!(world.kills.contains(&canary));
    assert!(reason_of_back_out(&world).is_some_and(|reason| reason.contains("hung")));
    assert!(world.is_at_rest());
}

#[test]
fn one_that_fails_after_the_canary_is_undone_without_losing_capacity() {
    for program in [Program::ExitsAtBoot, Program::CannotSpawn, Program::NeverReady] {
        let mut world = World::serving(4);
        world.least_serving = usize::MAX;
        world.happen(asked(Request::Reload));
        world.run_until("two replaced", |world| {
            world.generations_in_slots()[..2] == [2, 2]
        });
        world.programs.insert(SECOND, program);
        world.run_until("verdict", |world| reason_of_back_out(world).is_some());
        assert!(world.was_announced(|a| matches!(a, Announcement::BackingOut { .. })));
        world.run_until("rest", World::is_at_rest);
        assert_eq!(world.generations_in_slots(), [1, 1, 1, 1], "{program:?}");
        assert_eq!(world.least_serving, 4, "{program:?}");
    }
}

#[test]
fn one_late_failure_is_tried_again() {
    let mut world = World::serving(3);
    world.happen(asked(Request::Reload));
    world.run_until("the second replacement", |world| {
        world
            .pool
            .replacement()
            .is_some_and(|worker| worker.life.slot.0 == 1)
    });
    let replacement = world.pool.replacement().expect("boots").life;
    world.crash(replacement, ProcessExit::Signal(9));
    world.run_until("rest", World::is_at_rest);
    assert_eq!(world.generations_in_slots(), [2, 2, 2]);
}

#[test]
fn a_replaced_slot_that_keeps_dying_undoes_the_rollout() {
    let mut world = World::serving(2);
    world.boot_time = ms(300);
    world.happen(asked(Request::Reload));
    world.run_until("the canary is in", |world| world.generations_in_slots()[0] == 2);
    world.programs.insert(SECOND, Program::ExitsAtBoot);
    let canary = world.life_in(0);
    world.crash(canary, ProcessExit::Code(3));
    world.run_until("undoing", |world| {
        world.was_announced(|a| matches!(a, Announcement::BackingOut { .. }))
    });
    assert_eq!(
        world.states()[0],
        WorkerState::Starting,
        "the old generation has not to wait for what the new one did"
    );
    world.run_until("rest", World::is_at_rest);
    assert_eq!(world.generations_in_slots(), [1, 1]);
}

#[test]
fn an_old_worker_that_crashes_before_the_bake_is_over_is_replaced_by_its_own_kind() {
    let mut world = World::serving(2);
    world.happen(asked(Request::Reload));
    world.run(ms(200));
    for slot in 0..2 {
        let victim = world.life_in(slot);
        world.crash(victim, ProcessExit::Signal(9));
    }
    world.run(ms(100));
    assert_eq!(world.generations_in_slots(), [1, 1]);
    world.run_until("rest", World::is_at_rest);
    assert_eq!(world.generations_in_slots(), [2, 2]);
}

#[test]
fn reloads_during_a_reload_are_done_once_afterwards() {
    let mut world = World::serving(2);
    for _ in 0..5 {
        world.happen(asked(Request::Reload));
        world.run(ms(50));
    }
    world.run(ms(20_000));
    assert!(world.is_at_rest());
    assert_eq!((reloaded(&world), world.pool.generation()), (2, Generation(3)));
}

#[test]
fn a_stop_during_a_reload_stops() {
    for after in [0, 3, 10, 500, 1_020, 1_040, 1_060, 1_080] {
        let mut world = World::serving(3);
        world.happen(asked(Request::Reload));
        world.run(ms(after));
        world.stop(StopMode::Graceful);
        world.happen(asked(Request::Reload));
        assert!(world.was_announced(|a| matches!(a, Announcement::Refused { .. })));
        world.run(ms(40_000));
        assert_eq!(world.exit, Some(Outcome::Stopped), "after {after} ms");
    }
}

#[test]
fn a_reload_brings_the_configured_number_of_slots_at_its_end() {
    for workers in [1, 3, 6] {
        let mut world = World::serving(3);
        world.least_serving = usize::MAX;
        world.next_load = Ok((Program::Good, policy(workers)));
        world.happen(asked(Request::Reload));
        world.run_until("rest", |world| reloaded(world) == 1 && world.is_at_rest());
        assert_eq!(world.pool.workers(), workers);
        assert!(world.least_serving >= usize::from(workers.min(3)));
    }
}

#[test]
fn an_unchanged_number_leaves_what_was_scaled_by_hand() {
    let mut world = World::serving(2);
    world.happen(asked(Request::ScaleBy(1)));
    world.happen(asked(Request::Reload));
    world.run_until("rest", |world| reloaded(world) == 1 && world.is_at_rest());
    assert_eq!(world.pool.workers(), 3);
}

#[test]
fn scaling_at_any_moment_of_a_reload_ends_whole() {
    for by in [-2, -1, 1, 2] {
        for after in (0..1_300).step_by(10) {
            let mut world = World::serving(3);
            world.happen(asked(Request::Reload));
            world.run(ms(after));
            world.happen(asked(Request::ScaleBy(by)));
            world.run_until("rest", |world| reloaded(world) == 1 && world.is_at_rest());
            assert_eq!(i32::from(world.pool.workers()), 3 + by);
        }
    }
}

#[test]
fn a_reload_saves_a_cluster_that_never_came_up() {
    let mut world = World::start(policy(2), Program::NeverReady, 4);
    world.run(ms(500));
    world.happen(asked(Request::Reload));
    world.run_until("rest", |world| reloaded(world) == 1 && world.is_at_rest());
    assert_eq!(world.generations_in_slots(), [2, 2]);
}

#[test]
fn a_longer_interval_is_not_held_against_the_workers_that_beat_by_it() {
    let long = Policy {
        heartbeat_interval: ms(2_000),
        ..policy(2)
    };
    let mut world = World::start(long, Program::Good, 4);
    world.run(ms(100));
    world.drain_time = ms(10_000);
    world.happen(asked(Request::Reload));
    world.run(ms(300));
    let (old, now) = (world.life_in(0), world.now);
    world.run(ms(400));
    world.happen(Event::Observed {
        life: old,
        sample: Sample {
            beat: now,
            lock_held_since: None,
            connections: 0,
            ..Sample::default()
        },
    });
    assert!(!world.was_announced(|a| matches!(a, Announcement::Quarantined { .. })));
}
