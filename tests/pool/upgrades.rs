//! Upgrades of the master, as far as the pool decides: rehearsed, handed over, refused, queued, and never
//! mixed with anything.

use cluster::base::ids::Slot;
use cluster::pool::{
    Announcement, Done, Effect, Event, Failure, ProcessExit, Request, Saved, StopMode, Verdict,
};

use crate::world::{World, asked, ms};

#[test]
fn an_upgrade_is_rehearsed_and_the_new_master_tells_its_end() {
    let mut world = World::serving(2);
    let before = [world.life_in(0), world.life_in(1)];
    let ticket = world.ask(Request::Upgrade);
    assert!(world.pool.is_upgrading());
    let Verdict::Done(Done::Upgraded { version, after }) = world.await_verdict(ticket) else {
        panic!("{:?}", world.verdict(ticket))
    };
    assert_eq!((version.as_str(), world.masters), ("2.0", 1));
    assert!(after >= ms(30));
    assert!(!world.pool.is_upgrading());
    assert_eq!(
        [world.life_in(0), world.life_in(1)],
        before,
        "nobody was replaced"
    );
    world.run(ms(5_000));
    assert_eq!([world.life_in(0), world.life_in(1)], before);
}

/// A worker that is not started yet has no process that could be handed over.
#[test]
fn neither_rehearsal_nor_hand_over_comes_before_a_worker_has_been_started() {
    let mut world = World::serving(2);
    let crashes = |life| Event::Died {
        life,
        exit: ProcessExit::Signal(9),
        oom: false,
    };
    let spawns = |effects: &[Effect]| {
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Spawn { .. }))
    };
    let mut effects = Vec::new();
    let events = [asked(Request::Upgrade), crashes(world.life_in(0))];
    world.pool.handle_all(world.now, events, &mut effects);
    assert!(spawns(&effects) && !effects.contains(&Effect::Rehearse));
    let started = |world: &mut World, slot| {
        let mut effects = Vec::new();
        let life = world.life_in(slot);
        let event = Event::Spawned { life, pid: 7 };
        world.pool.handle(world.now, event, &mut effects);
        effects
    };
    assert_eq!(started(&mut world, 0).last(), Some(&Effect::Rehearse));
    effects.clear();
    let events = [Event::Rehearsed(Ok(())), crashes(world.life_in(1))];
    world.pool.handle_all(world.now, events, &mut effects);
    assert!(spawns(&effects) && !effects.contains(&Effect::HandOver));
    assert_eq!(started(&mut world, 1).last(), Some(&Effect::HandOver));
}

#[test]
fn a_binary_that_cannot_go_on_is_refused_and_the_next_one_is_asked_again() {
    let mut world = World::serving(2);
    world.rehearsal = Err("it is too old".to_owned());
    let ticket = world.ask(Request::Upgrade);
    let Verdict::Refused { reason } = world.await_verdict(ticket) else {
        panic!("{:?}", world.verdict(ticket))
    };
    assert_eq!((reason.as_str(), world.masters), ("it is too old", 0));
    world.rehearsal = Ok(());
    let ticket = world.ask(Request::Upgrade);
    assert!(matches!(
        world.await_verdict(ticket),
        Verdict::Done(Done::Upgraded { .. })
    ));
}

#[test]
fn a_binary_that_cannot_be_executed_is_backed_out() {
    let mut world = World::serving(1);
    world.execution = Err("ETXTBSY".to_owned());
    let ticket = world.ask(Request::Upgrade);
    let Verdict::Failed { reason, .. } = world.await_verdict(ticket) else {
        panic!("{:?}", world.verdict(ticket))
    };
    assert_eq!(
        reason,
        Failure::NotExecuted {
            reason: "ETXTBSY".to_owned()
        }
    );
    assert!(!world.pool.is_upgrading());
}

#[test]
fn during_a_reload_an_upgrade_waits_and_during_an_upgrade_a_reload_does() {
    let mut world = World::serving(2);
    let reload = world.ask(Request::Reload);
    let upgrade = world.ask(Request::Upgrade);
    let second = world.ask(Request::Reload);
    assert!(world.pool.is_reloading() && !world.pool.is_upgrading());
    world.run_until("the first reload", |world| world.verdict(reload).is_some());
    assert!(world.pool.is_upgrading() && !world.pool.is_reloading());
    assert!(world.verdict(upgrade).is_none());
    world.run_until("the upgrade", |world| world.verdict(upgrade).is_some());
    assert!(world.pool.is_reloading(), "what waited went along and follows");
    assert!(matches!(
        world.await_verdict(second),
        Verdict::Done(Done::Reloaded(_))
    ));
    let queued = |announced: &&Announcement| matches!(announced, Announcement::Queued { .. });
    assert_eq!(world.announced.iter().filter(queued).count(), 2);
}

#[test]
fn a_restart_waits_for_an_upgrade_and_an_upgrade_for_a_restart() {
    let mut world = World::serving(2);
    let upgrade = world.ask(Request::Upgrade);
    let restart = world.ask(Request::Restart(Slot(1)));
    assert!(world.pool.replacement().is_none());
    assert!(matches!(
        world.await_verdict(upgrade),
        Verdict::Done(Done::Upgraded { .. })
    ));
    assert!(world.pool.replacement().is_some());
    let upgrade = world.ask(Request::Upgrade);
    assert!(!world.pool.is_upgrading());
    assert!(matches!(
        world.await_verdict(restart),
        Verdict::Done(Done::Restarted { .. })
    ));
    assert!(matches!(
        world.await_verdict(upgrade),
        Verdict::Done(Done::Upgraded { .. })
    ));
}

