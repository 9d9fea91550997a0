//! Two builds of `cluster` against each other: `cargo bench --bench compare -- OLD NEW [--rounds 9]
//! [--seconds 4]`.
//!
//! Each round runs OLD, NEW and OLD again, every run in a fresh directory, and forms two ratios: NEW against
//! the first OLD, and the second OLD against the first. The medians of both are printed with the lowest and
//! the highest: the second pair of columns is what the machine alone does. In every other round the two runs
//! of the first ratio change places.
//!
//! System calls are counted by `perf` (Debian: linux-perf; as root), commits by SQLite itself. They are counted
//! in loads of their own: that of 64 clients, and one client, which leaves nothing to commit together.

mod calls;
#[path = "../measurements/client.rs"]
mod client;
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
#[path = "../measurements/load.rs"]
mod load;
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
#[path = "../measurements/procfs.rs"]
mod procfs;
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
#[path = "../measurements/restarts.rs"]
mod restarts;
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
#[path = "../measurements/server.rs"]
mod server;
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
#[path = "../ceiling/stores.rs"]
mod stores;
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
#[path = "../measurements/table.rs"]
mod table;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use restarts::{kill_and_ask, median};
use server::{Plan, Server};

/// What a run measures, with its unit, and whether more is better.
const FIGURES: [(&str, &str, bool); 13] = [
    ("orders confirmed", "/s", true),
    ("CPU per order", "us", false),
    ("CPU per GET", "us", false),
    ("PSS of an idle worker", "KiB", false),
    ("PSS of the idle master", "KiB", false),
    ("memory of the idle master alone", "KiB", false),
    ("PSS of the idle master and its workers", "KiB", false),
    ("kill -9 of the only worker to the next 200", "us", false),
    ("from the start to the first order", "us", false),
    ("system calls per order", "", false),
    ("commits per order", "", false),
    ("system calls per order, one client", "", false),
    ("commits per order, one client", "", false),
];
/// How long a server is left alone before its memory is measured. Master and workers give their start-up
/// memory back one second after they began, each at its own time, and a page that two processes share counts
/// for half in each: before all have done so, the figure of one says when the others did.
const IDLE: Duration = Duration::from_secs(6);
/// Kills of which the median counts.
const KILLS: usize = 9;

/// One run: a value for each of [`FIGURES`].
type Run = [f64; FIGURES.len()];

struct Options {
    old: &'static str,
    new: &'static str,
    rounds: usize,
    seconds: u64,
    /// Neither idle memory nor GETs nor kills: three rounds take the time of one.
    orders_alone: bool,
}

