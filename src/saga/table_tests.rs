//! Every cell of the saga's table.

use super::super::definition::ORDER;
use super::*;

type S = SagaState<&'static str>;

const NOW: Monotonic = Monotonic(1_000_000_000_000);
const NO: &str = "no";

fn at(step: usize) -> Attempt {
    Attempt::first(step, NOW)
}

fn cause() -> RejectionCause<&'static str> {
    RejectionCause::Refused(NO)
}

fn events() -> [SagaEvent<&'static str>; 5] {
    [
        SagaEvent::Done,
        SagaEvent::Refused(NO),
        SagaEvent::Unknown { random: 0 },
        SagaEvent::Stalled { random: 0 },
        SagaEvent::Fenced,
    ]
}

fn on(state: S, event: SagaEvent<&'static str>) -> (S, SagaEffect<&'static str>) {
    state.on(ORDER, NOW, event).expect("a legal pair")
}

fn late(state: S) -> (S, SagaEffect<&'static str>) {
    state
        .on(
            ORDER,
            NOW + Duration::from_secs(3_600),
            SagaEvent::Unknown { random: 0 },
        )
        .expect("a legal pair")
}

#[test]
fn without_a_fault_it_reserves_charges_commits_and_is_confirmed() {
    let (mut state, mut effect) = S::begin(ORDER, NOW);
    for command in [SagaCommand::Reserve, SagaCommand::Charge, SagaCommand::Commit] {
        assert_eq!(effect, SagaEffect::Send(command, Duration::ZERO));
        (state, effect) = on(state, SagaEvent::Done);
    }
    assert_eq!(effect, SagaEffect::Record(SagaVerdict::Confirmed, Duration::ZERO));
    assert_eq!(
        on(state, SagaEvent::Done),
        (SagaState::Ended(SagaVerdict::Confirmed), SagaEffect::Stop)
    );
}

#[test]
fn a_refused_reservation_is_rejected_with_nothing_to_undo() {
    let (state, effect) = on(SagaState::Doing(at(0)), SagaEvent::Refused(NO));
    assert_eq!(
        effect,
        SagaEffect::Record(SagaVerdict::Rejected(cause()), Duration::ZERO)
    );
    assert_eq!(
        on(state, SagaEvent::Done),
        (SagaState::Ended(SagaVerdict::Rejected(cause())), SagaEffect::Stop)
    );
}

#[test]
fn a_declined_charge_releases_the_stock_and_is_rejected() {
    let (state, effect) = on(SagaState::Doing(at(1)), SagaEvent::Refused(NO));
    assert_eq!(effect, SagaEffect::Send(SagaCommand::Release, Duration::ZERO));
    let (_, effect) = on(state, SagaEvent::Done);
    assert_eq!(
        effect,
        SagaEffect::Record(SagaVerdict::Rejected(cause()), Duration::ZERO)
    );
}

#[test]
fn a_refusal_after_the_pivot_parks() {
    let (state, effect) = on(SagaState::Doing(at(2)), SagaEvent::Refused(NO));
    assert_eq!(
        effect,
        SagaEffect::Park(ParkReason::Contradicted(SagaCommand::Commit, NO))
    );
    assert_eq!(
        state,
        SagaState::Parked(ParkReason::Contradicted(SagaCommand::Commit, NO))
    );
}

#[test]
fn unknown_is_tried_again_with_growing_waits_and_never_compensated() {
    for (index, step) in ORDER.iter().enumerate() {
        let mut state = SagaState::Doing(at(index));
        for unknown in 1..=3 {
            let (next, effect) = on(state, SagaEvent::Unknown { random: 7 });
            assert_eq!(
                effect,
                SagaEffect::Send(step.command, step.retry.wait(unknown, 7))
            );
            state = next;
        }
    }
}

#[test]
fn past_the_budget_the_pivot_is_settled_or_once_it_lies_behind_the_saga_is_parked() {
    for (index, step) in ORDER.iter().enumerate() {
        let (_, effect) = late(SagaState::Doing(at(index)));
        match step.phase {
            StepPhase::Compensable | StepPhase::Pivot => {
                assert_eq!(effect, SagaEffect::Send(SagaCommand::Cancel, Duration::ZERO));
            }
            StepPhase::Retriable => assert_eq!(effect, SagaEffect::Park(ParkReason::Unknown(step.command))),
        }
    }
}

#[test]
fn a_settled_charge_that_never_was_is_compensated_and_one_that_was_goes_on() {
    for why in [SagaCommand::Reserve, SagaCommand::Charge] {
        let (state, effect) = on(SagaState::Settling(at(1), why), SagaEvent::Done);
        assert_eq!(effect, SagaEffect::Send(SagaCommand::Release, Duration::ZERO));
        assert_eq!(state, SagaState::Undoing(at(0), RejectionCause::GaveUp(why)));
        let (_, effect) = on(SagaState::Settling(at(1), why), SagaEvent::Refused(NO));
        assert_eq!(effect, SagaEffect::Send(SagaCommand::Commit, Duration::ZERO));
    }
}

