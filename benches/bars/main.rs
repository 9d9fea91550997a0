//! The bars of sagas and stores, each a command of its own: `cargo bench --bench bars -- takeover` (or
//! `holder`, `eight`, `lock`, `steady`, `editors`; `--help` lists their switches). Starts clusters of its own
//! in private directories on ports of 127.0.0.1, prints a table of figure, bar and verdict, and exits with 1
//! when a bar was missed. Leaves no process behind. Needs wrk.

#[path = "../measurements/client.rs"]
mod client;
mod editors;
mod eight;
mod holder;
#[path = "../measurements/load.rs"]
#[expect(dead_code, reason = "`measurements`, whose it is, uses the rest")]
mod load;
mod lock;
#[path = "../measurements/procfs.rs"]
#[expect(dead_code, reason = "`measurements`, whose it is, uses the rest")]
mod procfs;
#[path = "../measurements/server.rs"]
mod server;
mod spread;
mod steady;
#[path = "../ceiling/stores.rs"]
#[expect(dead_code, reason = "the ceiling, whose it is, uses the rest")]
mod stores;
#[path = "../measurements/table.rs"]
mod table;
mod takeover;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use table::Table;

#[derive(Parser)]
#[command(
    name = "bars",
    about = "Measures what the project promises of sagas and stores"
)]
struct Options {
    #[command(subcommand)]
    bar: Bar,
    /// Cargo's own, ignored.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Clone, Copy, Subcommand)]
enum Bar {
    /// From `kill -9` of an owner under load to the next durable step of each of its sagas by another worker.
    Takeover {
        /// How many workers are killed.
        #[arg(long, default_value_t = 200)]
        kills: usize,
        /// Workers of the cluster.
        #[arg(long, default_value_t = 2)]
        workers: usize,
        /// Connections that place orders, each one after the other.
        #[arg(long, default_value_t = 64)]
        connections: usize,
    },
    /// From SIGSTOP of a worker that holds a store's lock to the next commit to that file by a sibling.
    Holder {
        /// How many holders are caught.
        #[arg(long, default_value_t = 20)]
        stops: usize,
    },
    /// Orders per second with eight workers, against two, in one run.
    Eight {
        /// Two and eight take turns so often.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// The length of each load.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// How long eight processes that write one file wait for its lock.
    Lock {
        /// So many runs, of which the median counts.
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// The length of each.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// Files and memory under steady load, with retention at one minute.
    Steady {
        /// How long.
        #[arg(long, default_value_t = 10)]
        minutes: u64,
        /// Connections that place orders, each one after the other.
        #[arg(long, default_value_t = 8)]
        connections: usize,
    },
    /// Whether every piece is accounted for while one article is sold, renamed and counted.
    Editors {
        /// How long.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
}

fn main() -> ExitCode {
    if let Some(code) = lock::child_main() {
        return code;
    }
    let mut table = Table::default();
    let measured = load::find_wrk().and_then(|()| measure(Options::parse().bar, &mut table));
    if let Err(message) = measured {
        eprintln!("bars: failed to measure: {message}");
        return ExitCode::FAILURE;
    }
    println!("{table}");
    if table.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn measure(bar: Bar, table: &mut Table) -> Result<(), String> {
    match bar {
        Bar::Takeover {
            kills,
            workers,
            connections,
        } => takeover::measure(kills, workers, connections, table),
        Bar::Holder { stops } => holder::measure(stops, table),
        Bar::Eight { rounds, seconds } => eight::measure(rounds, seconds, table),
        Bar::Lock { runs, seconds } => lock::measure(runs, seconds, table),
        Bar::Steady { minutes, connections } => steady::measure(minutes, connections, table),
        Bar::Editors { seconds } => editors::measure(seconds, table),
    }
}
