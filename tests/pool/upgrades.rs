//! Upgrades of the master, as far as the pool decides: rehearsed, handed over, refused, queued, and never
//! mixed with anything.

use cluster::base::ids::Slot;
use cluster::pool::{
    Announcement, Done, Effect, Event, Failure, ProcessExit, Request, Saved, StopMode, Verdict,
};

use crate::simulation::{Simulation, asked, ms};

#[test]
fn an_upgrade_is_rehearsed_and_the_new_master_tells_its_end() {
    let mut simulation = Simulation::serving(2);
    let before = [simulation.life_in(0), simulation.life_in(1)];
    let ticket = simulation.ask(Request::Upgrade);
    assert!(simulation.pool.is_upgrading());
    let Verdict::Done(Done::Upgraded { version, after }) = simulation.await_verdict(ticket) else {
        panic!("{:?}", simulation.verdict(ticket))
    };
    assert_eq!((version.as_str(), simulation.masters), ("2.0", 1));
    assert!(after >= ms(30));
    assert!(!simulation.pool.is_upgrading());
    assert_eq!(
        [simulation.life_in(0), simulation.life_in(1)],
        before,
        "no worker was replaced"
    );
    simulation.run(ms(5_000));
    assert_eq!([simulation.life_in(0), simulation.life_in(1)], before);
}

/// A worker that is not started yet has no process that could be handed over.
#[test]
fn neither_rehearsal_nor_hand_over_comes_before_a_worker_has_been_started() {
    let mut simulation = Simulation::serving(2);
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
    let events = [asked(Request::Upgrade), crashes(simulation.life_in(0))];
    simulation.pool.handle_all(simulation.now, events, &mut effects);
    assert!(spawns(&effects) && !effects.contains(&Effect::Rehearse));
    let started = |simulation: &mut Simulation, slot| {
        let mut effects = Vec::new();
        let life = simulation.life_in(slot);
        let event = Event::Spawned { life, pid: 7 };
        simulation.pool.handle(simulation.now, event, &mut effects);
        effects
    };
    assert_eq!(started(&mut simulation, 0).last(), Some(&Effect::Rehearse));
    effects.clear();
    let events = [Event::Rehearsed(Ok(())), crashes(simulation.life_in(1))];
    simulation.pool.handle_all(simulation.now, events, &mut effects);
    assert!(spawns(&effects) && !effects.contains(&Effect::HandOver));
    assert_eq!(started(&mut simulation, 1).last(), Some(&Effect::HandOver));
}

#[test]
fn a_binary_that_cannot_go_on_is_refused_and_the_next_one_is_asked_again() {
    let mut simulation = Simulation::serving(2);
    simulation.rehearsal = Err("it is too old".to_owned());
    let ticket = simulation.ask(Request::Upgrade);
    let Verdict::Refused { reason } = simulation.await_verdict(ticket) else {
        panic!("{:?}", simulation.verdict(ticket))
    };
    assert_eq!((reason.as_str(), simulation.masters), ("it is too old", 0));
    simulation.rehearsal = Ok(());
    let ticket = simulation.ask(Request::Upgrade);
    assert!(matches!(
        simulation.await_verdict(ticket),
        Verdict::Done(Done::Upgraded { .. })
    ));
}

#[test]
fn a_binary_that_cannot_be_executed_is_backed_out() {
    let mut simulation = Simulation::serving(1);
    simulation.execution = Err("ETXTBSY".to_owned());
    let ticket = simulation.ask(Request::Upgrade);
    let Verdict::Failed { reason, .. } = simulation.await_verdict(ticket) else {
        panic!("{:?}", simulation.verdict(ticket))
    };
    assert_eq!(
        reason,
        Failure::NotExecuted {
            reason: "ETXTBSY".to_owned()
        }
    );
    assert!(!simulation.pool.is_upgrading());
}

#[test]
fn during_a_reload_an_upgrade_waits_and_during_an_upgrade_a_reload_does() {
    let mut simulation = Simulation::serving(2);
    let reload = simulation.ask(Request::Reload);
    let upgrade = simulation.ask(Request::Upgrade);
    let second = simulation.ask(Request::Reload);
    assert!(simulation.pool.is_reloading() && !simulation.pool.is_upgrading());
    simulation.run_until("the first reload", |simulation| {
        simulation.verdict(reload).is_some()
    });
    assert!(simulation.pool.is_upgrading() && !simulation.pool.is_reloading());
    assert!(simulation.verdict(upgrade).is_none());
    simulation.run_until("the upgrade", |simulation| simulation.verdict(upgrade).is_some());
    assert!(
        simulation.pool.is_reloading(),
        "what waited went along and follows"
    );
    assert!(matches!(
        simulation.await_verdict(second),
        Verdict::Done(Done::Reloaded(_))
    ));
    let queued = |announced: &&Announcement| matches!(announced, Announcement::Queued { .. });
    assert_eq!(simulation.announced.iter().filter(queued).count(), 2);
}

