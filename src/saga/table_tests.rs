//! The whole table, cell by cell.

use super::super::definition::ORDER;
use super::*;

type S = State<&'static str>;

const NOW: Monotonic = Monotonic(1_000_000_000_000);
const NO: &str = "no";

fn at(step: usize) -> Try {
    Try::first(step, NOW)
}

fn cause() -> Cause<&'static str> {
    Cause::Refused(NO)
}

fn events() -> [Event<&'static str>; 5] {
    [
        Event::Done,
        Event::Refused(NO),
        Event::Unknown { random: 0 },
        Event::Stalled { random: 0 },
        Event::Fenced,
    ]
}

fn on(state: S, event: Event<&'static str>) -> (S, Effect<&'static str>) {
    state.on(ORDER, NOW, event).expect("a legal pair")
}

fn late(state: S) -> (S, Effect<&'static str>) {
    state
        .on(
            ORDER,
            NOW + Duration::from_secs(3_600),
            Event::Unknown { random: 0 },
        )
        .expect("a legal pair")
}

#[test]
fn without_a_fault_it_reserves_charges_commits_and_is_confirmed() {
    let (mut state, mut effect) = S::begin(ORDER, NOW);
    for command in [Command::Reserve, Command::Charge, Command::Commit] {
        assert_eq!(effect, Effect::Send(command, Duration::ZERO));
        (state, effect) = on(state, Event::Done);
    }
    assert_eq!(effect, Effect::Record(Verdict::Confirmed, Duration::ZERO));
    assert_eq!(
        on(state, Event::Done),
        (State::Ended(Verdict::Confirmed), Effect::Rest)
    );
}

#[test]
fn a_refused_reservation_is_rejected_with_nothing_to_undo() {
    let (state, effect) = on(State::Doing(at(0)), Event::Refused(NO));
    assert_eq!(effect, Effect::Record(Verdict::Rejected(cause()), Duration::ZERO));
    assert_eq!(
        on(state, Event::Done),
        (State::Ended(Verdict::Rejected(cause())), Effect::Rest)
    );
}

#[test]
fn a_declined_charge_releases_the_stock_and_is_rejected() {
    let (state, effect) = on(State::Doing(at(1)), Event::Refused(NO));
    assert_eq!(effect, Effect::Send(Command::Release, Duration::ZERO));
    let (_, effect) = on(state, Event::Done);
    assert_eq!(effect, Effect::Record(Verdict::Rejected(cause()), Duration::ZERO));
}

#[test]
fn a_refusal_after_the_pivot_parks() {
    let (state, effect) = on(State::Doing(at(2)), Event::Refused(NO));
    assert_eq!(effect, Effect::Park(Parking::Contradicted(Command::Commit, NO)));
    assert_eq!(state, State::Parked(Parking::Contradicted(Command::Commit, NO)));
}

#[test]
fn unknown_is_tried_again_with_growing_waits_and_never_compensated() {
    for (index, step) in ORDER.iter().enumerate() {
        let mut state = State::Doing(at(index));
        for unknown in 1..=3 {
            let (next, effect) = on(state, Event::Unknown { random: 7 });
            assert_eq!(effect, Effect::Send(step.command, step.retry.wait(unknown, 7)));
            state = next;
        }
    }
}

#[test]
fn past_the_budget_the_pivot_is_settled_or_once_it_lies_behind_the_saga_is_parked() {
    for (index, step) in ORDER.iter().enumerate() {
        let (_, effect) = late(State::Doing(at(index)));
        match step.phase {
            Phase::Compensable | Phase::Pivot => {
                assert_eq!(effect, Effect::Send(Command::Cancel, Duration::ZERO));
            }
            Phase::Retriable => assert_eq!(effect, Effect::Park(Parking::Unknown(step.command))),
        }
    }
}

#[test]
fn a_settled_charge_that_never_was_is_compensated_and_one_that_was_goes_on() {
    for why in [Command::Reserve, Command::Charge] {
        let (state, effect) = on(State::Settling(at(1), why), Event::Done);
        assert_eq!(effect, Effect::Send(Command::Release, Duration::ZERO));
        assert_eq!(state, State::Undoing(at(0), Cause::GaveUp(why)));
        let (_, effect) = on(State::Settling(at(1), why), Event::Refused(NO));
        assert_eq!(effect, Effect::Send(Command::Commit, Duration::ZERO));
    }
}

