//! Reload as a transaction: the good, the bad, and everything that can come between.

use cluster::base::ids::Generation;
use cluster::pool::status::WorkerState;
use cluster::pool::{
    Announcement, Event, KillReason, NotLoaded, Outcome, Policy, ProcessExit, Request, Sample, StopMode,
};

use crate::simulation::{Program, SECOND, Simulation, asked, ms, policy};

fn reason_of_back_out(simulation: &Simulation) -> Option<String> {
    simulation.announced.iter().find_map(|a| match a {
        Announcement::BackedOut { reason, .. } => Some(reason.to_string()),
        _ => None,
    })
}

fn reloaded(simulation: &Simulation) -> usize {
    simulation.count(|a| matches!(a, Announcement::Reloaded { .. }))
}

#[test]
fn a_good_reload_replaces_every_slot_and_never_falls_below_capacity() {
    let mut simulation = Simulation::serving(4);
    simulation.least_serving = usize::MAX;
    simulation.happen(asked(Request::Reload));
    simulation.run(ms(900));
    assert_eq!(
        simulation.generations_in_slots(),
        [1, 1, 1, 1],
        "the old generation is whole while the canary bakes"
    );
    assert_eq!(
        simulation.pool.replacement().map(|worker| worker.state),
        Some(WorkerState::Serving)
    );
    simulation.run_until("reloaded", |simulation| reloaded(simulation) == 1);
    assert_eq!(simulation.generations_in_slots(), [2, 2, 2, 2]);
    simulation.run_until("rest", Simulation::is_at_rest);
    assert_eq!((simulation.least_serving, simulation.kills.len()), (4, 0));
    assert_eq!(simulation.pool.generation(), SECOND);
}

#[test]
fn a_slot_is_spared_while_its_former_program_is_asked_to_end_and_no_two_at_once() {
    let programs = Policy {
        runs_programs: true,
        ..policy(2)
    };
    let mut simulation = Simulation::serving(2);
    simulation.next_load = Ok((Program::Good, programs));
    simulation.happen(asked(Request::Reload));
    simulation.run_until("programs run", |simulation| reloaded(simulation) == 1);
    simulation.run_until("rest", Simulation::is_at_rest);
    simulation.drain_time = ms(5_000);
    simulation.happen(asked(Request::Reload));
    simulation.run_until("the first slot", |simulation| {
        simulation.generations_in_slots().contains(&3)
    });
    let first = simulation.now;
    assert_eq!(simulation.steered.len(), 1, "its slot is spared");
    simulation.run_until("the second slot", |simulation| {
        simulation.generations_in_slots() == [3, 3]
    });
    assert!(simulation.now.since(first) >= ms(250));
    assert_eq!(simulation.steered.len(), 1, "now the other one is");
    simulation.run(ms(300));
    assert_eq!(simulation.steered.len(), 2);
}

#[test]
fn a_reload_waits_for_room_to_drain_and_cuts_no_worker() {
    let mut simulation = Simulation::start(
        Policy {
            max_draining: 1,
            ..policy(4)
        },
        Program::Good,
        9,
    );
    simulation.run(ms(100));
    simulation.drain_time = ms(10_000);
    simulation.next_load = Ok((
        Program::Good,
        Policy {
            max_draining: 1,
            ..policy(4)
        },
    ));
    simulation.happen(asked(Request::Reload));
    simulation.run_until("rest", |simulation| {
        reloaded(simulation) == 1 && simulation.is_at_rest()
    });
    assert!(simulation.kills.is_empty());
}

#[test]
fn a_bad_configuration_touches_nothing() {
    let mut simulation = Simulation::serving(2);
    let before = (simulation.life_in(0), simulation.life_in(1));
    simulation.next_load = Err(NotLoaded::Configuration("unknown key \"wrokers\"".to_owned()));
    simulation.happen(asked(Request::Reload));
    simulation.run(ms(1_000));
    assert_eq!(
        reason_of_back_out(&simulation).as_deref(),
        Some("unknown key \"wrokers\"")
    );
    assert_eq!((simulation.life_in(0), simulation.life_in(1)), before);
    assert!(simulation.is_at_rest());
    simulation.next_load = Ok((Program::Good, policy(2)));
    simulation.happen(asked(Request::Reload));
    simulation.run(ms(5_000));
    assert_eq!(
        simulation.pool.generation(),
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
        let mut simulation = Simulation::serving(3);
        let before: Vec<_> = (0..3).map(|slot| simulation.life_in(slot)).collect();
        simulation.next_load = Ok((program, policy(3)));
        simulation.happen(asked(Request::Reload));
        simulation.run_until("verdict", |simulation| reason_of_back_out(simulation).is_some());
        let reason = reason_of_back_out(&simulation).expect("there is one");
        assert!(reason.contains(words), "{program:?}: {reason}");
        simulation.run_until("rest", Simulation::is_at_rest);
        assert_eq!(
            (0..3).map(|slot| simulation.life_in(slot)).collect::<Vec<_>>(),
            before,
            "{program:?}"
        );
        assert_eq!(simulation.generations_in_slots(), [1, 1, 1]);
    }
}

