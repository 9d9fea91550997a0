//! How a cluster stops, drains and gives up.

use cluster::base::ids::Slot;
use cluster::pool::{Outcome, Policy, ProcessExit, Request, StopMode};

use crate::simulation::{Program, Simulation, asked, ms, policy};

const SIGKILL: ProcessExit = ProcessExit::Signal(9);

#[test]
fn a_graceful_stop_drains_everyone() {
    let mut simulation = Simulation::serving(3);
    simulation.stop(StopMode::Graceful);
    assert!(simulation.steered.is_empty());
    simulation.run(ms(1_000));
    assert_eq!(simulation.exit, Some(Outcome::Stopped));
    assert!(simulation.kills.is_empty());
}

#[test]
fn a_stop_with_more_workers_than_may_drain_cuts_no_worker() {
    let mut simulation = Simulation::serving(8);
    simulation.stop(StopMode::Graceful);
    simulation.run(ms(1_000));
    assert_eq!(
        (simulation.exit, simulation.kills.len()),
        (Some(Outcome::Stopped), 0)
    );
}

#[test]
fn a_drain_that_takes_too_long_is_cut_and_told() {
    let mut simulation = Simulation::serving(1);
    simulation.drain_time = ms(60_000);
    simulation.stop(StopMode::Graceful);
    simulation.run(ms(29_000));
    assert_eq!(simulation.exit, None);
    simulation.run(ms(2_000));
    assert_eq!(simulation.exit, Some(Outcome::Cut));
}

#[test]
fn the_second_stop_is_at_once() {
    let mut simulation = Simulation::serving(2);
    simulation.drain_time = ms(60_000);
    simulation.stop(StopMode::Graceful);
    simulation.run(ms(100));
    simulation.stop(StopMode::Graceful);
    simulation.run(ms(2));
    assert_eq!(simulation.exit, Some(Outcome::Cut));
}

/// A simulation that was asked to stop in 5 s.
fn delayed(workers: u16) -> Simulation {
    let policy = Policy {
        stop_delay: ms(5_000),
        ..policy(workers)
    };
    let mut simulation = Simulation::start(policy, Program::Good, 42);
    simulation.run(ms(100));
    simulation.stop(StopMode::Graceful);
    simulation
}

#[test]
fn a_delayed_stop_serves_on_then_drains() {
    let mut simulation = delayed(3);
    assert_eq!(simulation.forewarned.len(), 3);
    simulation.run(ms(4_900));
    assert_eq!((simulation.serving_slots(), simulation.exit), (3, None));
    simulation.run(ms(1_000));
    assert_eq!(
        (simulation.exit, simulation.kills.len()),
        (Some(Outcome::Stopped), 0)
    );
}

#[test]
fn a_worker_that_dies_during_the_delay_is_replaced_and_told() {
    let mut simulation = delayed(2);
    let dead = simulation.life_in(0);
    simulation.run(ms(2_000));
    simulation.crash(dead, SIGKILL);
    simulation.run(ms(1_000));
    let next = simulation.life_in(0);
    assert_ne!(next, dead);
    assert!(simulation.forewarned.contains(&next));
}

#[test]
fn a_second_stop_ends_the_delay_and_a_third_the_drain() {
    let mut simulation = delayed(2);
    simulation.drain_time = ms(60_000);
    simulation.run(ms(1_000));
    simulation.stop(StopMode::Graceful);
    assert!(simulation.steered.is_empty());
    assert_eq!((simulation.exit, simulation.kills.len()), (None, 0));
    simulation.stop(StopMode::Graceful);
    assert_eq!(simulation.kills.len(), 2);
}

#[test]
fn a_stop_at_once_has_no_delay() {
    let mut simulation = delayed(2);
    simulation.stop(StopMode::AtOnce);
    simulation.run(ms(2));
    assert_eq!(simulation.exit, Some(Outcome::Stopped));
}

#[test]
fn what_is_under_way_ends_with_the_delay_and_nothing_is_begun_in_it() {
    let policy = Policy {
        stop_delay: ms(5_000),
        ..policy(2)
    };
    for request in [Request::Reload, Request::Restart(Slot(1)), Request::Upgrade] {
        let mut simulation = Simulation::start(policy.clone(), Program::Good, 42);
        simulation.run(ms(100));
        let under_way = simulation.ask(request);
        simulation.run(ms(10));
        let queued = simulation.ask(Request::Restart(Slot(0)));
        simulation.stop(StopMode::Graceful);
        let late = simulation.ask(Request::Reload);
        for ticket in [under_way, queued, late] {
            assert!(simulation.verdict(ticket).is_some(), "{request:?}: {ticket:?}");
        }
        assert!(simulation.pool.replacement().is_none());
        simulation.run(ms(4_000));
        assert_eq!((simulation.serving_slots(), simulation.exit), (2, None));
        simulation.run(ms(2_000));
        assert_eq!(simulation.exit, Some(Outcome::Stopped), "{request:?}");
    }
}

#[test]
fn a_stop_is_not_delayed_when_no_worker_serves() {
    let policy = Policy {
        stop_delay: ms(5_000),
        ..policy(2)
    };
    let mut simulation = Simulation::start(policy, Program::NeverReady, 42);
    simulation.run(ms(100));
    simulation.stop(StopMode::Graceful);
    assert!(simulation.pool.is_stopping());
}

#[test]
fn a_stop_at_once_kills_those_who_serve_boot_and_drain() {
    let mut simulation = Simulation::serving(3);
    simulation.drain_time = ms(60_000);
    simulation.happen(asked(Request::ScaleBy(-1)));
    simulation.happen(asked(Request::ScaleBy(1)));
    simulation.stop(StopMode::AtOnce);
    simulation.run(ms(2));
    assert_eq!((simulation.exit, simulation.kills.len()), (Some(Outcome::Cut), 4));
    let mut simulation = Simulation::serving(2);
    simulation.stop(StopMode::AtOnce);
    simulation.run(ms(2));
    assert_eq!(
        simulation.exit,
        Some(Outcome::Stopped),
        "nothing was draining, nothing was cut short"
    );
}

#[test]
fn a_hung_worker_does_not_hold_up_a_stop_for_the_whole_drain() {
    let mut simulation = Simulation::serving(2);
    let life = simulation.life_in(0);
    simulation.hang(life);
    simulation.stop(StopMode::Graceful);
    simulation.run(ms(6_000));
    assert_eq!(simulation.exit, Some(Outcome::Cut));
}

#[test]
fn a_program_that_never_boots_is_given_up() {
    for program in [Program::ExitsAtBoot, Program::CannotSpawn] {
        let mut simulation = Simulation::start(policy(3), program, 5);
        simulation.run(ms(10_000));
        assert_eq!(simulation.exit, Some(Outcome::NeverReady), "{program:?}");
    }
}

#[test]
fn one_that_was_ready_once_is_never_given_up() {
    let mut simulation = Simulation::serving(2);
    simulation
        .programs
        .insert(crate::simulation::FIRST, Program::ExitsAtBoot);
    for slot in 0..2 {
        let life = simulation.life_in(slot);
        simulation.crash(life, SIGKILL);
    }
    simulation.run(ms(120_000));
    assert_eq!(simulation.exit, None);
    simulation
        .programs
        .insert(crate::simulation::FIRST, Program::Good);
    simulation.run(ms(10_000));
    assert!(simulation.is_at_rest());
}
