//! When a stub refuses in the workers' place: only while the breaker of every slot is open and no worker may
//! accept.

use cluster::pool::{Announcement, Event, Outcome, ProcessExit, Request, StopMode};

use crate::simulation::{FIRST, Program, Simulation, asked, ms, policy};

const SIGKILL: ProcessExit = ProcessExit::Signal(9);

fn stub_deaths(simulation: &Simulation) -> usize {
    let is_death = |said: &&Announcement| matches!(said, Announcement::StubEnded { .. });
    simulation.announced.iter().filter(is_death).count()
}

fn stub_died(simulation: &mut Simulation) {
    assert!(std::mem::take(&mut simulation.stub));
    let reason = "was ended by signal 9".to_owned();
    simulation.happen(Event::StubEnded { reason });
}

/// A simulation whose workers all keep dying, so that a stub runs.
fn outage(workers: u16) -> Simulation {
    let mut simulation = Simulation::serving(workers);
    simulation.programs.insert(FIRST, Program::ExitsAtBoot);
    for slot in 0..workers {
        let life = simulation.life_in(slot);
        simulation.crash(life, SIGKILL);
    }
    simulation.run_until("a stub", |simulation| simulation.stub);
    simulation
}

#[test]
fn a_stub_comes_with_the_last_breaker_and_goes_with_the_first_ready_worker() {
    let mut simulation = outage(2);
    assert!(simulation.pool.slots().all(|slot| slot.breaker_open));
    assert!(simulation.pool.refuses());
    simulation.run(ms(60_000));
    assert!(simulation.stub, "slow tries that fail change nothing");
    simulation.programs.insert(FIRST, Program::Good);
    simulation.run_until("a worker", |simulation| simulation.serving_slots() > 0);
    assert!(!simulation.stub && !simulation.pool.refuses());
}

#[test]
fn no_stub_during_a_boot_a_restart_or_while_one_slot_serves() {
    let mut simulation = Simulation::start(policy(1), Program::Good, 42);
    assert!(!simulation.stub, "a boot");
    simulation.run(ms(100));
    for _ in 0..3 {
        let life = simulation.life_in(0);
        simulation.crash(life, SIGKILL);
        assert!(!simulation.stub, "a restart");
        simulation.run_until("a worker", |simulation| simulation.serving_slots() == 1);
    }
    let mut simulation = Simulation::serving(2);
    simulation.programs.insert(FIRST, Program::ExitsAtBoot);
    let life = simulation.life_in(1);
    simulation.crash(life, SIGKILL);
    simulation.run(ms(60_000));
    assert!(simulation.pool.slots().any(|slot| slot.breaker_open));
    assert!(!simulation.stub, "the other slot serves");
}

#[test]
fn a_stub_that_dies_is_followed_by_another_and_not_at_once() {
    let mut simulation = outage(1);
    stub_died(&mut simulation);
    simulation.run(ms(900));
    assert!(!simulation.stub && simulation.pool.refuses());
    simulation.run_until("another stub", |simulation| simulation.stub);
    assert_eq!(stub_deaths(&simulation), 1);
}

#[test]
fn the_late_news_of_a_stub_that_was_let_go_changes_nothing() {
    let mut simulation = outage(1);
    simulation.programs.insert(FIRST, Program::Good);
    simulation.run_until("a worker", |simulation| simulation.serving_slots() > 0);
    let reason = "exited with code 0".to_owned();
    simulation.happen(Event::StubEnded { reason });
    simulation.run(ms(5_000));
    assert!(!simulation.stub);
    assert_eq!(stub_deaths(&simulation), 0);
}

#[test]
fn a_stop_ends_the_stub_too() {
    for mode in [StopMode::Graceful, StopMode::AtOnce] {
        let mut simulation = outage(2);
        simulation.stop(mode);
        assert!(!simulation.stub);
        simulation.run(ms(1_000));
        assert_eq!(simulation.exit, Some(Outcome::Stopped));
    }
}

#[test]
fn a_reload_that_heals_ends_the_stub_and_one_that_fails_does_not() {
    let mut simulation = outage(2);
    simulation.next_load = Ok((Program::ExitsAtBoot, policy(2)));
    let failing = simulation.ask(Request::Reload);
    simulation.await_verdict(failing);
    assert!(simulation.stub);
    simulation.next_load = Ok((Program::Good, policy(2)));
    let healing = simulation.ask(Request::Reload);
    simulation.await_verdict(healing);
    assert!(!simulation.stub);
    assert_eq!(simulation.generations_in_slots().len(), 2);
}

#[test]
fn a_new_master_starts_a_stub_of_its_own() {
    let mut simulation = outage(1);
    simulation.happen(asked(Request::Upgrade));
    // The stub of the old master sees its end.
    simulation.run_until("the next master", |simulation| simulation.masters == 1);
    assert!(simulation.stub && simulation.pool.refuses());
    stub_died(&mut simulation);
    simulation.run_until("another stub", |simulation| simulation.stub);
}
