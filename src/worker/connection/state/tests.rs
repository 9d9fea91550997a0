//! Tests of `state`.

use super::*;

const NOW_MS: u64 = 70;

/// The phase that follows each phase of the first line, for each event. `r` is a head that has been
/// arriving since 7 ms, `R` one that arrives since now; `written` is an answer whose body is over; `1,0`
/// is HTTP/2 with one stream and no waiting answer.
const TABLE: &str = "
    before            idle    r       handling  writing   written  0,0    1,0    1,1  upgraded
    BytesArrived      R       r       handling  writing   written  0,0    1,0    1,1  upgraded
    PrefaceArrived    0,0     0,0     handling  writing   written  0,0    1,0    1,1  upgraded
    RequestTaken      handling handling handling handling handling 1,0    2,0    2,1  upgraded
    AnswerBegun       idle    r       writing   writing   written  0,0    1,0    1,1  upgraded
    Switched          idle    r       upgraded  writing   written  0,0    1,0    1,1  upgraded
    AnswerOver        idle    r       handling  written   written  0,0    0,0    0,1  upgraded
    AnswerWaits       idle    r       handling  writing   written  0,1    1,1    1,2  upgraded
    AnswerGoesOn      idle    r       handling  writing   written  0,0    1,0    1,0  upgraded
    BytesLeft         idle    r       handling  writing   written  0,0    1,0    1,1  upgraded
    WriteBlocked      idle    r       handling  writing   written  0,0    1,0    1,1  upgraded
    Flushed           idle    r       handling  writing   idle     0,0    1,0    1,1  upgraded
    InputEnded        idle    r       handling  writing   written  0,0    1,0    1,1  upgraded
    Ordered           idle    r       handling  writing   written  0,0    1,0    1,1  upgraded
    TimeoutSuspected  idle    r       handling  writing   written  0,0    1,0    1,1  upgraded
    TimeoutRefuted    idle    r       handling  writing   written  0,0    1,0    1,1  upgraded
    ServingEnded      closing closing closing   closing   closing  closing closing closing  closing
";

fn phase(name: &str) -> ConnectionPhase {
    match name {
        "idle" => ConnectionPhase::Idle,
        "r" => ConnectionPhase::Reading { since_ms: 7 },
        "R" => ConnectionPhase::Reading { since_ms: NOW_MS },
        "handling" => ConnectionPhase::Handling,
        "writing" => ConnectionPhase::Writing { body_is_over: false },
        "written" => ConnectionPhase::Writing { body_is_over: true },
        "upgraded" => ConnectionPhase::Upgraded,
        "closing" => ConnectionPhase::Closing,
        numbers => {
            let (streams, waiting) = numbers.split_once(',').expect("two numbers");
            let number = |text: &str| text.parse().expect("a number");
            let (streams, waiting) = (number(streams), number(waiting));
            ConnectionPhase::Multiplexed { streams, waiting }
        }
    }
}

fn events(name: &str) -> Vec<ConnectionEvent> {
    use ConnectionEvent::*;
    let all = [
        BytesArrived { begun: Some(1) },
        BytesArrived { begun: None },
        PrefaceArrived,
        RequestTaken,
        AnswerBegun,
        Switched,
        AnswerOver,
        AnswerWaits,
        AnswerGoesOn,
        BytesLeft,
        WriteBlocked,
        Flushed,
        InputEnded,
        Ordered(ConnectionOrder::Serve),
        Ordered(ConnectionOrder::Finish),
        Ordered(ConnectionOrder::Cut),
        TimeoutSuspected,
        TimeoutRefuted,
        ServingEnded,
    ];
    let of_this_name = |event: &ConnectionEvent| format!("{event:?}").starts_with(name);
    all.into_iter().filter(of_this_name).collect()
}

fn in_phase(phase: ConnectionPhase) -> ConnectionState {
    ConnectionState {
        phase,
        ..ConnectionState::new(0)
    }
}

