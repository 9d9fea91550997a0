//! Crash, hang, scale: one scene a test.

use cluster::base::ids::Epoch;
use cluster::pool::status::WorkerState;
use cluster::pool::{Activity, Announcement, Event, KillReason, Notification, Policy, ProcessExit, Request};

use crate::simulation::{Program, Simulation, asked, ms, policy};

const SIGKILL: ProcessExit = ProcessExit::Signal(9);

#[test]
fn every_slot_is_filled_and_routed_and_it_is_said_once() {
    let simulation = Simulation::serving(3);
    assert!(simulation.is_at_rest());
    assert_eq!(
        simulation.count(|a| matches!(a, Announcement::Serving { workers: 3 })),
        1
    );
}

#[test]
fn a_kill_right_after_ready_is_replaced_at_once() {
    let mut simulation = Simulation::start(policy(1), Program::Good, 8);
    simulation.run(ms(24));
    assert_eq!(simulation.states(), [WorkerState::Serving]);
    let victim = simulation.life_in(0);
    simulation.crash(victim, SIGKILL);
    assert_eq!(simulation.states(), [WorkerState::Starting], "at once");
    assert_eq!(simulation.life_in(0).epoch, Epoch(2));
    assert!(simulation.steered.is_empty(), "no worker is ready");
    simulation.run(ms(25));
    assert!(simulation.is_at_rest());
}

#[test]
fn a_crash_unroutes_its_slot_until_the_next_life_is_ready() {
    let mut simulation = Simulation::serving(2);
    let victim = simulation.life_in(0);
    simulation.crash(victim, SIGKILL);
    assert_eq!(
        simulation.steered.iter().map(|slot| slot.0).collect::<Vec<_>>(),
        [1]
    );
    simulation.run(ms(21));
    assert_eq!(simulation.steered.len(), 2);
}

#[test]
fn a_crash_loop_backs_off_then_degrades_and_costs_the_others_nothing() {
    let mut simulation = Simulation::start(policy(2), Program::Good, 1);
    simulation.run(ms(2_000));
    let other = simulation.life_in(1);
    let mut waits = Vec::new();
    while simulation.count(|a| matches!(a, Announcement::BreakerOpened { .. })) == 0 {
        let victim = simulation.life_in(0);
        simulation.crash(victim, ProcessExit::Code(70));
        if let Some(Announcement::Crashed { restart_in, .. }) = simulation
            .announced
            .iter()
            .rev()
            .find(|a| matches!(a, Announcement::Crashed { .. }))
        {
            waits.push(*restart_in);
        }
        simulation.run_until("the next life", |simulation| {
            simulation.states()[0] != WorkerState::BackingOff
        });
    }
    assert_eq!(waits[0], ms(0), "a long life");
    assert!(
        waits[2] >= ms(50) && waits[3] >= ms(100) && waits[4] >= ms(200),
        "{waits:?}"
    );
    assert!(waits.last().is_some_and(|last| *last >= ms(2_500)), "{waits:?}");
    assert_eq!(simulation.states(), [WorkerState::Degraded, WorkerState::Serving]);
    assert_eq!(simulation.life_in(1), other);
    simulation.run_until("the breaker closes by itself", |simulation| {
        simulation.was_announced(|a| matches!(a, Announcement::BreakerClosed { .. }))
    });
    assert!(simulation.is_at_rest());
}

#[test]
fn a_worker_that_is_never_ready_is_killed_and_tried_again() {
    let mut simulation = Simulation::start(policy(1), Program::NeverReady, 1);
    simulation.run(ms(9_999));
    assert!(simulation.kills.is_empty());
    simulation.run(ms(500));
    assert_eq!(simulation.kills.len(), 1);
    assert_eq!(simulation.life_in(0).epoch, Epoch(2));
}

#[test]
fn a_second_ready_changes_nothing() {
    let mut simulation = Simulation::serving(1);
    let before = simulation.announced.len();
    let life = simulation.life_in(0);
    simulation.happen(Event::Notified {
        life,
        notification: Notification::Ready,
    });
    assert_eq!(simulation.announced.len(), before);
}