#[test]
fn deaths_and_scaling_go_on_while_the_new_binary_rehearses() {
    let mut world = World::serving(2);
    let upgrade = world.ask(Request::Upgrade);
    let victim = world.life_in(0);
    world.crash(victim, ProcessExit::Signal(9));
    let scale = world.ask(Request::ScaleTo(3));
    assert!(matches!(
        world.await_verdict(scale),
        Verdict::Done(Done::Scaled { from: 2, to: 3 })
    ));
    assert_ne!(world.life_in(0), victim);
    assert!(matches!(
        world.await_verdict(upgrade),
        Verdict::Done(Done::Upgraded { .. })
    ));
    assert_eq!(world.serving_slots(), 3);
}

#[test]
fn a_stop_ends_an_upgrade_at_every_stage() {
    for stage in ["rehearsing", "handing over"] {
        let mut world = World::serving(2);
        let upgrade = world.ask(Request::Upgrade);
        let stop = asked(Request::Stop(StopMode::Graceful));
        match stage {
            "rehearsing" => world.happen(stop),
            _ => world.happen_all(vec![Event::Rehearsed(Ok(())), stop]),
        }
        assert!(!world.pool.is_upgrading());
        let told = world.verdict(upgrade);
        assert!(
            matches!(
                told,
                Some(Verdict::Failed {
                    reason: Failure::Stopped,
                    ..
                })
            ),
            "{stage}: {told:?}"
        );
        world.run(ms(60_000));
        assert_eq!(world.masters, 0);
        assert!(world.exit.is_some());
        let late = world.ask(Request::Upgrade);
        assert_eq!(world.verdict(late), None, "nobody is there any more");
    }
}

#[test]
fn while_it_stops_an_upgrade_is_refused() {
    let mut world = World::serving(2);
    world.happen(asked(Request::Stop(StopMode::Graceful)));
    let upgrade = world.ask(Request::Upgrade);
    assert!(matches!(world.verdict(upgrade), Some(Verdict::Refused { .. })));
}

#[test]
fn what_nobody_asked_for_changes_nothing() {
    let mut world = World::serving(1);
    for lie in [
        Event::Rehearsed(Ok(())),
        Event::Rehearsed(Err(String::new())),
        Event::Upgraded(Ok(String::new())),
    ] {
        let said = world.announced.len();
        world.happen(lie);
        assert_eq!((world.announced.len(), world.masters), (said, 0));
        assert!(!world.pool.is_upgrading());
    }
}

/// A pool with as much in it as possible: a replacement, one who leaves, certificates, a backoff, a queue.
#[test]
fn a_specimen_of_the_current_version_is_committed() {
    let mut world = World::serving(3);
    world.drain_time = ms(5_000);
    world.readiness = Err("silence".to_owned());
    for _ in 0..2 {
        world.crash(world.life_in(2), ProcessExit::Signal(11));
        world.run(ms(30));
    }
    world.ask(Request::Restart(Slot(0)));
    world.run(ms(300));
    world.ask(Request::Reload);
    world.run(ms(50));
    world.ask(Request::Upgrade);
    world.crash(world.life_in(2), ProcessExit::Signal(11));
    assert!(world.pool.replacement().is_some() && world.pool.leaving().count() == 1);
    let saved = Saved::of(&world.pool);
    let file = format!(
        "{}/tests/pool/pool-{}.json",
        env!("CARGO_MANIFEST_DIR"),
        cluster::pool::saved::VERSION
    );
    if std::env::var_os("CLUSTER_UPDATE").is_some() {
        let text = serde_json::to_string_pretty(&saved).expect("text");
        std::fs::write(&file, text + "\n").expect("written");
    }
    let text = std::fs::read_to_string(&file).expect("a specimen of each version is committed");
    let committed: Saved = serde_json::from_str(&text).expect("a saved pool");
    committed
        .load()
        .expect("what a master of this version wrote can be gone on with");
    let committed = serde_json::from_str(&text).expect("JSON");
    let fresh = serde_json::to_value(&saved).expect("JSON");
    let advice = "the shape of the state changed: raise pool::snapshot::VERSION, then \
                  CLUSTER_UPDATE=1 cargo test --test pool specimen";
    assert_eq!(shape(&fresh), shape(&committed), "{advice}");
}

#[test]
fn a_pool_of_version_1_is_refused_by_its_number() {
    let text = serde_json::to_string(&Saved::of(&World::serving(1).pool)).expect("text");
    let mut value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    value["version"] = 1.into();
    let saved: Saved = serde_json::from_value(value).expect("a saved pool");
    assert_eq!(
        saved.load().expect_err("refused").to_string(),
        "the pool's state is of version 1, expected 2"
    );
}

/// Names and nesting, without the values.
fn shape(value: &serde_json::Value) -> std::collections::BTreeSet<String> {
    fn walk(value: &serde_json::Value, at: &str, found: &mut std::collections::BTreeSet<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (key, value) in fields {
                    walk(value, &format!("{at}.{key}"), found);
                }
            }
            serde_json::Value::Array(items) => items
                .iter()
                .for_each(|item| walk(item, &format!("{at}[]"), found)),
            _ => {
                found.insert(at.to_owned());
            }
        }
    }
    let mut found = std::collections::BTreeSet::new();
    walk(value, "", &mut found);
    found
}
