//! Programs that are looked at at made-up times.

use super::*;

const INTERVAL: Duration = Duration::from_millis(250);

fn health() -> ProgramHealth {
    ProgramHealth::new(HealthTimes {
        heartbeat_interval: INTERVAL,
        late_after: INTERVAL * 9 / 8,
        heartbeat_timeout: Duration::from_secs(5),
        stuck_timeout: Duration::from_secs(30),
    })
}

fn at(ms: u64) -> Monotonic {
    Monotonic(ms * 1_000_000)
}

fn look(ms: u64) -> HealthLook {
    HealthLook {
        now: at(ms),
        queue: QueueSeen::Empty,
        ..HealthLook::default()
    }
}

fn of_node(ms: u64, beat_ms: u64) -> HealthLook {
    HealthLook {
        pulses: Pulses {
            node: Some(at(beat_ms)),
            watchdog: None,
        },
        ..look(ms)
    }
}

fn with_queue(ms: u64, queue: QueueSeen) -> HealthLook {
    HealthLook { queue, ..look(ms) }
}

fn reason(judgement: &Judgement) -> &str {
    match judgement {
        Judgement::Alive => "",
        Judgement::Busy(reason) | Judgement::Silent(reason) | Judgement::GivenUp(reason) => reason,
    }
}

#[test]
fn a_program_that_says_nothing_is_alive_and_so_is_one_that_cannot_be_looked_at() {
    let mut health = health();
    assert_eq!(health.judge(&look(1_000)), Judgement::Alive);
    assert_eq!(
        health.judge(&with_queue(2_000, QueueSeen::Unknown)),
        Judgement::Alive
    );
}

#[test]
fn an_event_loop_that_misses_a_point_of_the_grid_is_silent_until_it_turns_again() {
    let mut health = health();
    assert_eq!(health.judge(&of_node(1_000, 751)), Judgement::Alive);
    assert_eq!(health.judge(&of_node(1_250, 1_001)), Judgement::Alive);
    let silent = health.judge(&of_node(1_500, 1_001));
    assert_eq!(reason(&silent), "its event loop has not turned for 499 ms");
    assert!(matches!(silent, Judgement::Silent(_)));
    assert_eq!(health.judge(&of_node(1_750, 1_749)), Judgement::Alive);
}

#[test]
fn an_event_loop_without_cpu_is_not_silent() {
    let mut health = health();
    health.judge(&of_node(1_000, 751));
    for ms in (1_250..60_000).step_by(250) {
        let starved = HealthLook {
            lost: INTERVAL,
            ..of_node(ms, 751)
        };
        assert_eq!(health.judge(&starved), Judgement::Alive, "at {ms}");
    }
    let silent = health.judge(&of_node(60_000, 751));
    assert!(matches!(silent, Judgement::Silent(_)), "it had CPU: {silent:?}");
}

#[test]
fn who_says_watchdog_has_the_whole_timeout_and_no_more() {
    let mut health = health();
    let watchdog = |ms: u64, said_ms: u64| HealthLook {
        pulses: Pulses {
            node: None,
            watchdog: Some(at(said_ms)),
        },
        ..with_queue(ms, QueueSeen::Waiting(9))
    };
    assert_eq!(health.judge(&watchdog(6_000, 1_000)), Judgement::Alive);
    let given_up = health.judge(&watchdog(6_250, 1_000));
    assert_eq!(
        given_up,
        Judgement::GivenUp(
            "it has not said WATCHDOG=1 for 5250 ms, expected at least once in 5000 ms".to_owned()
        )
    );
}