#[test]
fn a_hung_worker_is_quarantined_within_half_a_second_then_killed_then_replaced() {
    let mut simulation = Simulation::serving(2);
    simulation.run(ms(3_000));
    let victim = simulation.life_in(0);
    simulation.hang(victim);
    let since = simulation.now;
    simulation.run_until("quarantine", |simulation| {
        simulation.states()[0] == WorkerState::Quarantined
    });
    assert!(simulation.now.since(since) < ms(500));
    assert_eq!(simulation.steered.len(), 1);
    simulation.run_until("kill", |simulation| simulation.kills.contains(&victim));
    let age = simulation.now.since(since);
    assert!(age > ms(4_750) && age < ms(5_600), "{age:?}");
    assert!(simulation.was_announced(|a| matches!(
        a,
        Announcement::Killed {
            reason: KillReason::Hung(Activity::Blocked),
            ..
        }
    )));
    simulation.run(ms(30));
    assert!(
        simulation.is_at_rest(),
        "at full strength within 30 ms of the kill"
    );
}

#[test]
fn a_short_stop_costs_a_quarantine_and_no_kill() {
    let mut simulation = Simulation::serving(2);
    let victim = simulation.life_in(0);
    simulation.hang(victim);
    simulation.run(ms(3_000));
    assert_eq!(simulation.states()[0], WorkerState::Quarantined);
    simulation.wake_up(victim);
    simulation.run(ms(300));
    assert!(simulation.was_announced(|a| matches!(a, Announcement::Returned { .. })));
    assert!(simulation.kills.is_empty());
    assert!(simulation.is_at_rest());
}

#[test]
fn when_all_are_late_they_stay_routed() {
    let mut simulation = Simulation::serving(2);
    for slot in 0..2 {
        let life = simulation.life_in(slot);
        simulation.hang(life);
    }
    simulation.run(ms(1_000));
    assert_eq!(simulation.states(), [WorkerState::Quarantined; 2]);
    assert_eq!(simulation.steered.len(), 2);
}

#[test]
fn a_late_lock_holder_is_killed_soon_and_one_that_beats_is_not() {
    let mut simulation = Simulation::serving(2);
    let (late, beating) = (simulation.life_in(0), simulation.life_in(1));
    for life in [late, beating] {
        simulation.hold_lock(life);
    }
    simulation.hang(late);
    let since = simulation.now;
    simulation.run_until("kill", |simulation| simulation.kills.contains(&late));
    assert!(
        simulation.now.since(since) < ms(700),
        "{:?}",
        simulation.now.since(since)
    );
    assert!(simulation.was_announced(|a| matches!(
        a,
        Announcement::Killed {
            reason: KillReason::HeldLock(_),
            ..
        }
    )));
    simulation.run(ms(10_000));
    assert_eq!(simulation.kills, [late]);
}

#[test]
fn a_starved_worker_is_never_killed() {
    let mut simulation = Simulation::serving(2);
    let victim = simulation.life_in(0);
    simulation.processes.get_mut(&victim).expect("lives").starved = true;
    simulation.run(ms(60_000));
    assert_eq!(simulation.states()[0], WorkerState::Quarantined);
    assert!(simulation.kills.is_empty());
}

#[test]
fn a_stall_of_the_master_is_held_against_no_worker() {
    let mut simulation = Simulation::serving(2);
    let victim = simulation.life_in(0);
    simulation.hang(victim);
    simulation.run(ms(1_000));
    simulation.now = simulation.now + ms(60_000);
    simulation.look();
    simulation.run(ms(1_000));
    assert!(simulation.kills.is_empty(), "a stall of the master");
    assert!(simulation.was_announced(|a| matches!(a, Announcement::Stalled { by, .. } if *by > ms(59_000))));
    simulation.run_until("its own time counts", |simulation| {
        simulation.kills.contains(&victim)
    });
}

#[test]
fn a_stalled_master_gives_booting_and_draining_workers_their_time_back() {
    let mut simulation = Simulation::start(policy(1), Program::NeverReady, 1);
    simulation.run(ms(100));
    simulation.now = simulation.now + ms(3_600_000);
    simulation.look();
    assert!(simulation.kills.is_empty());
    let mut simulation = Simulation::serving(2);
    simulation.drain_time = ms(1_000_000);
    simulation.happen(asked(Request::ScaleBy(-1)));
    simulation.run(ms(1_000));
    simulation.now = simulation.now + ms(40_000);
    simulation.look();
    assert!(simulation.kills.is_empty());
    simulation.run(ms(31_000));
    assert_eq!(simulation.kills.len(), 1);
}

