//! Crash, hang, scale, stop, inherit: one scene a test.

use cluster::base::ids::Epoch;
use cluster::pool::status::WorkerState;
use cluster::pool::{
    Activity, Announcement, Event, KillReason, Notification, OrphanedWork, Outcome, Policy, ProcessExit,
    Request, StopMode,
};

use crate::world::{Program, World, asked, ms, policy};

const SIGKILL: ProcessExit = ProcessExit::Signal(9);

#[test]
fn every_slot_is_filled_and_routed_and_it_is_said_once() {
    let world = World::serving(3);
    assert!(world.is_at_rest());
    assert_eq!(
        world.count(|a| matches!(a, Announcement::Serving { workers: 3 })),
        1
    );
}

#[test]
fn a_kill_right_after_ready_is_replaced_at_once() {
    let mut world = World::start(policy(1), Program::Good, 8);
    world.run(ms(24));
    assert_eq!(world.states(), [WorkerState::Serving]);
    let victim = world.life_in(0);
    world.crash(victim, SIGKILL);
    assert_eq!(world.states(), [WorkerState::Starting], "in the same breath");
    assert_eq!(world.life_in(0).epoch, Epoch(2));
    assert!(world.steered.is_empty(), "nobody is ready");
    world.run(ms(25));
    assert!(world.is_at_rest());
}

#[test]
fn a_crash_unroutes_its_slot_until_the_next_life_is_ready() {
    let mut world = World::serving(2);
    let victim = world.life_in(0);
    world.crash(victim, SIGKILL);
    assert_eq!(world.steered.iter().map(|slot| slot.0).collect::<Vec<_>>(), [1]);
    world.run(ms(21));
    assert_eq!(world.steered.len(), 2);
}

#[test]
fn a_crash_loop_backs_off_then_degrades_and_costs_the_others_nothing() {
    let mut world = World::start(policy(2), Program::Good, 1);
    world.run(ms(2_000));
    let other = world.life_in(1);
    let mut waits = Vec::new();
    while world.count(|a| matches!(a, Announcement::BreakerOpened { .. })) == 0 {
        let victim = world.life_in(0);
        world.crash(victim, ProcessExit::Code(70));
        if let Some(Announcement::Crashed { restart_in, .. }) = world
            .announced
            .iter()
            .rev()
            .find(|a| matches!(a, Announcement::Crashed { .. }))
        {
            waits.push(*restart_in);
        }
        world.run_until("the next life", |world| {
            world.states()[0] != WorkerState::BackingOff
        });
    }
    assert_eq!(waits[0], ms(0), "a long life");
    assert!(
        waits[2] >= ms(50) && waits[3] >= ms(100) && waits[4] >= ms(200),
        "{waits:?}"
    );
    assert!(waits.last().is_some_and(|last| *last >= ms(2_500)), "{waits:?}");
    assert_eq!(world.states(), [WorkerState::Degraded, WorkerState::Serving]);
    assert_eq!(world.life_in(1), other);
    world.run_until("the breaker closes by itself", |world| {
        world.was_announced(|a| matches!(a, Announcement::BreakerClosed { .. }))
    });
    assert!(world.is_at_rest());
}

#[test]
fn a_worker_that_is_never_ready_is_killed_and_tried_again() {
    let mut world = World::start(policy(1), Program::NeverReady, 1);
    world.run(ms(9_999));
    assert!(world.kills.is_empty());
    world.run(ms(500));
    assert_eq!(world.kills.len(), 1);
    assert_eq!(world.life_in(0).epoch, Epoch(2));
}

#[test]
fn a_second_ready_changes_nothing() {
    let mut world = World::serving(1);
    let before = world.announced.len();
    let life = world.life_in(0);
    world.happen(Event::Notified {
        life,
        notification: Notification::Ready,
    });
    assert_eq!(world.announced.len(), before);
}

#[test]
fn a_hung_worker_is_quarantined_within_half_a_second_then_killed_then_replaced() {
    let mut world = World::serving(2);
    world.run(ms(3_000));
    let victim = world.life_in(0);
    world.hang(victim);
    let since = world.now;
    world.run_until("quarantine", |world| {
        world.states()[0] == WorkerState::Quarantined
    });
    assert!(world.now.since(since) < ms(500));
    assert_eq!(world.steered.len(), 1);
    world.run_until("kill", |world| world.kills.contains(&victim));
    let age = world.now.since(since);
    assert!(age > ms(4_750) && age < ms(5_600), "{age:?}");
    assert!(world.was_announced(|a| matches!(
        a,
        Announcement::Killed {
            reason: KillReason::Hung(Activity::Blocked),
            ..
        }
    )));
    world.run(ms(30));
    assert!(world.is_at_rest(), "at full strength within 30 ms of the kill");
}

