//! From birth to certificate: adoption of queues, recycling, what is written down at each end.

use cluster::base::ids::{Life, Slot};
use cluster::pool::certificate::KEPT;
use cluster::pool::{
    Cause, CauseKind, Certificate, Decision, Event, KillReason, Notification, Policy, ProcessExit, Purpose,
    Request, StopMode,
};

use crate::world::{FIRST, Program, World, asked, ms, policy};

fn last(world: &World, slot: u16) -> Certificate {
    let certificate = world.pool.certificates(Slot(slot)).last();
    certificate.expect("somebody ended").clone()
}

fn adopter(world: &World, slot: u16) -> Option<Life> {
    world.adopters.get(&Slot(slot)).copied()
}

#[test]
fn the_queue_of_the_dead_is_adopted_in_the_same_breath_and_given_back() {
    let mut world = World::serving(3);
    assert!(world.adopters.is_empty());
    let victim = world.life_in(1);
    world.crash(victim, ProcessExit::Signal(9));
    assert!(adopter(&world, 1).is_some());
    world.run(ms(30));
    assert!(world.is_at_rest() && world.adopters.is_empty());
}

#[test]
fn a_late_workers_queue_is_adopted_until_it_beats_and_an_adopter_that_hangs_is_relieved() {
    let mut world = World::serving(3);
    let (one, two) = (world.life_in(1), world.life_in(2));
    world.hang(one);
    world.run(ms(600));
    let first = adopter(&world, 1).expect("adopted");
    world.hang(first);
    world.run(ms(600));
    let third = if first == two { world.life_in(0) } else { two };
    assert_eq!(
        (adopter(&world, 1), adopter(&world, first.slot.0)),
        (Some(third), Some(third))
    );
    world.wake_up(one);
    world.wake_up(first);
    world.run(ms(300));
    assert!(world.adopters.is_empty());
}

#[test]
fn parked_listeners_stay_adopted_for_ever_and_fairly() {
    let mut world = World::serving(6);
    world.happen(asked(Request::ScaleTo(2)));
    world.run(ms(10_000));
    let by = |world: &World, who: u16| world.adopters.values().filter(|by| by.slot.0 == who).count();
    assert_eq!((world.adopters.len(), by(&world, 0), by(&world, 1)), (4, 2, 2));
    let victim = world.life_in(0);
    world.crash(victim, ProcessExit::Signal(9));
    assert_eq!((world.adopters.len(), by(&world, 1)), (5, 5));
    world.happen(asked(Request::ScaleTo(6)));
    world.run(ms(100));
    assert!(world.adopters.is_empty());
}

#[test]
fn a_queue_that_its_adopter_could_not_be_handed_goes_to_another_and_is_offered_again_until_somebody_takes_it()
{
    let mut world = World::serving(3);
    let first = world.life_in(0);
    world.deaf.insert(first);
    world.happen(asked(Request::Drain(Slot(2))));
    assert_eq!(adopter(&world, 2), Some(first), "it is the first to be asked");
    world.run(ms(1));
    assert_eq!(adopter(&world, 2), Some(world.life_in(1)));
    world.deaf = world.pool.lives().collect();
    let victim = world.life_in(1);
    world.crash(victim, ProcessExit::Signal(9));
    world.run(ms(1));
    let adopted: Vec<Slot> = world.pool.adoptions().map(|(slot, _)| slot).collect();
    assert!(!adopted.contains(&Slot(2)), "nobody hears");
    world.deaf.clear();
    world.run(ms(300));
    assert!(adopter(&world, 2).is_some(), "they were asked again");
}

#[test]
fn when_the_cluster_stops_nobody_is_told_to_let_go_of_what_it_empties() {
    let mut world = World::serving(2);
    world.happen(asked(Request::ScaleTo(1)));
    let by = world.life_in(0);
    world.stop(StopMode::Graceful);
    assert_eq!(adopter(&world, 1), Some(by));
}

/// Every worker's scoreboard says that from now on.
fn all_say(world: &mut World, say: impl Fn(&mut cluster::pool::Sample)) {
    world
        .processes
        .values_mut()
        .for_each(|process| say(&mut process.sample));
}

fn with(change: impl Fn(&mut Policy)) -> World {
    let mut policy = policy(3);
    change(&mut policy);
    let mut world = World::start(policy, Program::Good, 11);
    world.run(ms(6_000));
    world.least_serving = usize::MAX;
    world
}