#[test]
fn every_event_in_every_phase() {
    let mut rows = TABLE.trim().lines().map(str::split_whitespace);
    let phases: Vec<&str> = rows.next().expect("a head").skip(1).collect();
    let mut tried = 0;
    for mut row in rows {
        let name = row.next().expect("an event");
        let after: Vec<&str> = row.collect();
        assert_eq!(after.len(), phases.len(), "{name}");
        for event in events(name) {
            tried += 1;
            for (before, after) in phases.iter().zip(&after) {
                let found = in_phase(phase(before)).on(event, NOW_MS).phase;
                assert_eq!(found, phase(after), "{before} on {event:?}");
            }
            let closing = in_phase(ConnectionPhase::Closing).on(event, NOW_MS);
            assert_eq!(
                closing.phase,
                ConnectionPhase::Closing,
                "nothing follows, not even {event:?}"
            );
        }
    }
    assert_eq!(tried, events("").len(), "every event is in the table");
}

fn after(events: &[ConnectionEvent]) -> ConnectionState {
    let new = ConnectionState::new(0);
    events.iter().fold(new, |state, event| state.on(*event, NOW_MS))
}

#[test]
fn the_strongest_order_stays() {
    use ConnectionEvent::Ordered;
    use ConnectionOrder::{Cut, Finish, Serve};
    assert_eq!(after(&[Ordered(Finish)]).order(), Finish);
    assert_eq!(after(&[Ordered(Finish), Ordered(Serve)]).order(), Finish);
    assert_eq!(after(&[Ordered(Cut), Ordered(Finish)]).order(), Cut);
}

#[test]
fn a_request_behind_the_one_that_was_taken_is_known_unless_requests_cannot_be_counted() {
    use ConnectionEvent::{BytesArrived, RequestTaken};
    let two = BytesArrived { begun: Some(2) };
    assert!(!after(&[]).has_more_requests());
    assert!(after(&[two, RequestTaken]).has_more_requests());
    assert!(!after(&[two, RequestTaken, RequestTaken]).has_more_requests());
    assert!(!after(&[two, RequestTaken, BytesArrived { begun: None }]).has_more_requests());
}

#[test]
fn half_a_request_behind_an_answered_one_is_being_read() {
    use ConnectionEvent::{AnswerBegun, AnswerOver, BytesArrived, Flushed, RequestTaken};
    let answered = |begun| {
        let arrived = BytesArrived { begun };
        after(&[arrived, RequestTaken, AnswerBegun, AnswerOver, Flushed]).phase()
    };
    assert_eq!(answered(Some(2)), ConnectionPhase::Reading { since_ms: NOW_MS });
    assert_eq!(answered(Some(1)), ConnectionPhase::Idle);
    assert_eq!(answered(None), ConnectionPhase::Idle);
}

#[test]
fn a_refuted_suspicion_leaves_an_order_to_finish_in_force() {
    use ConnectionEvent::{Ordered, TimeoutRefuted, TimeoutSuspected};
    assert!(after(&[TimeoutSuspected]).is_about_to_close());
    assert!(!after(&[TimeoutSuspected, TimeoutRefuted]).is_about_to_close());
    let finish = Ordered(ConnectionOrder::Finish);
    assert!(after(&[finish, TimeoutSuspected, TimeoutRefuted]).is_about_to_close());
}

#[test]
fn a_blocked_write_is_dated_by_its_beginning_and_ended_by_the_next_byte() {
    use ConnectionEvent::{BytesLeft, WriteBlocked};
    let blocked = ConnectionState::new(0).on(WriteBlocked, 5).on(WriteBlocked, 9);
    assert_eq!(blocked.stalled_since_ms(), Some(5));
    assert_eq!(blocked.on(BytesLeft, 11).stalled_since_ms(), None);
}

#[test]
fn http2_owes_an_answer_until_it_is_flushed() {
    use ConnectionEvent::{AnswerOver, BytesLeft, Flushed, PrefaceArrived, RequestTaken, WriteBlocked};
    let over = after(&[PrefaceArrived, RequestTaken, AnswerOver]);
    assert!(after(&[PrefaceArrived, RequestTaken]).owes_an_answer());
    assert!(over.owes_an_answer(), "its frames are not written");
    assert!(!over.on(Flushed, NOW_MS).owes_an_answer());
    let blocked = over.on(Flushed, NOW_MS).on(WriteBlocked, NOW_MS);
    assert!(blocked.owes_an_answer() && !blocked.on(BytesLeft, NOW_MS).owes_an_answer());
}