#[test]
fn a_short_stop_costs_a_quarantine_and_no_kill() {
    let mut world = World::serving(2);
    let victim = world.life_in(0);
    world.hang(victim);
    world.run(ms(3_000));
    assert_eq!(world.states()[0], WorkerState::Quarantined);
    world.wake_up(victim);
    world.run(ms(300));
    assert!(world.was_announced(|a| matches!(a, Announcement::Returned { .. })));
    assert!(world.kills.is_empty());
    assert!(world.is_at_rest());
}

#[test]
fn when_all_are_late_they_stay_routed() {
    let mut world = World::serving(2);
    for slot in 0..2 {
        let life = world.life_in(slot);
        world.hang(life);
    }
    world.run(ms(1_000));
    assert_eq!(world.states(), [WorkerState::Quarantined; 2]);
    assert_eq!(world.steered.len(), 2);
}

#[test]
fn a_late_lock_holder_is_killed_soon_and_one_that_beats_is_not() {
    let mut world = World::serving(2);
    let (late, beating) = (world.life_in(0), world.life_in(1));
    for life in [late, beating] {
        world.hold_lock(life);
    }
    world.hang(late);
    let since = world.now;
    world.run_until("kill", |world| world.kills.contains(&late));
    assert!(world.now.since(since) < ms(700), "{:?}", world.now.since(since));
    assert!(world.was_announced(|a| matches!(
        a,
        Announcement::Killed {
            reason: KillReason::HeldLock(_),
            ..
        }
    )));
    world.run(ms(10_000));
    assert_eq!(world.kills, [late]);
}

#[test]
fn a_starved_worker_is_never_killed() {
    let mut world = World::serving(2);
    let victim = world.life_in(0);
    world.processes.get_mut(&victim).expect("lives").starved = true;
    world.run(ms(60_000));
    assert_eq!(world.states()[0], WorkerState::Quarantined);
    assert!(world.kills.is_empty());
}

#[test]
fn what_the_master_overslept_is_held_against_nobody() {
    let mut world = World::serving(2);
    let victim = world.life_in(0);
    world.hang(victim);
    world.run(ms(1_000));
    world.now = world.now + ms(60_000);
    world.look();
    world.run(ms(1_000));
    assert!(world.kills.is_empty(), "a minute of nobody's time");
    assert!(world.was_announced(|a| matches!(a, Announcement::Stalled { by, .. } if *by > ms(59_000))));
    world.run_until("its own time counts", |world| world.kills.contains(&victim));
}

#[test]
fn an_oversleeping_master_gives_booting_and_draining_workers_their_time_back() {
    let mut world = World::start(policy(1), Program::NeverReady, 1);
    world.run(ms(100));
    world.now = world.now + ms(3_600_000);
    world.look();
    assert!(world.kills.is_empty());
    let mut world = World::serving(2);
    world.drain_time = ms(1_000_000);
    world.happen(asked(Request::ScaleBy(-1)));
    world.run(ms(1_000));
    world.now = world.now + ms(40_000);
    world.look();
    assert!(world.kills.is_empty());
    world.run(ms(31_000));
    assert_eq!(world.kills.len(), 1);
}

#[test]
fn a_worker_that_says_stopping_is_replaced_while_it_drains() {
    let mut world = World::serving(1);
    world.run(ms(2_000));
    let goer = world.life_in(0);
    world.happen(Event::Notified {
        life: goer,
        notification: Notification::Stopping,
    });
    assert_eq!(world.states(), [WorkerState::Starting]);
    assert_eq!(
        world.pool.leaving().map(|worker| worker.life).collect::<Vec<_>>(),
        [goer]
    );
    world.run(ms(1_000));
    assert!(world.is_at_rest());
    assert!(world.kills.is_empty());
}

#[test]
fn workers_that_go_by_themselves_again_and_again_back_off() {
    let mut world = World::start(policy(1), Program::GoesByItself, 3);
    world.run(ms(60_000));
    let lives = world.count(|a| matches!(a, Announcement::Starting { .. }));
    assert!((6..40).contains(&lives), "{lives} lives in a minute");
}