#[test]
fn workers_that_served_their_time_are_replaced_one_by_one_and_never_below_capacity() {
    type Say = fn(&mut cluster::pool::Sample);
    let cases: [(World, Say, Purpose); 3] = [
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
    for (mut world, say, purpose) in cases {
        let before: Vec<Life> = (0..3).map(|slot| world.life_in(slot)).collect();
        all_say(&mut world, say);
        world.run_until("all replaced", |world| {
            (0..3).all(|slot| {
                world
                    .pool
                    .slots()
                    .nth(slot)
                    .is_some_and(|s| s.worker.is_some_and(|w| w.life != before[slot]))
            })
        });
        world.run(ms(100));
        assert_eq!((world.least_serving, world.kills.len()), (3, 0), "{purpose:?}");
        for slot in 0..3 {
            let certificate = last(&world, slot);
            assert_eq!(certificate.life, before[usize::from(slot)]);
            assert_eq!(certificate.cause, Cause::Retired { purpose, cut: None });
            assert!(
                matches!(certificate.decision, Decision::Replaced { by } if by.epoch > certificate.life.epoch)
            );
        }
    }
}

#[test]
fn recycling_waits_for_a_reload_and_a_newcomer_that_fails_is_not_tried_without_end() {
    let mut world = with(|p| p.max_rss = Some(1_000));
    world.next_load = Ok((Program::Good, policy(3)));
    world.happen(asked(Request::Reload));
    all_say(&mut world, |sample| sample.rss = Some(2_000));
    world.run_until("rest", World::is_at_rest);
    assert_eq!(
        world.count(|a| matches!(a, cluster::pool::Announcement::Replacing { .. })),
        0
    );
    let mut world = with(|p| p.max_rss = Some(1_000));
    world.programs.insert(FIRST, Program::ExitsAtBoot);
    all_say(&mut world, |sample| sample.rss = Some(2_000));
    world.run(ms(60_000));
    let tries = world.count(|a| matches!(a, cluster::pool::Announcement::NotReplaced { .. }));
    assert!((3..=40).contains(&tries), "{tries}");
    assert_eq!(world.least_serving, 3);
}

#[test]
fn one_that_is_too_large_from_its_birth_is_not_replaced_all_the_time() {
    let mut world = with(|p| p.max_rss = Some(1_000));
    for _ in 0..240 {
        all_say(&mut world, |sample| sample.rss = Some(2_000));
        world.run(ms(250));
    }
    let times = world.count(|a| matches!(a, cluster::pool::Announcement::Replacing { .. }));
    assert!(
        (3..=36).contains(&times),
        "{times} replacements of three workers in a minute"
    );
}

#[test]
fn every_end_has_its_certificate() {
    type Deed = fn(&mut World, Life);
    type Case = (Deed, fn(&Cause) -> bool, CauseKind);
    let cases: [Case; 10] = [
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
                w.happen(Event::Died {
                    life,
                    exit: ProcessExit::Signal(9),
                    oom: true,
                })
            },
            |c| *c == Cause::OutOfMemory,
            CauseKind::OutOfMemory,
        ),
        (
            World::hang,
            |c| {
                matches!(
                    c,
                    Cause::Hung {
                        reason: KillReason::Hung(_)
                    }
                )
            },
            CauseKind::Hang,
        ),
        (
            |w, life| {
                w.happen(Event::Notified {
                    life,
                    notification: Notification::Stopping,
                })
            },
            |c| {
                matches!(
                    c,
                    Cause::Retired {
                        purpose: Purpose::Itself,
                        ..
                    }
                )
            },
            CauseKind::Itself,
        ),
        (
            |w, _| w.happen(asked(Request::Reload)),
            |c| {
                matches!(
                    c,
                    Cause::Retired {
                        purpose: Purpose::Reload,
                        cut: None
                    }
                )
            },
            CauseKind::Reload,
        ),
        (
            |w, _| w.happen(asked(Request::Restart(Slot(1)))),
            |c| {
                matches!(
                    c,
                    Cause::Retired {
                        purpose: Purpose::Restart,
                        ..
                    }
                )
            },
            CauseKind::Request,
        ),
        (
            |w, _| w.happen(asked(Request::Drain(Slot(1)))),
            |c| {
                matches!(
                    c,
                    Cause::Retired {
                        purpose: Purpose::Drain,
                        ..
                    }
                )
            },
            CauseKind::Request,
        ),
        (
            |w, _| w.happen(asked(Request::ScaleTo(1))),
            |c| {
                matches!(
                    c,
                    Cause::Retired {
                        purpose: Purpose::ScaleDown,
                        ..
                    }
                )
            },
            CauseKind::ScaleDown,
        ),
        (
            |w, _| w.stop(StopMode::Graceful),
            |c| {
                matches!(
                    c,
                    Cause::Retired {
                        purpose: Purpose::Stop,
                        ..
                    }
                )
            },
            CauseKind::Stop,
        ),
    ];
    for (deed, is, kind) in cases {
        let mut world = World::serving(2);
        world.run(ms(2_000));
        let life = world.life_in(1);
        world.processes.get_mut(&life).expect("lives").sample.in_flight = 5;
        world.run(ms(500));
        deed(&mut world, life);
        world.run(ms(8_000));
        let certificate = world
            .pool
            .certificates(Slot(1))
            .next()
            .unwrap_or_else(|| panic!("{kind:?}: none"));
        assert_eq!((certificate.life, certificate.in_flight), (life, 5));
        assert!(is(&certificate.cause), "{kind:?}: {certificate:?}");
        assert_eq!(certificate.cause.kind(), kind);
        assert!(certificate.was_ready && certificate.lived > ms(2_400));
        let counted = world.pool.endings().find(|(slot, _)| *slot == Slot(1));
        assert_eq!(counted.map(|(_, endings)| endings[&kind]), Some(1));
    }
}