#[test]
fn a_canary_that_hangs_while_it_bakes_does_not_take_over() {
    let mut simulation = Simulation::serving(2);
    let slow = Policy {
        heartbeat_timeout: ms(2_000),
        ..policy(2)
    };
    simulation.next_load = Ok((Program::Good, slow));
    simulation.happen(asked(Request::Reload));
    simulation.run(ms(300));
    let canary = simulation.pool.replacement().expect("bakes").life;
    simulation.hang(canary);
    simulation.run(ms(10_000));
    assert!(simulation.kills.contains(&canary));
    assert!(reason_of_back_out(&simulation).is_some_and(|reason| reason.contains("hung")));
    assert!(simulation.is_at_rest());
}

#[test]
fn one_that_fails_after_the_canary_is_undone_without_losing_capacity() {
    for program in [Program::ExitsAtBoot, Program::CannotSpawn, Program::NeverReady] {
        let mut simulation = Simulation::serving(4);
        simulation.least_serving = usize::MAX;
        simulation.happen(asked(Request::Reload));
        simulation.run_until("two replaced", |simulation| {
            simulation.generations_in_slots()[..2] == [2, 2]
        });
        simulation.programs.insert(SECOND, program);
        simulation.run_until("verdict", |simulation| reason_of_back_out(simulation).is_some());
        assert!(simulation.was_announced(|a| matches!(a, Announcement::BackingOut { .. })));
        simulation.run_until("rest", Simulation::is_at_rest);
        assert_eq!(simulation.generations_in_slots(), [1, 1, 1, 1], "{program:?}");
        assert_eq!(simulation.least_serving, 4, "{program:?}");
    }
}

#[test]
fn one_late_failure_is_tried_again() {
    let mut simulation = Simulation::serving(3);
    simulation.happen(asked(Request::Reload));
    simulation.run_until("the second replacement", |simulation| {
        simulation
            .pool
            .replacement()
            .is_some_and(|worker| worker.life.slot.0 == 1)
    });
    let replacement = simulation.pool.replacement().expect("boots").life;
    simulation.crash(replacement, ProcessExit::Signal(9));
    simulation.run_until("rest", Simulation::is_at_rest);
    assert_eq!(simulation.generations_in_slots(), [2, 2, 2]);
}

#[test]
fn a_replaced_slot_that_keeps_dying_undoes_the_rollout() {
    let mut simulation = Simulation::serving(2);
    simulation.boot_time = ms(300);
    simulation.happen(asked(Request::Reload));
    simulation.run_until("the canary is in", |simulation| {
        simulation.generations_in_slots()[0] == 2
    });
    simulation.programs.insert(SECOND, Program::ExitsAtBoot);
    let canary = simulation.life_in(0);
    simulation.crash(canary, ProcessExit::Code(3));
    simulation.run_until("undoing", |simulation| {
        simulation.was_announced(|a| matches!(a, Announcement::BackingOut { .. }))
    });
    assert_eq!(
        simulation.states()[0],
        WorkerState::Starting,
        "the old generation has not to wait for what the new one did"
    );
    simulation.run_until("rest", Simulation::is_at_rest);
    assert_eq!(simulation.generations_in_slots(), [1, 1]);
}

#[test]
fn an_old_worker_that_crashes_before_the_bake_is_over_is_replaced_by_its_own_kind() {
    let mut simulation = Simulation::serving(2);
    simulation.happen(asked(Request::Reload));
    simulation.run(ms(200));
    for slot in 0..2 {
        let victim = simulation.life_in(slot);
        simulation.crash(victim, ProcessExit::Signal(9));
    }
    simulation.run(ms(100));
    assert_eq!(simulation.generations_in_slots(), [1, 1]);
    simulation.run_until("rest", Simulation::is_at_rest);
    assert_eq!(simulation.generations_in_slots(), [2, 2]);
}

