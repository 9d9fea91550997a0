//! When the first worker of a new generation backs its rollout out.

use cluster::base::ids::Slot;
use cluster::pool::status::WorkerState;
use cluster::pool::{Announcement, Done, Event, Failure, Request, Share, Verdict};

use crate::simulation::{SECOND, Simulation, failure, ms};

#[test]
fn a_canary_whose_readiness_does_not_hold_backs_out() {
    for (said, words) in [("the store is closed", "closed"), ("silence", "no answer")] {
        let mut simulation = Simulation::serving(2);
        simulation.readiness = Err(said.to_owned());
        let ticket = simulation.ask(Request::Reload);
        let reason = failure(simulation.await_verdict(ticket));
        assert!(
            matches!(&reason, Failure::ReadinessFailed { reason, .. } if reason.contains(words)),
            "{reason:?}"
        );
        assert!(
            (1..=6).contains(&simulation.probes.len()),
            "asked {} times",
            simulation.probes.len()
        );
        simulation.run_until("rest", Simulation::is_at_rest);
    }
}

#[test]
fn a_canary_that_is_not_ready_for_a_moment_is_asked_again() {
    let mut simulation = Simulation::serving(2);
    simulation.readiness = Err("busy".to_owned());
    let ticket = simulation.ask(Request::Reload);
    simulation.run(ms(300));
    simulation.readiness = Ok(());
    assert!(matches!(
        simulation.await_verdict(ticket),
        Verdict::Done(Done::Reloaded(_))
    ));
}

/// Lets every worker answer more requests: the canary the first number, every other worker the second.
fn answer(simulation: &mut Simulation, new: (u64, u64), old: (u64, u64)) {
    for process in simulation.processes.values_mut() {
        let (requests, errors) = if process.generation == SECOND { new } else { old };
        process.sample.requests += requests;
        process.sample.server_errors += errors;
    }
}

#[test]
fn a_canary_that_answers_worse_backs_out_and_one_that_answers_alike_does_not() {
    let cases = [
        // Of the canary and of each of two old ones: answers, 5xx.
        ((100, 20), (100, 0), true),
        ((20, 2), (0, 0), true),
        ((19, 19), (1_000, 0), true),
        ((3, 3), (5, 0), true),
        ((19, 19), (4, 0), false),
        ((19, 19), (1_000, 60), false),
        ((19, 2), (1_000, 0), false),
        ((20, 1), (1_000, 0), false),
        ((100, 20), (100, 16), false),
        ((100, 22), (100, 16), true),
        ((100, 5), (100, 0), false),
        ((1_000, 0), (0, 0), false),
    ];
    for (new, old, worse) in cases {
        let mut simulation = Simulation::serving(2);
        // What was answered before the canary came counts for nothing.
        answer(&mut simulation, (0, 0), (1_000_000, 900_000));
        simulation.run(ms(1_000));
        let ticket = simulation.ask(Request::Reload);
        simulation.run(ms(300));
        answer(&mut simulation, new, old);
        let verdict = simulation.await_verdict(ticket);
        let backed_out = matches!(
            &verdict,
            Verdict::Failed { reason: Failure::AnswersWorse { new: share, .. }, .. }
                if *share == Share { requests: new.0, server_errors: new.1, refused: 0 }
        );
        assert_eq!(backed_out, worse, "{new:?} {old:?}: {verdict:?}");
    }
}

#[test]
fn a_canary_that_has_no_room_for_its_clients_backs_out() {
    let mut simulation = Simulation::serving(2);
    let ticket = simulation.ask(Request::Reload);
    simulation.run(ms(300));
    answer(&mut simulation, (100, 0), (100, 0));
    for process in simulation.processes.values_mut() {
        if process.generation == SECOND {
            process.sample.refused += 60;
        }
    }
    let verdict = simulation.await_verdict(ticket);
    let Verdict::Failed { reason, .. } = &verdict else {
        panic!("{verdict:?}");
    };
    assert!(
        reason.to_string().contains(
            "60 of 160 with 5xx (60 at the door, for want of room), the old generation 0 of 200 with 5xx"
        ),
        "{reason}"
    );
}

#[test]
fn the_only_slot_that_serves_is_not_removed_under_the_canary() {
    let mut simulation = Simulation::serving(2);
    let drained = simulation.ask(Request::Drain(Slot(0)));
    simulation.await_verdict(drained);
    let ticket = simulation.ask(Request::Reload);
    simulation.run(ms(500));
    let scale = simulation.ask(Request::ScaleTo(1));
    assert!(matches!(simulation.await_verdict(scale), Verdict::Refused { .. }));
    assert!(matches!(
        simulation.await_verdict(ticket),
        Verdict::Done(Done::Reloaded(_))
    ));
    assert_eq!(simulation.states(), [WorkerState::Drained, WorkerState::Serving]);
}

#[test]
fn a_verdict_of_another_canary_is_dropped() {
    let mut simulation = Simulation::serving(2);
    simulation.readiness = Err("silence".to_owned());
    let ticket = simulation.ask(Request::Reload);
    simulation.run(ms(500));
    let other = simulation.life_in(0);
    simulation.happen(Event::Probed {
        life: other,
        verdict: Ok(()),
    });
    simulation.run(ms(2_000));
    assert_eq!(simulation.generations_in_slots(), [1, 1]);
    assert!(matches!(
        failure(simulation.await_verdict(ticket)),
        Failure::ReadinessFailed { .. }
    ));
    assert!(simulation.was_announced(|a| matches!(a, Announcement::BackedOut { .. })));
}
