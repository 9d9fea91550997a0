//! From birth to certificate: recycling, and what is written down at each end.

use cluster::base::ids::{Life, Slot};
use cluster::pool::protocol::certificate::KEPT;
use cluster::pool::{
    Cause, CauseKind, Certificate, Decision, Event, KillReason, Notification, Policy, ProcessExit, Purpose,
    Request, StopMode,
};

use crate::simulation::{FIRST, Program, Simulation, asked, ms, policy};

fn last(simulation: &Simulation, slot: u16) -> Certificate {
    let certificate = simulation.pool.certificates(Slot(slot)).last();
    certificate.expect("a worker ended").clone()
}

/// Every worker's scoreboard says that from now on.
fn all_say(simulation: &mut Simulation, say: impl Fn(&mut cluster::pool::Sample)) {
    simulation
        .processes
        .values_mut()
        .for_each(|process| say(&mut process.sample));
}

fn with(change: impl Fn(&mut Policy)) -> Simulation {
    let mut policy = policy(3);
    change(&mut policy);
    let mut simulation = Simulation::start(policy, Program::Good, 11);
    simulation.run(ms(6_000));
    simulation.least_serving = usize::MAX;
    simulation
}

#[test]
fn workers_that_served_their_time_are_replaced_one_by_one_and_never_below_capacity() {
    type Say = fn(&mut cluster::pool::Sample);
    let cases: [(Simulation, Say, Purpose); 3] = [
        (
            with(|p| p.max_requests = Some(1_000)),
            |sample| sample.requests = 1_000,
            Purpose::MaxRequests,
        ),
        (
            with(|p| p.max_rss = Some(1_000)),
            |sample| sample.rss = Some(1_001),
            Purpose::MaxRss,
        ),
        (with(|p| p.max_age = Some(ms(20_000))), |_| {}, Purpose::MaxAge),
    ];
    for (mut simulation, say, purpose) in cases {
        let before: Vec<Life> = (0..3).map(|slot| simulation.life_in(slot)).collect();
        all_say(&mut simulation, say);
        simulation.run_until("all replaced", |simulation| {
            (0..3).all(|slot| {
                simulation
                    .pool
                    .slots()
                    .nth(slot)
                    .is_some_and(|s| s.worker.is_some_and(|w| w.life != before[slot]))
            })
        });
        simulation.run(ms(100));
        assert_eq!(
            (simulation.least_serving, simulation.kills.len()),
            (3, 0),
            "{purpose:?}"
        );
        for slot in 0..3 {
            let certificate = last(&simulation, slot);
            assert_eq!(certificate.life, before[usize::from(slot)]);
            assert_eq!(certificate.cause, Cause::Retired { purpose, cut: None });
            assert!(
                matches!(certificate.decision, Decision::Replaced { by } if by.epoch > certificate.life.epoch)
            );
        }
    }
}

#[test]
fn recycling_waits_for_a_reload_and_a_replacement_that_fails_is_not_tried_without_end() {
    let mut simulation = with(|p| p.max_rss = Some(1_000));
    simulation.next_load = Ok((Program::Good, policy(3)));
    simulation.happen(asked(Request::Reload));
    all_say(&mut simulation, |sample| sample.rss = Some(2_000));
    simulation.run_until("rest", Simulation::is_at_rest);
    assert_eq!(
        simulation.count(|a| matches!(a, cluster::pool::Announcement::Replacing { .. })),
        0
    );
    let mut simulation = with(|p| p.max_rss = Some(1_000));
    simulation.programs.insert(FIRST, Program::ExitsAtBoot);
    all_say(&mut simulation, |sample| sample.rss = Some(2_000));
    simulation.run(ms(60_000));
    let tries = simulation.count(|a| matches!(a, cluster::pool::Announcement::NotReplaced { .. }));
    assert!((3..=40).contains(&tries), "{tries}");
    assert_eq!(simulation.least_serving, 3);
}

