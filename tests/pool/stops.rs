//! How a cluster stops, drains and gives up.

use cluster::pool::{Outcome, ProcessExit, Request, StopMode};

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