#[test]
fn a_restart_waits_for_an_upgrade_and_an_upgrade_for_a_restart() {
    let mut simulation = Simulation::serving(2);
    let upgrade = simulation.ask(Request::Upgrade);
    let restart = simulation.ask(Request::Restart(Slot(1)));
    assert!(simulation.pool.replacement().is_none());
    assert!(matches!(
        simulation.await_verdict(upgrade),
        Verdict::Done(Done::Upgraded { .. })
    ));
    assert!(simulation.pool.replacement().is_some());
    let upgrade = simulation.ask(Request::Upgrade);
    assert!(!simulation.pool.is_upgrading());
    assert!(matches!(
        simulation.await_verdict(restart),
        Verdict::Done(Done::Restarted { .. })
    ));
    assert!(matches!(
        simulation.await_verdict(upgrade),
        Verdict::Done(Done::Upgraded { .. })
    ));
}

#[test]
fn deaths_and_scaling_go_on_while_the_new_binary_rehearses() {
    let mut simulation = Simulation::serving(2);
    let upgrade = simulation.ask(Request::Upgrade);
    let victim = simulation.life_in(0);
    simulation.crash(victim, ProcessExit::Signal(9));
    let scale = simulation.ask(Request::ScaleTo(3));
    assert!(matches!(
        simulation.await_verdict(scale),
        Verdict::Done(Done::Scaled { from: 2, to: 3 })
    ));
    assert_ne!(simulation.life_in(0), victim);
    assert!(matches!(
        simulation.await_verdict(upgrade),
        Verdict::Done(Done::Upgraded { .. })
    ));
    assert_eq!(simulation.serving_slots(), 3);
}

#[test]
fn a_stop_ends_an_upgrade_at_every_stage() {
    for stage in ["rehearsing", "handing over"] {
        let mut simulation = Simulation::serving(2);
        let upgrade = simulation.ask(Request::Upgrade);
        let stop = asked(Request::Stop(StopMode::Graceful));
        match stage {
            "rehearsing" => simulation.happen(stop),
            _ => simulation.happen_all(vec![Event::Rehearsed(Ok(())), stop]),
        }
        assert!(!simulation.pool.is_upgrading());
        let told = simulation.verdict(upgrade);
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
        simulation.run(ms(60_000));
        assert_eq!(simulation.masters, 0);
        assert!(simulation.exit.is_some());
        let late = simulation.ask(Request::Upgrade);
        assert_eq!(simulation.verdict(late), None, "the cluster has ended");
    }
}

#[test]
fn while_it_stops_an_upgrade_is_refused() {
    let mut simulation = Simulation::serving(2);
    simulation.happen(asked(Request::Stop(StopMode::Graceful)));
    let upgrade = simulation.ask(Request::Upgrade);
    assert!(matches!(
        simulation.verdict(upgrade),
        Some(Verdict::Refused { .. })
    ));
}

#[test]
fn verdicts_that_were_not_asked_for_change_nothing() {
    let mut simulation = Simulation::serving(1);
    for lie in [
        Event::Rehearsed(Ok(())),
        Event::Rehearsed(Err(String::new())),
        Event::Upgraded(Ok(String::new())),
    ] {
        let said = simulation.announced.len();
        simulation.happen(lie);
        assert_eq!((simulation.announced.len(), simulation.masters), (said, 0));
        assert!(!simulation.pool.is_upgrading());
    }
}

/// A pool with as much in it as possible: a replacement, a worker that leaves, certificates, a backoff, a
/// queue.
#[test]
fn a_specimen_of_the_current_version_is_committed() {
    let mut simulation = Simulation::serving(3);
    simulation.drain_time = ms(5_000);
    simulation.readiness = Err("silence".to_owned());
    for _ in 0..2 {
        simulation.crash(simulation.life_in(2), ProcessExit::Signal(11));
        simulation.run(ms(30));
    }
    simulation.ask(Request::Restart(Slot(0)));
    simulation.run(ms(300));
    simulation.ask(Request::Reload);
    simulation.run(ms(50));
    simulation.ask(Request::Upgrade);
    simulation.crash(simulation.life_in(2), ProcessExit::Signal(11));
    assert!(simulation.pool.replacement().is_some() && simulation.pool.leaving().count() == 1);
    let saved = Saved::of(&simulation.pool);
    let file = format!(
        "{}/tests/pool/pool-{}.json",
        env!("CARGO_MANIFEST_DIR"),
        cluster::pool::snapshot::VERSION
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
    let text = serde_json::to_string(&Saved::of(&Simulation::serving(1).pool)).expect("text");
    let mut value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    value["version"] = 1.into();
    let saved: Saved = serde_json::from_value(value).expect("a saved pool");
    assert_eq!(
        saved.load().expect_err("refused").to_string(),
        "the pool's state is of version 1, expected 7"
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