#[test]
fn one_that_is_too_large_from_its_birth_is_not_replaced_all_the_time() {
    let mut simulation = with(|p| p.max_rss = Some(1_000));
    for _ in 0..240 {
        all_say(&mut simulation, |sample| sample.rss = Some(2_000));
        simulation.run(ms(250));
    }
    let times = simulation.count(|a| matches!(a, cluster::pool::Announcement::Replacing { .. }));
    assert!(
        (3..=36).contains(&times),
        "{times} replacements of three workers in a minute"
    );
}

/// What is done to a life, what its certificate says of it, and as what it is counted.
type End = (fn(&mut Simulation, Life), fn(&Cause) -> bool, CauseKind);

/// The ends that nobody asked for.
const UNASKED: [End; 5] = [
    (
        |w, life| w.crash(life, ProcessExit::Code(3)),
        |c| *c == Cause::Exited,
        CauseKind::Exit,
    ),
    (
        |w, life| w.crash(life, ProcessExit::Signal(11)),
        |c| *c == Cause::Signalled,
        CauseKind::Signal,
    ),
    (
        |w, life| {
            let (exit, oom) = (ProcessExit::Signal(9), true);
            w.happen(Event::Died { life, exit, oom });
        },
        |c| *c == Cause::OutOfMemory,
        CauseKind::OutOfMemory,
    ),
    (
        Simulation::hang,
        |c| matches!(c, Cause::Hung { reason } if matches!(reason, KillReason::Hung(_))),
        CauseKind::Hang,
    ),
    (
        |w, life| {
            let notification = Notification::Stopping;
            w.happen(Event::Notified { life, notification });
        },
        |c| purpose(c) == Some(Purpose::Itself),
        CauseKind::Itself,
    ),
];

/// The ends that somebody asked for.
const ASKED: [End; 5] = [
    (
        |w, _| w.happen(asked(Request::Reload)),
        |c| purpose(c) == Some(Purpose::Reload) && matches!(c, Cause::Retired { cut: None, .. }),
        CauseKind::Reload,
    ),
    (
        |w, _| w.happen(asked(Request::Restart(Slot(1)))),
        |c| purpose(c) == Some(Purpose::Restart),
        CauseKind::Request,
    ),
    (
        |w, _| w.happen(asked(Request::Drain(Slot(1)))),
        |c| purpose(c) == Some(Purpose::Drain),
        CauseKind::Request,
    ),
    (
        |w, _| w.happen(asked(Request::ScaleTo(1))),
        |c| purpose(c) == Some(Purpose::ScaleDown),
        CauseKind::ScaleDown,
    ),
    (
        |w, _| w.stop(StopMode::Graceful),
        |c| purpose(c) == Some(Purpose::Stop),
        CauseKind::Stop,
    ),
];

fn purpose(cause: &Cause) -> Option<Purpose> {
    match cause {
        Cause::Retired { purpose, .. } => Some(*purpose),
        _other => None,
    }
}

#[test]
fn every_end_has_its_certificate() {
    for (deed, is, kind) in UNASKED.into_iter().chain(ASKED) {
        let mut simulation = Simulation::serving(2);
        simulation.run(ms(2_000));
        let life = simulation.life_in(1);
        simulation
            .processes
            .get_mut(&life)
            .expect("lives")
            .sample
            .in_flight = 5;
        simulation.run(ms(500));
        deed(&mut simulation, life);
        simulation.run(ms(8_000));
        let certificate = simulation
            .pool
            .certificates(Slot(1))
            .next()
            .unwrap_or_else(|| panic!("{kind:?}: none"));
        assert_eq!((certificate.life, certificate.in_flight), (life, 5));
        assert!(is(&certificate.cause), "{kind:?}: {certificate:?}");
        assert_eq!(certificate.cause.kind(), kind);
        assert!(certificate.was_ready && certificate.lived > ms(2_400));
        let counted = simulation.pool.endings().find(|(slot, _)| *slot == Slot(1));
        assert_eq!(counted.map(|(_, endings)| endings[&kind]), Some(1));
    }
}