#[test]
fn settling_and_undoing_are_retried_and_parked_past_their_budget() {
    for (state, command) in [
        (
            SagaState::Settling(at(1), SagaCommand::Charge),
            SagaCommand::Cancel,
        ),
        (SagaState::Undoing(at(0), cause()), SagaCommand::Release),
    ] {
        let (_, effect) = on(state.clone(), SagaEvent::Unknown { random: 0 });
        assert!(matches!(effect, SagaEffect::Send(again, wait) if again == command && wait > Duration::ZERO));
        assert_eq!(late(state).1, SagaEffect::Park(ParkReason::Unknown(command)));
    }
    let (_, effect) = on(SagaState::Undoing(at(0), cause()), SagaEvent::Refused(NO));
    assert_eq!(
        effect,
        SagaEffect::Park(ParkReason::Contradicted(SagaCommand::Release, NO))
    );
}

#[test]
fn a_command_that_cannot_be_tried_uses_no_budget() {
    let states = [
        SagaState::Doing(at(0)),
        SagaState::Doing(at(1)),
        SagaState::Doing(at(2)),
        SagaState::Settling(at(1), SagaCommand::Charge),
        SagaState::Undoing(at(0), cause()),
    ];
    for begun in states {
        let (mut state, mut now) = (begun.clone(), NOW);
        for _ in 0..100 {
            now = now + Duration::from_secs(3_600);
            let (next, effect) = state
                .on(ORDER, now, SagaEvent::Stalled { random: 0 })
                .expect("a legal pair");
            assert!(
                matches!(effect, SagaEffect::Send(_, wait) if wait > Duration::ZERO),
                "{begun:?}: {effect:?}"
            );
            state = next;
        }
        let soon = now + Duration::from_secs(1);
        let (state, effect) = state
            .on(ORDER, soon, SagaEvent::Unknown { random: 0 })
            .expect("a legal pair");
        assert!(
            matches!(effect, SagaEffect::Send(..)),
            "{begun:?}: a stall used the budget: {effect:?}"
        );
        let late = soon + Duration::from_secs(3_600);
        let (_, effect) = state
            .on(ORDER, late, SagaEvent::Unknown { random: 0 })
            .expect("a legal pair");
        let (before, _) = self::late(begun.clone());
        assert!(!matches!(before, SagaState::Doing(_)), "{begun:?} has no budget");
        assert_eq!(
            effect,
            self::late(begun).1,
            "an unknown outcome uses the budget as ever"
        );
    }
}

#[test]
fn an_order_that_a_person_gave_up_is_undone_from_the_end() {
    let (mut state, mut effect) = S::begin_undoing(ORDER, NOW);
    for command in [SagaCommand::Return, SagaCommand::Refund, SagaCommand::Release] {
        assert_eq!(effect, SagaEffect::Send(command, Duration::ZERO));
        (state, effect) = on(state, SagaEvent::Done);
    }
    assert_eq!(
        effect,
        SagaEffect::Record(SagaVerdict::Rejected(RejectionCause::TakenBack), Duration::ZERO)
    );
    assert!(matches!(
        on(state, SagaEvent::Done).0,
        SagaState::Ended(SagaVerdict::Rejected(_))
    ));
    let (state, _) = S::begin_undoing(ORDER, NOW);
    assert_eq!(
        late(state).1,
        SagaEffect::Park(ParkReason::Unknown(SagaCommand::Return))
    );
}

#[test]
fn the_budget_left_falls_with_time_and_never_below_zero() {
    let (state, _) = S::begin(ORDER, NOW);
    assert_eq!(state.budget_left(ORDER, NOW), Some(ORDER[0].budget));
    assert_eq!(
        state.budget_left(ORDER, NOW + Duration::from_secs(4)),
        Some(ORDER[0].budget - Duration::from_secs(4))
    );
    assert_eq!(
        state.budget_left(ORDER, NOW + Duration::from_secs(4_000)),
        Some(Duration::ZERO)
    );
    assert_eq!(S::Lost.budget_left(ORDER, NOW), None);
}