#[test]
fn three_failed_probes_in_a_row_are_silence_and_the_end_after_the_timeout() {
    let mut health = health();
    let probed = |failed| HealthLook {
        probes: Some(ProbeRecord {
            failed,
            since: at(800),
            reason: "it answered 503".to_owned(),
        }),
        ..with_queue(1_000, QueueSeen::Waiting(9))
    };
    assert_eq!(health.judge(&probed(2)), Judgement::Alive);
    let silent = health.judge(&probed(3));
    assert_eq!(
        reason(&silent),
        "3 probes have failed in a row since 200 ms ago, the last one because it answered 503"
    );
    assert!(matches!(silent, Judgement::Silent(_)));
    for (now, failed, given_up) in [(5_799, 9, false), (5_800, 2, false), (5_800, 3, true)] {
        let look = HealthLook {
            now: at(now),
            ..probed(failed)
        };
        let judgement = health.judge(&look);
        assert_eq!(
            matches!(judgement, Judgement::GivenUp(_)),
            given_up,
            "{judgement:?}"
        );
    }
    let beats = HealthLook {
        pulses: of_node(1_000, 1_000).pulses,
        ..probed(3)
    };
    assert!(
        matches!(health.judge(&beats), Judgement::Silent(_)),
        "a pulse does not answer for a probe that was asked for"
    );
}

#[test]
fn a_stopped_program_is_silent_whatever_vouches_for_it() {
    let mut health = health();
    let stopped = HealthLook {
        stopped: true,
        ..of_node(1_000, 1_000)
    };
    assert!(matches!(health.judge(&stopped), Judgement::Silent(_)));
    assert_eq!(health.judge(&of_node(1_250, 1_249)), Judgement::Alive);
}

#[test]
fn who_takes_nothing_is_busy_until_it_is_seen_to_take_something_and_stuck_in_the_end() {
    let mut health = health();
    let busy = health.judge(&with_queue(1_000, QueueSeen::Waiting(3)));
    assert_eq!(
        busy,
        Judgement::Busy("3 connections wait, and it takes none".to_owned())
    );
    let emptied = health.judge(&with_queue(1_250, QueueSeen::Empty));
    assert!(
        matches!(emptied, Judgement::Busy(_)),
        "another slot's worker took them"
    );
    assert!(health.is_busy());
    assert_eq!(
        health.judge(&with_queue(1_500, QueueSeen::Taken)),
        Judgement::Alive
    );
    assert!(!health.is_busy());

    health.judge(&with_queue(2_000, QueueSeen::Waiting(3)));
    let still = health.judge(&with_queue(32_000, QueueSeen::Empty));
    assert!(matches!(still, Judgement::Busy(_)), "{still:?}");
    let stuck = health.judge(&with_queue(32_250, QueueSeen::Waiting(1)));
    assert!(matches!(stuck, Judgement::GivenUp(_)), "{stuck:?}");
    assert!(reason(&stuck).contains("for 30.2 s"), "{stuck:?}");
}

#[test]
fn who_is_full_and_turns_is_never_given_up() {
    let mut health = health();
    for ms in (1_000..120_000).step_by(250) {
        let full = health.judge(&with_queue(ms, QueueSeen::Full(2)));
        assert!(matches!(full, Judgement::Busy(_)), "{full:?}");
    }
    health.judge(&with_queue(120_000, QueueSeen::Waiting(2)));
    let busy = health.judge(&with_queue(149_000, QueueSeen::Waiting(2)));
    assert!(
        matches!(busy, Judgement::Busy(_)),
        "the loop stands still for 29 s: {busy:?}"
    );
    let stuck = health.judge(&with_queue(151_000, QueueSeen::Waiting(2)));
    assert!(matches!(stuck, Judgement::GivenUp(_)), "{stuck:?}");
}

#[test]
fn who_gets_no_cpu_is_neither_busy_nor_stuck() {
    let mut health = health();
    let starved = |ms| HealthLook {
        lost: INTERVAL,
        ..with_queue(ms, QueueSeen::Waiting(3))
    };
    assert_eq!(health.judge(&starved(1_000)), Judgement::Alive);
    health.judge(&with_queue(1_250, QueueSeen::Waiting(3)));
    for ms in (1_500..90_000).step_by(250) {
        let busy = health.judge(&starved(ms));
        assert!(matches!(busy, Judgement::Busy(_)), "{busy:?}");
    }
}
