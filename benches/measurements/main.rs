//! All figures in one command: `cargo bench --bench measurements [-- --seconds 8]`. Builds the release
//! binary, starts clusters of its own in private directories on ports of 127.0.0.1, loads them with wrk, runs
//! the ceiling in the same run, kills workers, and prints a table of figure, bar and verdict. Leaves no
//! process behind. Needs wrk (`apt-get install wrk`).

mod bare;
mod client;
mod load;
#[path = "../ceiling/order.rs"]
mod order;
mod procfs;
mod restarts;
#[path = "../ceiling/run.rs"]
mod run;
#[expect(dead_code, reason = "the bars, which share it, use the rest")]
mod server;
#[path = "../ceiling/stores.rs"]
mod stores;
#[expect(dead_code, reason = "the bars, which share it, use the rest")]
mod table;

use std::process::ExitCode;
use std::time::Duration;

use server::{Plan, Server};
use table::Table;

fn main() -> ExitCode {
    if let Some(code) = run::child_main::<stores::Stores>().or_else(bare::child_main) {
        return code;
    }
    match seconds(std::env::args().skip(1)).and_then(measure) {
        Ok(table) => {
            println!("{table}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("measurements: failed to measure: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The length of each load. Cargo's own `--bench` is ignored.
fn seconds(args: impl Iterator<Item = String>) -> Result<u64, String> {
    let words: Vec<String> = args.filter(|word| word != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(8),
        ["--seconds", number] => number
            .parse()
            .map_err(|_| format!("--seconds {number:?} is not a number")),
        _ => Err(format!("unknown flags {words:?} (expected --seconds N)")),
    }
}

fn measure(seconds: u64) -> Result<Table, String> {
    load::find_wrk()?;
    let mut table = Table::default();
    eprintln!("idle: memory and wake-ups, two workers");
    let server = Server::start(&Plan::workers(2))?;
    idle(&server, &mut table)?;
    eprintln!("orders: two workers, 64 connections, {seconds} s");
    orders(&server, seconds, &mut table)?;
    drop(server);
    eprintln!("liveness against a bare hyper server, one process each, {seconds} s");
    liveness(seconds, &mut table)?;
    eprintln!(
        "kill -9 of the only worker, {} times idle and {} times under load",
        restarts::TIMES,
        restarts::LOADED
    );
    let server = Server::start(&Plan::workers(1))?;
    restarts::measure(&server, &mut table)?;
    Ok(table)
}

fn idle(server: &Server, table: &mut Table) -> Result<(), String> {
    std::thread::sleep(Duration::from_secs(1));
    memory(server, "idle", table)?;
    let before = procfs::voluntary_switches(server.master())?;
    std::thread::sleep(Duration::from_secs(10));
    let wakes = (procfs::voluntary_switches(server.master())? - before) as f64 / 10.0;
    table.at_most("idle master, wake-ups per second", wakes, 5.0, "/s");
    Ok(())
}

fn memory(server: &Server, when: &str, table: &mut Table) -> Result<(), String> {
    let mib = |pid| procfs::pss_kib(pid).map(|kib| kib as f64 / 1024.0);
    let workers = server
        .workers()?
        .into_iter()
        .map(mib)
        .collect::<Result<Vec<f64>, String>>()?;
    let largest = workers.into_iter().fold(0.0, f64::max);
    let master = mib(server.master())?;
    if when == "idle" {
        table.at_most("idle worker, PSS (the largest)", largest, 6.0, "MiB");
        table.at_most("idle master, PSS", master, 2.0, "MiB");
        let own = procfs::anonymous_kib(server.master())? as f64 / 1024.0;
        table.fact("idle master, memory of its own alone", own, "MiB");
    } else {
        table.fact(&format!("worker, PSS {when} (the largest)"), largest, "MiB");
        table.fact(&format!("master, PSS {when}"), master, "MiB");
    }
    Ok(())
}

fn orders(server: &Server, seconds: u64, table: &mut Table) -> Result<(), String> {
    load::orders(server.address(), 64, 2)?;
    let got = load::orders(server.address(), 64, seconds)?;
    memory(server, "after the load", table)?;
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let ceiling = run::run::<stores::Stores>(&run::Plan {
        processes: 2,
        in_flight: 32,
        seconds,
        place: directory.path().display().to_string(),
    })?;
    eprintln!("ceiling: {ceiling}");
    let per_s = got.per_second("created")?;
    table.at_least("POST /orders, confirmed per second", per_s, 4_000.0, "/s");
    table.at_least("  share of the ceiling", per_s / ceiling.orders_per_s, 0.6, "");
    table.fact("  the ceiling, orders per second", ceiling.orders_per_s, "/s");
    table.at_most("  p99", got.ms("p99_us")?, 60.0, "ms");
    table.fact("  p50", got.ms("p50_us")?, "ms");
    table.at_most(
        "  neither 201, 202, 402 nor 409",
        got.number("failed")? + got.number("socket_errors")?,
        0.0,
        "",
    );
    Ok(())
}

/// The two take turns, so that what else the machine does falls on both.
fn liveness(seconds: u64, table: &mut Table) -> Result<(), String> {
    let server = Server::start(&Plan::workers(1))?;
    let bare = bare::Bare::start()?;
    let (mut ours, mut theirs) = (load::Cost::default(), load::Cost::default());
    for _ in 0..4 {
        let turn = (seconds / 4).max(1);
        ours.add(load::cost(server.address(), &server.everyone()?, turn)?);
        theirs.add(load::cost(bare.address(), &[bare.pid()], turn)?);
    }
    table.fact(
        "GET /healthz/liveness, CPU per request",
        ours.us_per_request(),
        "us",
    );
    table.fact("  bare hyper", theirs.us_per_request(), "us");
    table.at_most(
        "  ratio",
        ours.us_per_request() / theirs.us_per_request(),
        1.25,
        "x",
    );
    table.fact("  requests per second, one worker", ours.per_second(), "/s");
    Ok(())
}