#[test]
fn reloads_during_a_reload_are_done_once_afterwards() {
    let mut simulation = Simulation::serving(2);
    for _ in 0..5 {
        simulation.happen(asked(Request::Reload));
        simulation.run(ms(50));
    }
    simulation.run(ms(20_000));
    assert!(simulation.is_at_rest());
    assert_eq!(
        (reloaded(&simulation), simulation.pool.generation()),
        (2, Generation(3))
    );
}

#[test]
fn a_stop_during_a_reload_stops() {
    for after in [0, 3, 10, 500, 1_020, 1_040, 1_060, 1_080] {
        let mut simulation = Simulation::serving(3);
        simulation.happen(asked(Request::Reload));
        simulation.run(ms(after));
        simulation.stop(StopMode::Graceful);
        simulation.happen(asked(Request::Reload));
        assert!(simulation.was_announced(|a| matches!(a, Announcement::Refused { .. })));
        simulation.run(ms(40_000));
        assert_eq!(simulation.exit, Some(Outcome::Stopped), "after {after} ms");
    }
}

#[test]
fn a_reload_brings_the_configured_number_of_slots_at_its_end() {
    for workers in [1, 3, 6] {
        let mut simulation = Simulation::serving(3);
        simulation.least_serving = usize::MAX;
        simulation.next_load = Ok((Program::Good, policy(workers)));
        simulation.happen(asked(Request::Reload));
        simulation.run_until("rest", |simulation| {
            reloaded(simulation) == 1 && simulation.is_at_rest()
        });
        assert_eq!(simulation.pool.workers(), workers);
        assert!(simulation.least_serving >= usize::from(workers.min(3)));
    }
}

#[test]
fn an_unchanged_number_leaves_what_was_scaled_by_hand() {
    let mut simulation = Simulation::serving(2);
    simulation.happen(asked(Request::ScaleBy(1)));
    simulation.happen(asked(Request::Reload));
    simulation.run_until("rest", |simulation| {
        reloaded(simulation) == 1 && simulation.is_at_rest()
    });
    assert_eq!(simulation.pool.workers(), 3);
}

#[test]
fn scaling_at_any_moment_of_a_reload_ends_whole() {
    for by in [-2, -1, 1, 2] {
        for after in (0..1_300).step_by(10) {
            let mut simulation = Simulation::serving(3);
            simulation.happen(asked(Request::Reload));
            simulation.run(ms(after));
            simulation.happen(asked(Request::ScaleBy(by)));
            simulation.run_until("rest", |simulation| {
                reloaded(simulation) == 1 && simulation.is_at_rest()
            });
            assert_eq!(i32::from(simulation.pool.workers()), 3 + by);
            let backed_out = |announcement: &Announcement| {
                matches!(
                    announcement,
                    Announcement::Killed {
                        reason: KillReason::BackedOut,
                        ..
                    }
                )
            };
            assert!(!simulation.was_announced(backed_out), "{by} after {after} ms");
        }
    }
}

#[test]
fn a_reload_saves_a_cluster_that_never_came_up() {
    let mut simulation = Simulation::start(policy(2), Program::NeverReady, 4);
    simulation.run(ms(500));
    simulation.happen(asked(Request::Reload));
    simulation.run_until("rest", |simulation| {
        reloaded(simulation) == 1 && simulation.is_at_rest()
    });
    assert_eq!(simulation.generations_in_slots(), [2, 2]);
}

#[test]
fn a_longer_interval_is_not_held_against_the_workers_that_beat_by_it() {
    let long = Policy {
        heartbeat_interval: ms(2_000),
        late_after: ms(2_250),
        ..policy(2)
    };
    let mut simulation = Simulation::start(long, Program::Good, 4);
    simulation.run(ms(100));
    simulation.drain_time = ms(10_000);
    simulation.happen(asked(Request::Reload));
    simulation.run(ms(300));
    let (old, now) = (simulation.life_in(0), simulation.now);
    simulation.run(ms(400));
    simulation.happen(Event::Observed {
        life: old,
        sample: Sample {
            beat: now,
            lock_held_since: None,
            connections: 0,
            ..Sample::default()
        },
    });
    assert!(!simulation.was_announced(|a| matches!(a, Announcement::Quarantined { .. })));
}