#[test]
fn an_idle_master_wakes_four_times_a_second() {
    let mut world = World::serving(8);
    world.run(ms(1_000));
    let before = world.wakes;
    world.run(ms(60_000));
    assert!(world.wakes - before <= 241, "{}", world.wakes - before);
}

#[test]
fn a_slot_that_is_added_is_filled_and_one_that_goes_drains() {
    let mut world = World::serving(2);
    world.happen(asked(Request::ScaleBy(1)));
    world.run(ms(30));
    assert!(world.is_at_rest());
    let last = world.life_in(2);
    world.happen(asked(Request::ScaleBy(-1)));
    assert_eq!((world.steered.len(), world.pool.workers()), (2, 2));
    assert_eq!(
        world.pool.leaving().map(|worker| worker.life).collect::<Vec<_>>(),
        [last]
    );
    world.happen(asked(Request::ScaleBy(1)));
    assert_eq!(world.life_in(2).epoch, Epoch(2), "epochs go on");
    world.run(ms(100));
    assert!(world.is_at_rest() && world.kills.is_empty());
}

#[test]
fn the_number_of_slots_has_bounds_that_are_named() {
    let mut world = World::serving(1);
    for by in [-1, 1_024, i32::MAX, i32::MIN] {
        world.happen(asked(Request::ScaleBy(by)));
        let Some(Announcement::Refused { reason, .. }) = world.announced.last() else {
            panic!("{by} went")
        };
        assert!(reason.contains("1 to 1024"), "{reason}");
    }
    assert_eq!(world.pool.workers(), 1);
    world.batches = true;
    world.happen(asked(Request::ScaleBy(1_023)));
    world.run(ms(50));
    assert_eq!(world.serving_slots(), 1_024);
}

#[test]
fn scaling_down_cuts_nobody_however_few_may_drain() {
    let mut world = World::start(
        Policy {
            max_draining: 2,
            ..policy(40)
        },
        Program::Good,
        1,
    );
    world.run(ms(500));
    world.drain_time = ms(20_000);
    world.happen(asked(Request::ScaleBy(-38)));
    world.run(ms(10));
    assert_eq!((world.pool.workers(), world.pool.leaving().count()), (2, 38));
    world.run_until("rest", World::is_at_rest);
    assert!(world.kills.is_empty());
}

#[test]
fn a_cluster_that_is_scaled_up_and_down_faster_than_it_drains_is_told_to_wait() {
    let mut world = World::start(
        Policy {
            max_draining: 2,
            ..policy(4)
        },
        Program::Good,
        1,
    );
    world.run(ms(100));
    world.drain_time = ms(20_000);
    for by in [-3, 3, -3] {
        world.happen(asked(Request::ScaleBy(by)));
        world.run(ms(50));
    }
    assert_eq!((world.pool.workers(), world.pool.leaving().count()), (1, 6));
    world.happen(asked(Request::ScaleBy(3)));
    world.run(ms(50));
    world.happen(asked(Request::ScaleBy(-3)));
    let Some(Announcement::Refused { reason, .. }) = world.announced.last() else {
        panic!("it went")
    };
    assert!(reason.contains("6 workers drain still"), "{reason}");
    assert!(world.kills.is_empty());
    world.run(ms(25_000));
    world.happen(asked(Request::ScaleBy(-3)));
    assert_eq!(world.pool.workers(), 1);
}

#[test]
fn a_graceful_stop_drains_everyone() {
    let mut world = World::serving(3);
    world.stop(StopMode::Graceful);
    assert!(world.steered.is_empty());
    world.run(ms(1_000));
    assert_eq!(world.exit, Some(Outcome::Stopped));
    assert!(world.kills.is_empty());
}

#[test]
fn a_stop_with_more_workers_than_may_drain_cuts_nobody() {
    let mut world = World::serving(8);
    world.stop(StopMode::Graceful);
    world.run(ms(1_000));
    assert_eq!((world.exit, world.kills.len()), (Some(Outcome::Stopped), 0));
}

#[test]
fn a_drain_that_takes_too_long_is_cut_and_told() {
    let mut world = World::serving(1);
    world.drain_time = ms(60_000);
    world.stop(StopMode::Graceful);
    world.run(ms(29_000));
    assert_eq!(world.exit, None);
    world.run(ms(2_000));
    assert_eq!(world.exit, Some(Outcome::Cut));
}

