//! What people ask for, and that each client is told the end exactly once.

use cluster::base::ids::{Generation, Slot};
use cluster::pool::status::WorkerState;
use cluster::pool::{
    Done, Failure, NotLoaded, Outcome, Policy, ProcessExit, Request, StopMode, Ticket, Verdict,
};

use crate::simulation::{FIRST, Program, SECOND, Simulation, asked, failure, ms, policy};

pub(crate) fn refusal(verdict: Verdict) -> String {
    match verdict {
        Verdict::Refused { reason } => reason,
        other => panic!("it was not refused: {other:?}"),
    }
}

#[test]
fn a_reload_tells_its_generation_and_when_each_slot_was_replaced() {
    let mut simulation = Simulation::serving(3);
    let ticket = simulation.ask(Request::Reload);
    simulation.run(ms(900));
    assert_eq!(simulation.verdict(ticket), None, "nothing is said before the end");
    let Verdict::Done(Done::Reloaded(rolled)) = simulation.await_verdict(ticket) else {
        panic!("{:?}", simulation.verdict(ticket))
    };
    assert_eq!((rolled.generation, rolled.from), (SECOND, FIRST));
    assert!(rolled.slots.iter().map(|slot| slot.slot.0).eq(0..3));
    let in_turn = rolled.slots.windows(2);
    assert!(
        in_turn
            .into_iter()
            .all(|pair| pair[0].replaced_after < pair[1].replaced_after)
    );
    assert!(rolled.slots.iter().all(|slot| slot.ready_after == ms(20)));
    assert!(rolled.after >= ms(1_000));
}

#[test]
fn each_way_to_fail_has_its_own_reason() {
    type Case = (Result<(Program, Policy), NotLoaded>, fn(&Failure) -> bool);
    let bad = || NotLoaded::Configuration("line 3: workers".to_owned());
    let no_program = || NotLoaded::Binary("ENOENT".to_owned());
    let good = |program| Ok((program, policy(2)));
    let cases: [Case; 7] = [
        (
            Err(bad()),
            |f| matches!(f, Failure::BadConfiguration { reason } if reason.contains("line 3")),
        ),
        (Err(no_program()), |f| matches!(f, Failure::BadBinary { .. })),
        (good(Program::CannotSpawn), |f| {
            matches!(f, Failure::SpawnFailed { .. })
        }),
        (good(Program::ExitsAtBoot), |f| {
            matches!(
                f,
                Failure::ExitedAtBoot {
                    exit: ProcessExit::Code(1),
                    ..
                }
            )
        }),
        (good(Program::NeverReady), |f| {
            matches!(f, Failure::NeverReady { .. })
        }),
        (good(Program::DiesAfterReady(ms(300))), |f| {
            matches!(
                f,
                Failure::DiedBaking {
                    exit: ProcessExit::Signal(11),
                    ..
                }
            )
        }),
        (good(Program::GoesByItself), |f| {
            matches!(f, Failure::WentByItself { .. })
        }),
    ];
    for (load, is) in cases {
        let mut simulation = Simulation::serving(2);
        simulation.next_load = load.clone();
        let ticket = simulation.ask(Request::Reload);
        let reason = failure(simulation.await_verdict(ticket));
        assert!(is(&reason), "{load:?}: {reason:?}");
        simulation.run_until("rest", Simulation::is_at_rest);
        assert_eq!(simulation.pool.generation(), FIRST);
    }
}

#[test]
fn a_rollout_that_is_undone_tells_what_had_been_replaced() {
    let mut simulation = Simulation::serving(4);
    let ticket = simulation.ask(Request::Reload);
    simulation.run_until("two replaced", |simulation| {
        simulation.generations_in_slots()[..2] == [2, 2]
    });
    simulation.programs.insert(SECOND, Program::ExitsAtBoot);
    let Verdict::Failed {
        slots, generation, ..
    } = simulation.await_verdict(ticket)
    else {
        panic!()
    };
    assert_eq!(
        slots.iter().map(|slot| slot.slot.0).collect::<Vec<_>>(),
        [0, 1, 2],
        "the third booted already; what is given back is not replaced"
    );
    assert_eq!(generation, SECOND);
}