#[test]
fn one_that_says_stopping_and_ends_in_the_same_breath_has_not_crashed() {
    let mut world = World::serving(2);
    world.run(ms(2_000));
    let life = world.life_in(1);
    let stopping = Event::Notified {
        life,
        notification: Notification::Stopping,
    };
    let died = Event::Died {
        life,
        exit: ProcessExit::Code(0),
        oom: false,
    };
    world.happen_all(vec![stopping, died]);
    assert_eq!(
        last(&world, 1).cause,
        Cause::Retired {
            purpose: Purpose::Itself,
            cut: None
        }
    );
    assert!(!world.was_announced(|a| matches!(a, cluster::pool::Announcement::Crashed { .. })));
    world.run(ms(30));
    assert!(world.is_at_rest());
}

#[test]
fn ends_before_ready_are_boot_failures_and_the_decision_is_the_wait() {
    let mut world = World::serving(2);
    world.run(ms(2_000));
    world.programs.insert(FIRST, Program::ExitsAtBoot);
    let victim = world.life_in(0);
    world.crash(victim, ProcessExit::Code(0));
    world.run(ms(25));
    let first = world.pool.certificates(Slot(0)).next().expect("one").clone();
    assert_eq!(
        first.decision,
        Decision::RestartIn {
            wait: ms(0),
            degraded: false
        }
    );
    let second = last(&world, 0);
    assert_eq!(second.cause, Cause::BootFailed { killed: None });
    assert!(matches!(second.decision, Decision::RestartIn { wait, .. } if wait > ms(0)));
    world.programs.insert(FIRST, Program::CannotSpawn);
    world.run(ms(60_000));
    assert!(matches!(last(&world, 0).cause, Cause::SpawnFailed { .. }));
    assert!(matches!(
        last(&world, 0).decision,
        Decision::RestartIn { degraded: true, .. }
    ));
}

#[test]
fn a_hang_keeps_its_evidence_and_a_cut_drain_its_reason() {
    let mut world = World::serving(2);
    world.run(ms(2_000));
    let victim = world.life_in(0);
    world.hang(victim);
    world.run(ms(8_000));
    let age = last(&world, 0).beat_age.expect("it beat");
    assert!(age > ms(5_000) && age < ms(5_700), "{age:?}");
    world.drain_time = ms(100_000);
    world.happen(asked(Request::ScaleTo(1)));
    world.run(ms(31_000));
    assert_eq!(
        last(&world, 1).cause,
        Cause::Retired {
            purpose: Purpose::ScaleDown,
            cut: Some(KillReason::DrainTimeout)
        }
    );
    assert_eq!(last(&world, 1).decision, Decision::None);
}

#[test]
fn certificates_are_bounded_and_counted_beyond_that() {
    let mut world = World::serving(1);
    for _ in 0..50 {
        world.run_until("somebody", |world| world.serving_slots() == 1);
        let life = world.life_in(0);
        world.crash(life, ProcessExit::Signal(9));
    }
    assert_eq!(world.pool.certificates(Slot(0)).count(), KEPT);
    assert_eq!(
        world.pool.endings().next().map(|(_, e)| e[&CauseKind::Signal]),
        Some(50)
    );
}

#[test]
fn the_status_tells_weight_age_and_last_end() {
    let mut world = World::serving(2);
    world.run(ms(2_000));
    let slots: Vec<_> = world.pool.slots().collect();
    assert!(
        slots
            .iter()
            .all(|slot| slot.weight == Some(cluster::pool::FULL_SHARE))
    );
    let worker = slots[0].worker.as_ref().expect("serves");
    assert!(worker.beat_age.is_some_and(|age| age < ms(300)));
    assert_eq!(worker.connections, 3);
    let victim = world.life_in(1);
    world.hang(victim);
    world.run(ms(700));
    let late = world.pool.slots().nth(1).expect("two");
    assert_eq!((late.weight, late.adopted_by), (None, Some(world.life_in(0))));
    assert!(late.worker.is_some_and(|worker| worker.since > late.since));
}