#[test]
fn one_that_says_stopping_and_ends_in_the_same_breath_has_not_crashed() {
    let mut simulation = Simulation::serving(2);
    simulation.run(ms(2_000));
    let life = simulation.life_in(1);
    let stopping = Event::Notified {
        life,
        notification: Notification::Stopping,
    };
    let died = Event::Died {
        life,
        exit: ProcessExit::Code(0),
        oom: false,
    };
    simulation.happen_all(vec![stopping, died]);
    assert_eq!(
        last(&simulation, 1).cause,
        Cause::Retired {
            purpose: Purpose::Itself,
            cut: None
        }
    );
    assert!(!simulation.was_announced(|a| matches!(a, cluster::pool::Announcement::Crashed { .. })));
    simulation.run(ms(30));
    assert!(simulation.is_at_rest());
}

#[test]
fn ends_before_ready_are_boot_failures_and_the_decision_is_the_wait() {
    let mut simulation = Simulation::serving(2);
    simulation.run(ms(2_000));
    simulation.programs.insert(FIRST, Program::ExitsAtBoot);
    let victim = simulation.life_in(0);
    simulation.crash(victim, ProcessExit::Code(0));
    simulation.run(ms(25));
    let first = simulation.pool.certificates(Slot(0)).next().expect("one").clone();
    assert_eq!(
        first.decision,
        Decision::RestartIn {
            wait: ms(0),
            degraded: false
        }
    );
    let second = last(&simulation, 0);
    assert_eq!(second.cause, Cause::BootFailed { killed: None });
    assert!(matches!(second.decision, Decision::RestartIn { wait, .. } if wait > ms(0)));
    simulation.programs.insert(FIRST, Program::CannotSpawn);
    simulation.run(ms(60_000));
    assert!(matches!(last(&simulation, 0).cause, Cause::SpawnFailed { .. }));
    assert!(matches!(
        last(&simulation, 0).decision,
        Decision::RestartIn { degraded: true, .. }
    ));
}

#[test]
fn a_hang_keeps_its_evidence_and_a_cut_drain_its_reason() {
    let mut simulation = Simulation::serving(2);
    simulation.run(ms(2_000));
    let victim = simulation.life_in(0);
    simulation.hang(victim);
    simulation.run(ms(8_000));
    let age = last(&simulation, 0).beat_age.expect("it beat");
    assert!(age > ms(5_000) && age < ms(5_700), "{age:?}");
    simulation.drain_time = ms(100_000);
    simulation.happen(asked(Request::ScaleTo(1)));
    simulation.run(ms(31_000));
    assert_eq!(
        last(&simulation, 1).cause,
        Cause::Retired {
            purpose: Purpose::ScaleDown,
            cut: Some(KillReason::DrainTimeout)
        }
    );
    assert_eq!(last(&simulation, 1).decision, Decision::None);
}

#[test]
fn certificates_are_bounded_and_counted_beyond_that() {
    let mut simulation = Simulation::serving(1);
    for _ in 0..50 {
        simulation.run_until("a worker", |simulation| simulation.serving_slots() == 1);
        let life = simulation.life_in(0);
        simulation.crash(life, ProcessExit::Signal(9));
    }
    assert_eq!(simulation.pool.certificates(Slot(0)).count(), KEPT);
    assert_eq!(
        simulation
            .pool
            .endings()
            .next()
            .map(|(_, e)| e[&CauseKind::Signal]),
        Some(50)
    );
}

#[test]
fn the_status_tells_weight_age_and_last_end() {
    let mut simulation = Simulation::serving(2);
    simulation.run(ms(2_000));
    let slots: Vec<_> = simulation.pool.slots().collect();
    assert!(
        slots
            .iter()
            .all(|slot| slot.weight == Some(cluster::pool::FULL_SHARE))
    );
    let worker = slots[0].worker.as_ref().expect("serves");
    assert!(worker.beat_age.is_some_and(|age| age < ms(300)));
    assert_eq!(worker.connections, 3);
    let victim = simulation.life_in(1);
    simulation.hang(victim);
    simulation.run(ms(700));
    let late = simulation.pool.slots().nth(1).expect("two");
    assert_eq!(
        (late.weight, late.adopted_by),
        (None, Some(simulation.life_in(0)))
    );
    assert!(late.worker.is_some_and(|worker| worker.since > late.since));
}
