//! Chaos under load, at a rate that every machine bears: `cargo bench --bench chaos` is the same at 3,000 requests a second, with
//! its bars for latency. The bar for failed requests is the same in both: zero, or what a victim had accepted. Without libtest,
//! because the same program is also the bad worker of the bad reloads.

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
mod record;
mod stage;
mod streams;
mod verdict;
mod witness;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

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
        both(|kind| bad::reloads(&quick(), kind)).into_iter().collect()
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
    ("starvation_is_no_hang", || {
        vec![hardship::saturated(&quick(), Duration::from_secs(4))]
    }),
    ("mutants_are_found", mutants::are_found),
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
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let wanted = TESTS
        .iter()
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|filter| name.contains(*filter)));
    if arguments.iter().any(|argument| argument == "--list") {
        wanted.for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    // One after the other: each of them uses the whole machine.
    let failed = wanted.filter(|test| !passes(test)).count();
    println!("\ntest result: {failed} failed\n");
    ExitCode::from(u8::from(failed > 0))
}

fn passes((name, test): &Test) -> bool {
    let verdicts = catch_unwind(AssertUnwindSafe(test)).unwrap_or_default();
    for verdict in &verdicts {
        println!("  {verdict}");
    }
    let good = !verdicts.is_empty() && verdicts.iter().all(Verdict::is_good);
    println!("test {name} ... {}", if good { "ok" } else { "FAILED" });
    good
}
