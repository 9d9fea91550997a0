//! Requests for another number of slots, and what becomes of those that cannot be met.

use cluster::pool::status::WorkerState;
use cluster::pool::{Announcement, Done, Failure, ProcessExit, Request, Ticket, Verdict};

use crate::requests::refusal;
use crate::simulation::{FIRST, Program, Simulation, asked, failure, ms, policy};

#[test]
fn scaling_is_answered_when_every_added_slot_serves() {
    let mut simulation = Simulation::serving(2);
    let up = simulation.ask(Request::ScaleTo(4));
    simulation.run(ms(10));
    assert_eq!(simulation.verdict(up), None);
    assert_eq!(
        simulation.await_verdict(up),
        Verdict::Done(Done::Scaled { from: 2, to: 4 })
    );
    assert_eq!(simulation.serving_slots(), 4);
    let down = simulation.ask(Request::ScaleBy(-3));
    assert_eq!(
        simulation.verdict(down),
        Some(&Verdict::Done(Done::Scaled { from: 4, to: 1 }))
    );
    simulation.programs.insert(FIRST, Program::ExitsAtBoot);
    let bad = simulation.ask(Request::ScaleTo(2));
    assert!(matches!(
        failure(simulation.await_verdict(bad)),
        Failure::ExitedAtBoot { .. }
    ));
    assert_eq!(simulation.pool.slots().count(), 1, "it was not backed out");
    for to in [0, 1_025, 10_000] {
        let ticket = simulation.ask(Request::ScaleTo(to));
        assert!(refusal(simulation.await_verdict(ticket)).contains("1 to 1024"));
    }
}

#[test]
fn a_scale_that_cannot_be_done_goes_back_to_the_former_size_with_whatever_was_added_on_it() {
    let mut simulation = Simulation::serving(2);
    simulation.programs.insert(FIRST, Program::CannotSpawn);
    let bad = simulation.ask(Request::ScaleTo(4));
    assert!(matches!(
        failure(simulation.await_verdict(bad)),
        Failure::SpawnFailed { .. }
    ));
    assert_eq!(simulation.states(), [WorkerState::Serving; 2]);
    simulation.programs.insert(FIRST, Program::ExitsAtBoot);
    for ticket in [4, 6].map(|to| simulation.ask(Request::ScaleTo(to))) {
        assert!(matches!(
            failure(simulation.await_verdict(ticket)),
            Failure::ExitedAtBoot { .. }
        ));
    }
    simulation.run_until("rest", Simulation::is_at_rest);
    assert_eq!(simulation.states(), [WorkerState::Serving; 2]);
}

/// The scalings that were given up: from, to.
fn given_up(simulation: &Simulation) -> Vec<(u16, u16)> {
    let scales = simulation.announced.iter().filter_map(|said| match said {
        Announcement::ScaleFailed { from, to, .. } => Some((*from, *to)),
        _ => None,
    });
    scales.collect()
}

#[test]
fn a_scale_that_nobody_waits_for_has_a_verdict_too() {
    let mut simulation = Simulation::serving(2);
    simulation.happen(asked(Request::ScaleBy(1)));
    simulation.run_until("three", |simulation| simulation.serving_slots() == 3);
    simulation.programs.insert(FIRST, Program::ExitsAtBoot);
    for _ in 0..2 {
        simulation.happen(asked(Request::ScaleBy(1)));
    }
    simulation.run_until("a verdict", |simulation| !given_up(simulation).is_empty());
    assert_eq!(given_up(&simulation), [(3, 5)]);
    simulation.run_until("rest", Simulation::is_at_rest);
    assert_eq!(simulation.states(), [WorkerState::Serving; 3]);
    assert!(!simulation.verdicts.contains_key(&Ticket::NOBODY));
    // A slot that has served once is filled again, whatever becomes of its workers.
    let life = simulation.life_in(2);
    simulation.crash(life, ProcessExit::Signal(9));
    simulation.run(ms(1_000));
    assert_eq!(simulation.pool.slots().count(), 3);
    assert_eq!(given_up(&simulation).len(), 1);
}

#[test]
fn a_reload_by_signal_whose_added_slots_cannot_serve_goes_back_to_the_former_number() {
    let mut simulation = Simulation::serving(1);
    simulation.next_load = Ok((Program::Good, policy(2)));
    simulation.happen(asked(Request::Reload));
    simulation.run_until("the second slot", |simulation| {
        simulation.pool.slots().count() == 2
    });
    let life = simulation.life_in(1);
    simulation.crash(life, ProcessExit::Signal(9));
    assert_eq!(given_up(&simulation), [(1, 2)]);
    simulation.run_until("rest", Simulation::is_at_rest);
    assert_eq!(simulation.states(), [WorkerState::Serving; 1]);
}