fn main() -> ExitCode {
    match options().and_then(|options| compare(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("compare: failed to measure: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Cargo's own `--bench` is ignored.
fn options() -> Result<Options, String> {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&'static str> = words.into_iter().map(|word| &*word.leak()).collect();
    let [old, new, flags @ ..] = words.as_slice() else {
        return Err("expected the paths of two programs: OLD NEW".to_owned());
    };
    let mut options = Options {
        old,
        new,
        rounds: 9,
        seconds: 4,
        orders_alone: flags.contains(&"--orders-alone"),
    };
    let flags: Vec<&str> = flags
        .iter()
        .copied()
        .filter(|flag| *flag != "--orders-alone")
        .collect();
    for flag in flags.chunks(2) {
        let number = flag
            .get(1)
            .and_then(|word| word.parse::<u64>().ok())
            .filter(|number| *number > 0);
        match (flag[0], number) {
            ("--rounds", Some(rounds)) => options.rounds = usize::try_from(rounds).unwrap_or(usize::MAX),
            ("--seconds", Some(seconds)) => options.seconds = seconds,
            _ => {
                return Err(format!(
                    "{flag:?} is not --rounds N, --seconds N or --orders-alone"
                ));
            }
        }
    }
    Ok(options)
}

fn compare(options: &Options) -> Result<(), String> {
    load::find_wrk()?;
    calls::find_perf()?;
    let (mut first, mut new, mut second) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        if round % 2 == 0 {
            first.push(run(options.old, options)?);
            new.push(run(options.new, options)?);
        } else {
            new.push(run(options.new, options)?);
            first.push(run(options.old, options)?);
        }
        second.push(run(options.old, options)?);
    }
    println!(
        "{:<44} {:>9} {:>9}      new/old  (lowest to highest)   old/old  (lowest to highest)",
        "median of the runs", "old", "new"
    );
    for (at, (figure, unit, more_is_better)) in FIGURES.iter().enumerate() {
        let column = |runs: &[Run]| runs.iter().map(|run| run[at]).collect::<Vec<f64>>();
        let (first, new, second) = (column(&first), column(&new), column(&second));
        if new.iter().all(|value| value.is_nan()) {
            continue;
        }
        let better = if *more_is_better { "more" } else { "less" };
        println!(
            "{:<44} {:>9} {:>9}   {}   {}   {better} is better",
            format!("{figure}, {unit}").trim_end_matches(", "),
            short(median(first.clone())),
            short(median(new.clone())),
            ratio(&new, &first),
            ratio(&second, &first),
        );
    }
    Ok(())
}

fn short(value: f64) -> String {
    if value < 100.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.0}")
    }
}

fn ratio(over: &[f64], under: &[f64]) -> String {
    let mut ratios: Vec<f64> = over.iter().zip(under).map(|(over, under)| over / under).collect();
    ratios.sort_by(f64::total_cmp);
    let (lowest, highest) = (ratios.first().copied(), ratios.last().copied());
    format!(
        "{:>10.3}  ({:.3} to {:.3})",
        median(ratios),
        lowest.unwrap_or(f64::NAN),
        highest.unwrap_or(f64::NAN)
    )
}

fn run(program: &'static str, options: &Options) -> Result<Run, String> {
    let plan = |workers| Plan {
        workers,
        program: Some(program),
        ..Plan::default()
    };
    let seconds = options.seconds;
    let began = Instant::now();
    let server = Server::start(&plan(2))?;
    let started = began.elapsed();
    let [worker_kib, master_kib, master_own_kib, everyone_kib] = match options.orders_alone {
        true => [f64::NAN; 4],
        false => idle(&server)?,
    };
    load::orders(server.address(), 64, 1)?;
    let before = ticks(&server)?;
    let orders = load::orders(server.address(), 64, seconds)?;
    let order_us = (ticks(&server)? - before) as f64 * 10_000.0 / orders.number("created")?;
    let get_us = match options.orders_alone {
        true => f64::NAN,
        false => load::cost(server.address(), &server.everyone()?, seconds.div_ceil(2))?.us_per_request(),
    };
    let calls = calls::of_orders(&server, 64, seconds.div_ceil(2))?;
    let calls_of_one = calls::of_orders(&server, 1, seconds.div_ceil(2))?;
    drop(server);
    let killed_us = match options.orders_alone {
        true => f64::NAN,
        false => kills(&Server::start(&plan(1))?)? * 1e3,
    };
    Ok([
        orders.per_second("created")?,
        order_us,
        get_us,
        worker_kib,
        master_kib,
        master_own_kib,
        everyone_kib,
        killed_us,
        started.as_secs_f64() * 1e6,
        calls.system_calls,
        calls.commits,
        calls_of_one.system_calls,
        calls_of_one.commits,
    ])
}

/// The memory of the largest worker, of the master, of the master alone, and of all of them.
fn idle(server: &Server) -> Result<[f64; 4], String> {
    std::thread::sleep(IDLE);
    let master = procfs::pss_kib(server.master())? as f64;
    let master_own = procfs::anonymous_kib(server.master())? as f64;
    let workers = server
        .workers()?
        .into_iter()
        .map(procfs::pss_kib)
        .collect::<Result<Vec<u64>, _>>()?;
    let everyone = master + workers.iter().sum::<u64>() as f64;
    let largest = workers.into_iter().max().unwrap_or_default() as f64;
    Ok([largest, master, master_own, everyone])
}

/// The median of kills of the only worker, in ms.
fn kills(server: &Server) -> Result<f64, String> {
    let request = client::get("/healthz/liveness");
    let kill = |_| kill_and_ask(server.address(), || server.workers(), &request, 200);
    Ok(median((0..KILLS).map(kill).collect::<Result<Vec<f64>, _>>()?))
}

fn ticks(server: &Server) -> Result<u64, String> {
    server.everyone()?.into_iter().map(procfs::cpu_ticks).sum()
}