#[test]
fn a_worker_that_says_stopping_is_replaced_while_it_drains() {
    let mut simulation = Simulation::serving(1);
    simulation.run(ms(2_000));
    let goer = simulation.life_in(0);
    simulation.happen(Event::Notified {
        life: goer,
        notification: Notification::Stopping,
    });
    assert_eq!(simulation.states(), [WorkerState::Starting]);
    assert_eq!(
        simulation
            .pool
            .leaving()
            .map(|worker| worker.life)
            .collect::<Vec<_>>(),
        [goer]
    );
    simulation.run(ms(1_000));
    assert!(simulation.is_at_rest());
    assert!(simulation.kills.is_empty());
}

#[test]
fn workers_that_go_by_themselves_again_and_again_back_off() {
    let mut simulation = Simulation::start(policy(1), Program::GoesByItself, 3);
    simulation.run(ms(60_000));
    let lives = simulation.count(|a| matches!(a, Announcement::Starting { .. }));
    assert!((6..40).contains(&lives), "{lives} lives in a minute");
}

#[test]
fn an_idle_master_wakes_four_times_a_second() {
    let mut simulation = Simulation::serving(8);
    simulation.run(ms(1_000));
    let before = simulation.wakes;
    simulation.run(ms(60_000));
    assert!(simulation.wakes - before <= 241, "{}", simulation.wakes - before);
}

#[test]
fn a_slot_that_is_added_is_filled_and_one_that_goes_drains() {
    let mut simulation = Simulation::serving(2);
    simulation.happen(asked(Request::ScaleBy(1)));
    simulation.run(ms(30));
    assert!(simulation.is_at_rest());
    let last = simulation.life_in(2);
    simulation.happen(asked(Request::ScaleBy(-1)));
    assert_eq!((simulation.steered.len(), simulation.pool.workers()), (2, 2));
    assert_eq!(
        simulation
            .pool
            .leaving()
            .map(|worker| worker.life)
            .collect::<Vec<_>>(),
        [last]
    );
    simulation.happen(asked(Request::ScaleBy(1)));
    assert_eq!(simulation.life_in(2).epoch, Epoch(2), "epochs go on");
    simulation.run(ms(100));
    assert!(simulation.is_at_rest() && simulation.kills.is_empty());
}

#[test]
fn the_number_of_slots_has_bounds_that_are_named() {
    let mut simulation = Simulation::serving(1);
    for by in [-1, 1_024, i32::MAX, i32::MIN] {
        simulation.happen(asked(Request::ScaleBy(by)));
        let Some(Announcement::Refused { reason, .. }) = simulation.announced.last() else {
            panic!("{by} went")
        };
        assert!(reason.contains("1 to 1024"), "{reason}");
    }
    assert_eq!(simulation.pool.workers(), 1);
    simulation.batches = true;
    simulation.happen(asked(Request::ScaleBy(1_023)));
    simulation.run(ms(50));
    assert_eq!(simulation.serving_slots(), 1_024);
}

#[test]
fn scaling_down_cuts_no_worker_however_few_may_drain() {
    let mut simulation = Simulation::start(
        Policy {
            max_draining: 2,
            ..policy(40)
        },
        Program::Good,
        1,
    );
    simulation.run(ms(500));
    simulation.drain_time = ms(20_000);
    simulation.happen(asked(Request::ScaleBy(-38)));
    simulation.run(ms(10));
    assert_eq!(
        (simulation.pool.workers(), simulation.pool.leaving().count()),
        (2, 38)
    );
    simulation.run_until("rest", Simulation::is_at_rest);
    assert!(simulation.kills.is_empty());
}

#[test]
fn a_cluster_that_is_scaled_up_and_down_faster_than_it_drains_is_told_to_wait() {
    let mut simulation = Simulation::start(
        Policy {
            max_draining: 2,
            ..policy(4)
        },
        Program::Good,
        1,
    );
    simulation.run(ms(100));
    simulation.drain_time = ms(20_000);
    for by in [-3, 3, -3] {
        simulation.happen(asked(Request::ScaleBy(by)));
        simulation.run(ms(50));
    }
    assert_eq!(
        (simulation.pool.workers(), simulation.pool.leaving().count()),
        (1, 6)
    );
    simulation.happen(asked(Request::ScaleBy(3)));
    simulation.run(ms(50));
    simulation.happen(asked(Request::ScaleBy(-3)));
    let Some(Announcement::Refused { reason, .. }) = simulation.announced.last() else {
        panic!("it went")
    };
    assert!(reason.contains("6 workers drain still"), "{reason}");
    assert!(simulation.kills.is_empty());
    simulation.run(ms(25_000));
    simulation.happen(asked(Request::ScaleBy(-3)));
    assert_eq!(simulation.pool.workers(), 1);
}
