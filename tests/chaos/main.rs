//! Chaos under load, at a rate that every machine bears: `cargo bench --bench chaos` is the same at 3,000
//! requests a second, with its bars for latency. The bar for failed requests is the same in both: zero, or
//! what a victim had accepted. The program has a `main` of its own, because it is also the bad worker of the
//! bad reloads.

mod answer;
mod bad;
mod balance;
mod client;
#[path = "../common/mod.rs"]
mod common;
mod crashes;
mod deploys;
mod faulty;
mod hardship;
mod hung;
mod leaks;
mod mutants;
mod request_log;
mod stage;
mod streams;
mod verdict;
mod witness;

use std::process::ExitCode;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};

use client::Kind::{Http2, KeepAlive, New};
use stage::Effort;
use verdict::Verdict;

type Test = (&'static str, fn() -> Vec<Verdict>);

const TESTS: &[Test] = &[
    ("reloads_lose_nothing", || {
        all(|kind| deploys::reloads(&quick(), kind))
    }),
    ("scaling_loses_nothing", || {
        all(|kind| deploys::scales(&quick(), kind))
    }),
    ("upgrades_lose_nothing", || {
        all(|kind| deploys::upgrades(&quick(), kind))
    }),
    ("kills_lose_what_the_victim_had_accepted_and_nothing_else", || {
        both(|kind| crashes::kills(&quick(), kind))
    }),
    ("bad_reloads_are_backed_out_and_lose_nothing", || {
        both(|kind| bad::reloads(&quick(), kind))
    }),
    (
        "a_stopped_worker_is_unrouted_its_queue_adopted_and_it_is_killed",
        || both(|kind| hung::stopped(&quick(), kind)),
    ),
    ("a_worker_stopped_for_a_moment_comes_back", || {
        both(|kind| hung::paused(&quick(), kind))
    }),
    ("a_spinning_worker_costs_what_it_had_accepted", || {
        both(|kind| hung::spinning(&quick(), kind))
    }),
    ("connections_are_spread_evenly", || {
        vec![balance::spread(&quick(), 1)]
    }),
    ("reloads_leave_the_master_as_it_was", || {
        vec![leaks::reloads(&quick(), 10)]
    }),
];

/// For every build: a few seconds a scene, at a rate that an unoptimised program serves beside its client.
fn quick() -> Effort {
    Effort {
        rate: 400,
        steady: Duration::from_millis(300),
        rest: Duration::from_millis(100),
        kills: 4,
        reloads: 3,
        scales: 6,
        upgrades: 2,
        bake_time: "100ms",
        heartbeat_timeout: Duration::from_secs(2),
        strict: false,
        one_order_in: 40,
        mutant: None,
    }
}

fn all(scene: impl Fn(client::Kind) -> Verdict) -> Vec<Verdict> {
    [New, KeepAlive, Http2].map(scene).into()
}

fn both(scene: impl Fn(client::Kind) -> Verdict) -> Vec<Verdict> {
    [New, KeepAlive].map(scene).into()
}

fn main() -> ExitCode {
    if cluster::worker::is_asked_for() {
        return faulty::main();
    }
    let scenes = TESTS
        .iter()
        .map(|(name, scene)| trial(name, Machine::Shared, *scene));
    let starved = trial("starvation_is_no_hang", Machine::Alone, || {
        vec![hardship::saturated(&quick(), Duration::from_secs(4))]
    });
    let mutants = mutants::HUNTS.iter().map(|hunt| {
        let trial = trial(hunt.name, Machine::Alone, || mutants::is_found(hunt));
        trial.with_ignored_flag(true).with_kind("builds a mutant")
    });
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(SIDE_BY_SIDE);
    libtest_mimic::run(&arguments, scenes.chain([starved]).chain(mutants).collect()).exit_code()
}

/// As many scenes run at once, so that their waits overlap. More would be a test of the machine.
const SIDE_BY_SIDE: usize = 3;

/// Whether a scene leaves CPU time to others.
#[derive(Clone, Copy)]
enum Machine {
    Shared,
    /// It uses all there is, or its verdict depends on what it gets.
    Alone,
}

/// Held by every scene that runs, and for writing by one that wants to be alone.
static RUNNING: RwLock<()> = RwLock::new(());

fn trial(name: &str, machine: Machine, scene: impl FnOnce() -> Vec<Verdict> + Send + 'static) -> Trial {
    Trial::test(name, move || match machine {
        Machine::Shared => {
            let _others = RUNNING.read().unwrap_or_else(PoisonError::into_inner);
            judge(&scene())
        }
        Machine::Alone => {
            let _nobody = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
            judge(&scene())
        }
    })
}

/// A scene is good when there are verdicts and all of them are.
fn judge(verdicts: &[Verdict]) -> Result<(), Failed> {
    for verdict in verdicts {
        println!("  {verdict}");
    }
    if !verdicts.is_empty() && verdicts.iter().all(Verdict::is_good) {
        Ok(())
    } else {
        Err("a bar was missed, see above".into())
    }
}