#[test]
fn settling_and_undoing_are_retried_and_parked_past_their_budget() {
    for (state, command) in [
        (State::Settling(at(1), Command::Charge), Command::Cancel),
        (State::Undoing(at(0), cause()), Command::Release),
    ] {
        let (_, effect) = on(state.clone(), Event::Unknown { random: 0 });
        assert!(matches!(effect, Effect::Send(again, wait) if again == command && wait > Duration::ZERO));
        assert_eq!(late(state).1, Effect::Park(Parking::Unknown(command)));
    }
    let (_, effect) = on(State::Undoing(at(0), cause()), Event::Refused(NO));
    assert_eq!(effect, Effect::Park(Parking::Contradicted(Command::Release, NO)));
}

#[test]
fn what_could_not_be_tried_spends_no_budget_however_long_it_lasts() {
    let states = [
        State::Doing(at(0)),
        State::Doing(at(1)),
        State::Doing(at(2)),
        State::Settling(at(1), Command::Charge),
        State::Undoing(at(0), cause()),
    ];
    for begun in states {
        let (mut state, mut now) = (begun.clone(), NOW);
        for _ in 0..100 {
            now = now + Duration::from_secs(3_600);
            let (next, effect) = state
                .on(ORDER, now, Event::Stalled { random: 0 })
                .expect("a legal pair");
            assert!(
                matches!(effect, Effect::Send(_, wait) if wait > Duration::ZERO),
                "{begun:?}: {effect:?}"
            );
            state = next;
        }
        let soon = now + Duration::from_secs(1);
        let (state, effect) = state
            .on(ORDER, soon, Event::Unknown { random: 0 })
            .expect("a legal pair");
        assert!(
            matches!(effect, Effect::Send(..)),
            "{begun:?}: a stall spent the budget: {effect:?}"
        );
        let late = soon + Duration::from_secs(3_600);
        let (_, effect) = state
            .on(ORDER, late, Event::Unknown { random: 0 })
            .expect("a legal pair");
        let (before, _) = self::late(begun.clone());
        assert!(!matches!(before, State::Doing(_)), "{begun:?} has no budget");
        assert_eq!(effect, self::late(begun).1, "what is unknown spends it as ever");
    }
}

#[test]
fn what_a_person_gives_up_is_undone_from_the_end_whatever_was_done() {
    let (mut state, mut effect) = S::take_back(ORDER, NOW);
    for command in [Command::Return, Command::Refund, Command::Release] {
        assert_eq!(effect, Effect::Send(command, Duration::ZERO));
        (state, effect) = on(state, Event::Done);
    }
    assert_eq!(
        effect,
        Effect::Record(Verdict::Rejected(Cause::TakenBack), Duration::ZERO)
    );
    assert!(matches!(
        on(state, Event::Done).0,
        State::Ended(Verdict::Rejected(_))
    ));
    let (state, _) = S::take_back(ORDER, NOW);
    assert_eq!(late(state).1, Effect::Park(Parking::Unknown(Command::Return)));
}

#[test]
fn patience_is_what_is_left_of_the_budget() {
    let (state, _) = S::begin(ORDER, NOW);
    assert_eq!(state.patience(ORDER, NOW), Some(ORDER[0].budget));
    assert_eq!(
        state.patience(ORDER, NOW + Duration::from_secs(4)),
        Some(ORDER[0].budget - Duration::from_secs(4))
    );
    assert_eq!(
        state.patience(ORDER, NOW + Duration::from_secs(4_000)),
        Some(Duration::ZERO)
    );
    assert_eq!(S::Lost.patience(ORDER, NOW), None);
}