#[test]
fn the_budget_that_earlier_owners_used_is_not_given_again() {
    let budget = ORDER[1].budget;
    let earlier = BudgetUsed::from_iter([
        (SagaCommand::Charge, budget / 2),
        (SagaCommand::Cancel, budget * 2),
    ]);
    let unknown = |state: S, after: Duration| {
        let event = SagaEvent::Unknown { random: 0 };
        state
            .with_earlier_use(ORDER, &earlier)
            .on(ORDER, NOW + after, event)
            .expect("a legal pair")
    };
    let charging = || SagaState::Doing(at(1));
    assert_eq!(
        charging()
            .with_earlier_use(ORDER, &earlier)
            .budget_left(ORDER, NOW),
        Some(budget - budget / 2)
    );
    let (state, effect) = unknown(charging(), budget / 4);
    assert!(matches!(effect, SagaEffect::Send(SagaCommand::Charge, _)));
    let (state, effect) = unknown(state, budget / 2);
    assert_eq!(effect, SagaEffect::Send(SagaCommand::Cancel, Duration::ZERO));
    let state = state.with_earlier_use(ORDER, &earlier);
    assert_eq!(state.budget_left(ORDER, NOW), Some(Duration::ZERO), "{state:?}");
    assert_eq!(
        unknown(state, budget / 2).1,
        SagaEffect::Park(ParkReason::Unknown(SagaCommand::Cancel)),
        "after one more try"
    );
    let reserving: S = SagaState::Doing(at(0));
    assert_eq!(
        reserving.clone().with_earlier_use(ORDER, &earlier),
        reserving,
        "another command has another budget"
    );
}

#[test]
fn an_owner_uses_its_own_time_without_the_stalls() {
    let second = Duration::from_secs(1);
    let used = |state: &S, seconds: u32| state.budget_used(ORDER, NOW + second * seconds);
    let earlier = BudgetUsed::from_iter([(SagaCommand::Charge, second * 5)]);
    let state = S::Doing(at(1)).with_earlier_use(ORDER, &earlier);
    assert_eq!(used(&state, 3), Some((SagaCommand::Charge, second * 3)));
    let stalled = SagaEvent::Stalled { random: 0 };
    let unknown = SagaEvent::Unknown { random: 0 };
    let (state, _) = state
        .on(ORDER, NOW + second * 3, unknown.clone())
        .expect("a legal pair");
    let (state, _) = state.on(ORDER, NOW + second * 7, stalled).expect("a legal pair");
    assert_eq!(
        used(&state, 100),
        Some((SagaCommand::Charge, second * 3)),
        "until it can be tried"
    );
    let (state, _) = state.on(ORDER, NOW + second * 8, unknown).expect("a legal pair");
    assert_eq!(used(&state, 9), Some((SagaCommand::Charge, second * 5)));
    let settling = SagaState::Settling(at(1), SagaCommand::Charge);
    let undoing = SagaState::Undoing(at(0), cause());
    for (state, command) in [(settling, SagaCommand::Cancel), (undoing, SagaCommand::Release)] {
        assert_eq!(used(&state, 1), Some((command, second)));
    }
    assert_eq!(S::Lost.budget_used(ORDER, NOW), None);
    assert_eq!(
        SagaState::Recording(SagaVerdict::<&str>::Confirmed, at(3)).budget_used(ORDER, NOW),
        None
    );
}

#[test]
fn the_record_is_retried_for_ever() {
    let (_, effect) = late(SagaState::Recording(SagaVerdict::Confirmed, at(3)));
    assert!(matches!(effect, SagaEffect::Record(SagaVerdict::Confirmed, wait) if wait > Duration::ZERO));
}

#[test]
fn a_record_that_contradicts_another_is_an_error() {
    let state: S = SagaState::Recording(SagaVerdict::Confirmed, at(3));
    let error = state
        .clone()
        .on(ORDER, NOW, SagaEvent::Refused(NO))
        .expect_err("illegal");
    assert_eq!(
        error,
        IllegalTransition {
            state,
            event: SagaEvent::Refused(NO)
        }
    );
}

#[test]
fn a_fenced_owner_writes_nothing_more() {
    let steps = (0..ORDER.len()).map(|index| SagaState::Doing(at(index)));
    let others = [
        SagaState::Settling(at(1), SagaCommand::Reserve),
        SagaState::Undoing(at(0), cause()),
        SagaState::Recording(SagaVerdict::Confirmed, at(3)),
    ];
    for state in steps.chain(others) {
        assert_eq!(on(state, SagaEvent::Fenced), (SagaState::Lost, SagaEffect::Stop));
    }
}

#[test]
fn a_saga_that_is_over_takes_no_event() {
    for state in [
        SagaState::Ended(SagaVerdict::Confirmed),
        SagaState::Parked(ParkReason::Unknown(SagaCommand::Commit)),
        S::Lost,
    ] {
        for event in events() {
            let error = state.clone().on(ORDER, NOW, event.clone()).expect_err("illegal");
            assert_eq!(
                error,
                IllegalTransition {
                    state: state.clone(),
                    event
                }
            );
        }
    }
}