#[test]
fn reloads_that_wait_together_get_one_verdict_and_a_rollback_between_is_kept_apart() {
    let mut simulation = Simulation::serving(2);
    let wishes = [
        Request::Reload,
        Request::Reload,
        Request::Reload,
        Request::Rollback,
        Request::Reload,
    ];
    let tickets = wishes.map(|request| simulation.ask(request));
    let generations: Vec<u32> = tickets
        .iter()
        .map(|ticket| match simulation.await_verdict(*ticket) {
            Verdict::Done(Done::Reloaded(rolled) | Done::RolledBack(rolled)) => rolled.generation.0,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(generations, [2, 3, 3, 2, 4]);
    simulation.run_until("rest", Simulation::is_at_rest);
}

#[test]
fn a_rollback_returns_to_the_last_generation_without_loading_it_and_again_forth() {
    let mut simulation = Simulation::serving(3);
    let none = simulation.ask(Request::Rollback);
    assert!(refusal(simulation.await_verdict(none)).contains("no previous generation"));
    let ticket = simulation.ask(Request::Reload);
    simulation.await_verdict(ticket);
    simulation.run(ms(1_000));
    simulation.least_serving = usize::MAX;
    simulation.next_load = Err(NotLoaded::Binary("not to be loaded".to_owned()));
    for generation in [1, 2, 1] {
        let ticket = simulation.ask(Request::Rollback);
        let verdict = simulation.await_verdict(ticket);
        assert!(
            matches!(&verdict, Verdict::Done(Done::RolledBack(rolled)) if rolled.generation.0 == generation)
        );
        simulation.run_until("rest", Simulation::is_at_rest);
        assert_eq!(simulation.generations_in_slots(), [generation; 3]);
    }
    assert_eq!(simulation.least_serving, 3);
}

#[test]
fn a_rollback_that_fails_leaves_the_current_generation_and_the_way_back() {
    let mut simulation = Simulation::serving(2);
    let ticket = simulation.ask(Request::Reload);
    simulation.await_verdict(ticket);
    simulation.run_until("rest", Simulation::is_at_rest);
    simulation.programs.insert(FIRST, Program::ExitsAtBoot);
    let ticket = simulation.ask(Request::Rollback);
    assert!(matches!(
        failure(simulation.await_verdict(ticket)),
        Failure::ExitedAtBoot { .. }
    ));
    simulation.run_until("rest", Simulation::is_at_rest);
    assert_eq!(
        (simulation.pool.generation(), simulation.pool.previous()),
        (SECOND, Some(FIRST))
    );
}

#[test]
fn only_the_last_two_generations_stay_loaded() {
    let mut simulation = Simulation::serving(2);
    for _ in 0..5 {
        let ticket = simulation.ask(Request::Reload);
        simulation.await_verdict(ticket);
        simulation.run_until("rest", Simulation::is_at_rest);
    }
    assert_eq!(
        simulation.pool.loaded_generations().collect::<Vec<_>>(),
        [Generation(5), Generation(6)]
    );
}

#[test]
fn a_restart_replaces_one_worker_before_it_goes() {
    let mut simulation = Simulation::serving(3);
    simulation.least_serving = usize::MAX;
    let old = simulation.life_in(1);
    let ticket = simulation.ask(Request::Restart(Slot(1)));
    let Verdict::Done(Done::Restarted { slot, from, to, .. }) = simulation.await_verdict(ticket) else {
        panic!()
    };
    assert_eq!((slot, from, to), (Slot(1), Some(old), simulation.life_in(1)));
    assert_ne!(to, old);
    simulation.run_until("rest", Simulation::is_at_rest);
    assert_eq!(simulation.least_serving, 3);
    let none = simulation.ask(Request::Restart(Slot(3)));
    assert!(refusal(simulation.await_verdict(none)).contains("expected 0 to 2"));
}

#[test]
fn a_restart_whose_replacement_fails_leaves_the_old_worker_where_it_is() {
    let mut simulation = Simulation::serving(2);
    let old = simulation.life_in(0);
    simulation.programs.insert(FIRST, Program::ExitsAtBoot);
    let ticket = simulation.ask(Request::Restart(Slot(0)));
    assert!(matches!(
        failure(simulation.await_verdict(ticket)),
        Failure::ExitedAtBoot { .. }
    ));
    simulation.run_until("rest", Simulation::is_at_rest);
    assert_eq!(simulation.life_in(0), old);
}

#[test]
fn a_drained_slot_stays_empty_its_queue_adopted_until_it_is_restarted() {
    let mut simulation = Simulation::serving(2);
    simulation.drain_time = ms(400);
    let old = simulation.life_in(1);
    let ticket = simulation.ask(Request::Drain(Slot(1)));
    simulation.run(ms(300));
    assert_eq!(simulation.verdict(ticket), None, "it still drains");
    assert_eq!(simulation.adopters.get(&Slot(1)), Some(&simulation.life_in(0)));
    let Verdict::Done(Done::Drained { life, .. }) = simulation.await_verdict(ticket) else {
        panic!()
    };
    assert_eq!(life, Some(old));
    simulation.run(ms(60_000));
    assert_eq!(simulation.states(), [WorkerState::Serving, WorkerState::Drained]);
    let again = simulation.ask(Request::Drain(Slot(1)));
    assert!(matches!(
        simulation.await_verdict(again),
        Verdict::Done(Done::Drained { life: None, .. })
    ));
    let last = simulation.ask(Request::Drain(Slot(0)));
    assert!(refusal(simulation.await_verdict(last)).contains("no worker would serve"));
    let back = simulation.ask(Request::Restart(Slot(1)));
    assert!(matches!(
        simulation.await_verdict(back),
        Verdict::Done(Done::Restarted { from: None, .. })
    ));
    assert_eq!(simulation.states(), [WorkerState::Serving; 2]);
    assert!(simulation.adopters.is_empty());
}

#[test]
fn a_reload_passes_over_a_drained_slot_which_then_restarts_with_the_new_generation() {
    let mut simulation = Simulation::serving(3);
    let drained = simulation.ask(Request::Drain(Slot(0)));
    simulation.await_verdict(drained);
    let ticket = simulation.ask(Request::Reload);
    let Verdict::Done(Done::Reloaded(rolled)) = simulation.await_verdict(ticket) else {
        panic!()
    };
    assert_eq!(
        rolled.slots.iter().map(|slot| slot.slot.0).collect::<Vec<_>>(),
        [1, 2]
    );
    simulation.run_until("rest", Simulation::is_at_rest);
    assert_eq!(simulation.states()[0], WorkerState::Drained);
    let again = simulation.ask(Request::Reload);
    simulation.await_verdict(again);
    simulation.run_until("rest, and the first generation let go", Simulation::is_at_rest);
    let back = simulation.ask(Request::Restart(Slot(0)));
    simulation.await_verdict(back);
    assert_eq!(simulation.generations_in_slots(), [3, 3, 3]);
}

#[test]
fn scaling_to_drained_slots_alone_is_refused_until_one_of_them_serves() {
    let mut simulation = Simulation::serving(2);
    let drained = simulation.ask(Request::Drain(Slot(0)));
    simulation.await_verdict(drained);
    let refused = simulation.ask(Request::ScaleTo(1));
    let Verdict::Refused { reason } = simulation.await_verdict(refused) else {
        panic!("the only worker that serves went")
    };
    assert!(reason.contains("none of the slots that would stay"), "{reason}");
    assert_eq!(simulation.serving_slots(), 1);
    let filled = simulation.ask(Request::Restart(Slot(0)));
    simulation.await_verdict(filled);
    simulation.least_serving = usize::MAX;
    let down = simulation.ask(Request::ScaleTo(1));
    simulation.await_verdict(down);
    simulation.run(ms(100));
    assert_eq!(simulation.states(), [WorkerState::Serving]);
    assert!(simulation.least_serving >= 1);
}

#[test]
fn a_reload_that_adds_slots_is_answered_when_they_serve_or_have_come_to_nothing() {
    let mut simulation = Simulation::serving(2);
    simulation.next_load = Ok((Program::Good, policy(4)));
    let reload = simulation.ask(Request::Reload);
    assert!(matches!(
        simulation.await_verdict(reload),
        Verdict::Done(Done::Reloaded(_))
    ));
    assert_eq!(simulation.serving_slots(), 4);
}

#[test]
fn a_stop_answers_every_client_before_it_is_over() {
    let mut simulation = Simulation::serving(2);
    let up = simulation.ask(Request::ScaleTo(3));
    let reload = simulation.ask(Request::Reload);
    let queued = simulation.ask(Request::Restart(Slot(0)));
    let drain = simulation.ask(Request::Drain(Slot(0)));
    let stop = simulation.ask(Request::Stop(StopMode::Graceful));
    let late = simulation.ask(Request::Reload);
    simulation.run(ms(1_000));
    assert_eq!(simulation.exit, Some(Outcome::Stopped));
    assert_eq!(failure(simulation.verdicts[&up].clone()), Failure::Stopped);
    assert_eq!(failure(simulation.verdicts[&reload].clone()), Failure::Stopped);
    for ticket in [queued, drain, late] {
        assert!(refusal(simulation.verdicts[&ticket].clone()).contains("stopping"));
    }
    let outcome = Outcome::Stopped;
    assert_eq!(
        simulation.verdicts[&stop],
        Verdict::Done(Done::Stopped {
            outcome,
            counted: true
        })
    );
}

#[test]
fn a_slot_that_is_removed_under_its_restart_fails_it() {
    let mut simulation = Simulation::serving(2);
    let ticket = simulation.ask(Request::Restart(Slot(1)));
    simulation.happen(asked(Request::ScaleTo(1)));
    assert_eq!(
        failure(simulation.await_verdict(ticket)),
        Failure::SlotRemoved { slot: Slot(1) }
    );
    simulation.run_until("rest", Simulation::is_at_rest);
}

#[test]
fn no_more_than_sixty_four_may_wait_and_signals_always_may() {
    let mut simulation = Simulation::serving(1);
    for _ in 0..64 {
        simulation.ask(Request::Reload);
    }
    let one_more = simulation.ask(Request::Reload);
    assert!(refusal(simulation.await_verdict(one_more)).contains("64 others"));
    simulation.happen(asked(Request::Reload));
    assert!(!simulation.verdicts.contains_key(&Ticket::NOBODY));
    simulation.run_until("rest", Simulation::is_at_rest);
    assert_eq!(simulation.pool.generation(), Generation(3));
}