#[test]
fn what_earlier_owners_spent_is_not_spent_again() {
    let budget = ORDER[1].budget;
    let earlier = Spent::from_iter([(Command::Charge, budget / 2), (Command::Cancel, budget * 2)]);
    let unknown = |state: S, after: Duration| {
        let event = Event::Unknown { random: 0 };
        state
            .after(ORDER, &earlier)
            .on(ORDER, NOW + after, event)
            .expect("a legal pair")
    };
    let charging = || State::Doing(at(1));
    assert_eq!(
        charging().after(ORDER, &earlier).patience(ORDER, NOW),
        Some(budget - budget / 2)
    );
    let (state, effect) = unknown(charging(), budget / 4);
    assert!(matches!(effect, Effect::Send(Command::Charge, _)));
    let (state, effect) = unknown(state, budget / 2);
    assert_eq!(effect, Effect::Send(Command::Cancel, Duration::ZERO));
    let state = state.after(ORDER, &earlier);
    assert_eq!(state.patience(ORDER, NOW), Some(Duration::ZERO), "{state:?}");
    assert_eq!(
        unknown(state, budget / 2).1,
        Effect::Park(Parking::Unknown(Command::Cancel)),
        "after one more try"
    );
    let reserving: S = State::Doing(at(0));
    assert_eq!(
        reserving.clone().after(ORDER, &earlier),
        reserving,
        "another command's is not its own"
    );
}

#[test]
fn what_an_owner_has_spent_is_its_own_time_without_the_stalls() {
    let second = Duration::from_secs(1);
    let spent = |state: &S, seconds: u32| state.spent(ORDER, NOW + second * seconds);
    let earlier = Spent::from_iter([(Command::Charge, second * 5)]);
    let state = S::Doing(at(1)).after(ORDER, &earlier);
    assert_eq!(spent(&state, 3), Some((Command::Charge, second * 3)));
    let stalled = Event::Stalled { random: 0 };
    let unknown = Event::Unknown { random: 0 };
    let (state, _) = state
        .on(ORDER, NOW + second * 3, unknown.clone())
        .expect("a legal pair");
    let (state, _) = state.on(ORDER, NOW + second * 7, stalled).expect("a legal pair");
    assert_eq!(
        spent(&state, 100),
        Some((Command::Charge, second * 3)),
        "until it can be tried"
    );
    let (state, _) = state.on(ORDER, NOW + second * 8, unknown).expect("a legal pair");
    assert_eq!(spent(&state, 9), Some((Command::Charge, second * 5)));
    let settling = State::Settling(at(1), Command::Charge);
    let undoing = State::Undoing(at(0), cause());
    for (state, command) in [(settling, Command::Cancel), (undoing, Command::Release)] {
        assert_eq!(spent(&state, 1), Some((command, second)));
    }
    assert_eq!(S::Lost.spent(ORDER, NOW), None);
    assert_eq!(
        State::Recording(Verdict::<&str>::Confirmed, at(3)).spent(ORDER, NOW),
        None
    );
}

#[test]
fn the_record_is_retried_for_ever() {
    let (_, effect) = late(State::Recording(Verdict::Confirmed, at(3)));
    assert!(matches!(effect, Effect::Record(Verdict::Confirmed, wait) if wait > Duration::ZERO));
}

#[test]
fn a_record_that_contradicts_another_is_an_error() {
    let state: S = State::Recording(Verdict::Confirmed, at(3));
    let error = state
        .clone()
        .on(ORDER, NOW, Event::Refused(NO))
        .expect_err("illegal");
    assert_eq!(
        error,
        Illegal {
            state,
            event: Event::Refused(NO)
        }
    );
}

#[test]
fn whoever_is_fenced_writes_nothing_more() {
    let steps = (0..ORDER.len()).map(|index| State::Doing(at(index)));
    let others = [
        State::Settling(at(1), Command::Reserve),
        State::Undoing(at(0), cause()),
        State::Recording(Verdict::Confirmed, at(3)),
    ];
    for state in steps.chain(others) {
        assert_eq!(on(state, Event::Fenced), (State::Lost, Effect::Rest));
    }
}

#[test]
fn what_is_over_takes_no_event() {
    for state in [
        State::Ended(Verdict::Confirmed),
        State::Parked(Parking::Unknown(Command::Commit)),
        S::Lost,
    ] {
        for event in events() {
            let error = state.clone().on(ORDER, NOW, event.clone()).expect_err("illegal");
            assert_eq!(
                error,
                Illegal {
                    state: state.clone(),
                    event
                }
            );
        }
    }
}
