//! The shop on PostgreSQL against its bars: `cargo bench --bench postgres [-- --pairs 3] [--seconds 8]`; with
//! `--hosts-alone`, one host against two alone, which needs no DBOS.
//!
//! One server of its own (`tests/postgres/run`), `synchronous_commit = on`, and on it in turns, each time in
//! new databases: the shop with two workers; the same order as a workflow of DBOS in Node (`bash
//! benches/postgres/install`), with one process and with two, of which the faster one counts; and the bare
//! pipeline, which makes the statements of an order without HTTP and sagas (`benches/ceiling`). The shop on
//! SQLite runs beside them. 64 connections or orders are under way each time. Every other round runs
//! backwards.
//!
//! Needs PostgreSQL 15 (`tests/postgres/server install`), wrk, and `ss` (Debian: iproute2).

mod arms;
#[path = "../measurements/client.rs"]
mod client;
mod costs;
mod database;
mod dbos;
#[expect(dead_code, reason = "the measurements, which share it, use the rest")]
#[path = "../measurements/load.rs"]
mod load;
#[path = "../ceiling/postgres/mod.rs"]
mod pipeline;
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
#[path = "../measurements/procfs.rs"]
mod procfs;
mod report;
#[path = "../ceiling/run.rs"]
mod run;
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
#[path = "../measurements/server.rs"]
mod server;
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
#[path = "../ceiling/stores.rs"]
mod stores;
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
#[path = "../measurements/table.rs"]
mod table;

use std::process::{Command, ExitCode};

use arms::{Arm, Run};
use database::PostgresServer;

/// `tests/postgres/run` says where its server is.
const SERVER: &str = "CLUSTER_TEST_POSTGRES";

/// How much is done.
struct Extent {
    pairs: usize,
    seconds: u64,
    hosts_alone: bool,
}

fn main() -> ExitCode {
    if let Some(code) = run::child_main::<pipeline::Services>() {
        return code;
    }
    let measured = extent(std::env::args().skip(1)).and_then(|extent| {
        if std::env::var_os(SERVER).is_none() {
            return beside_a_server().map(|()| None);
        }
        measure(&extent).map(Some)
    });
    match measured {
        Ok(report) => {
            report.iter().for_each(|report| println!("{report}"));
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("postgres: failed to measure: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The same once more, beside a server that is gone afterwards.
fn beside_a_server() -> Result<(), String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let status = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres/run"))
        .arg(this)
        .args(std::env::args_os().skip(1))
        .status()
        .map_err(|error| format!("tests/postgres/run: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("beside a server of its own: {status}")),
    }
}

/// Cargo's own `--bench` is ignored.
fn extent(words: impl Iterator<Item = String>) -> Result<Extent, String> {
    let mut words: Vec<String> = words.filter(|word| word != "--bench").collect();
    let all = words.len();
    words.retain(|word| word != "--hosts-alone");
    let mut extent = Extent {
        pairs: 3,
        seconds: 8,
        hosts_alone: words.len() < all,
    };
    for flag in words.chunks(2) {
        let number = flag
            .get(1)
            .and_then(|word| word.parse::<u64>().ok())
            .filter(|number| *number > 0);
        match (flag[0].as_str(), number) {
            ("--pairs", Some(pairs)) => extent.pairs = usize::try_from(pairs).unwrap_or(usize::MAX),
            ("--seconds", Some(seconds)) => extent.seconds = seconds,
            _ => return Err(format!("{flag:?} is not --pairs N, --seconds N or --hosts-alone")),
        }
    }
    Ok(extent)
}

fn measure(extent: &Extent) -> Result<report::Report, String> {
    load::find_wrk()?;
    costs::find_ss()?;
    let server = PostgresServer::find()?;
    let arms = match extent.hosts_alone {
        true => arms::hosts(),
        false => arms::all()?,
    };
    let mut runs: Vec<Vec<Run>> = arms.iter().map(|_| Vec::new()).collect();
    for round in 0..extent.pairs {
        let mut order: Vec<(&Arm, &mut Vec<Run>)> = arms.iter().zip(&mut runs).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for (arm, runs) in order {
            let run = arm.run(&server, extent.seconds);
            let run = run.map_err(|error| format!("{}: {error}", arm.title()))?;
            eprintln!("round {} of {}: {}: {run}", round + 1, extent.pairs, arm.title());
            runs.push(run);
        }
    }
    report::Report::of(&arms, &runs)
}