#[test]
fn the_second_stop_is_at_once() {
    let mut world = World::serving(2);
    world.drain_time = ms(60_000);
    world.stop(StopMode::Graceful);
    world.run(ms(100));
    world.stop(StopMode::Graceful);
    world.run(ms(2));
    assert_eq!(world.exit, Some(Outcome::Cut));
}

#[test]
fn a_stop_at_once_kills_those_who_serve_boot_and_drain() {
    let mut world = World::serving(3);
    world.drain_time = ms(60_000);
    world.happen(asked(Request::ScaleBy(-1)));
    world.happen(asked(Request::ScaleBy(1)));
    world.stop(StopMode::AtOnce);
    world.run(ms(2));
    assert_eq!((world.exit, world.kills.len()), (Some(Outcome::Cut), 4));
    let mut world = World::serving(2);
    world.stop(StopMode::AtOnce);
    world.run(ms(2));
    assert_eq!(
        world.exit,
        Some(Outcome::Stopped),
        "nothing was draining, nothing was cut short"
    );
}

#[test]
fn a_hung_worker_does_not_hold_up_a_stop_for_the_whole_drain() {
    let mut world = World::serving(2);
    let life = world.life_in(0);
    world.hang(life);
    world.stop(StopMode::Graceful);
    world.run(ms(6_000));
    assert_eq!(world.exit, Some(Outcome::Cut));
}

#[test]
fn a_program_that_never_boots_is_given_up() {
    for program in [Program::ExitsAtBoot, Program::CannotSpawn] {
        let mut world = World::start(policy(3), program, 5);
        world.run(ms(10_000));
        assert_eq!(world.exit, Some(Outcome::NeverReady), "{program:?}");
    }
}

#[test]
fn one_that_was_ready_once_is_never_given_up() {
    let mut world = World::serving(2);
    world.programs.insert(crate::world::FIRST, Program::ExitsAtBoot);
    for slot in 0..2 {
        let life = world.life_in(slot);
        world.crash(life, SIGKILL);
    }
    world.run(ms(120_000));
    assert_eq!(world.exit, None);
    world.programs.insert(crate::world::FIRST, Program::Good);
    world.run(ms(10_000));
    assert!(world.is_at_rest());
}

#[test]
fn what_earlier_incarnations_left_goes_to_the_first_ready_worker() {
    let world = World::serving(2);
    assert!(matches!(world.assigned[..], [(_, OrphanedWork::Before(_))]));
}

#[test]
fn an_heir_that_dies_passes_both_estates_on() {
    let mut world = World::serving(3);
    world.silent_takeovers = true;
    let victim = world.life_in(2);
    world.crash(victim, SIGKILL);
    let (by, _) = *world.assigned.last().expect("told");
    let before = world.assigned.len();
    world.crash(by, SIGKILL);
    let told: Vec<_> = world.assigned[before..].to_vec();
    assert_eq!(
        told.iter().map(|(_, work)| *work).collect::<Vec<_>>(),
        [OrphanedWork::Life(victim), OrphanedWork::Life(by)]
    );
    assert!(told.iter().all(|(next, _)| *next != by && *next != victim));
}

#[test]
fn an_heir_that_cannot_be_told_is_passed_over() {
    let mut world = World::serving(3);
    world.deaf = [world.life_in(0), world.life_in(1)].into();
    let victim = world.life_in(2);
    world.crash(victim, SIGKILL);
    world.run(ms(1));
    assert!(!world.is_at_rest(), "nobody could be told");
    world.deaf.remove(&world.life_in(1));
    world.run(ms(300));
    let (by, work) = *world.assigned.last().expect("told again");
    assert!(by == world.life_in(1) || by == world.life_in(2), "{by}");
    assert_eq!(work, OrphanedWork::Life(victim));
    assert!(world.is_at_rest());
}

#[test]
fn an_heir_that_hangs_is_not_waited_for() {
    let mut world = World::serving(3);
    world.silent_takeovers = true;
    let victim = world.life_in(2);
    world.crash(victim, SIGKILL);
    let (by, _) = *world.assigned.last().expect("told");
    world.hang(by);
    world.run(ms(600));
    let (next, work) = *world.assigned.last().expect("told again");
    assert!(next != by && work == OrphanedWork::Life(victim));
}
