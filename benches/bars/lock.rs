//! Eight processes write one file through the store, each one write after the other. A wait is the time from
//! asking the store to the moment the write runs: the hand-over to the writer thread, the lock, and the
//! beginning of the transaction.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use cluster::scoreboard::Board;
use cluster::store::{Admission, Schema, Store, StoreOptions, Tx};

use crate::spread::Spread;
use crate::table::Table;

const PROCESSES: usize = 8;
/// `<database> <seconds>`
const CHILD: &str = "CLUSTER_LOCK_BENCH_CHILD";
const SCHEMA: Schema = Schema {
    name: "lock",
    application_id: 0x7e58,
    migrations: &["CREATE TABLE entry (number INTEGER PRIMARY KEY, body BLOB) STRICT;"],
};

/// The median over the runs of p99.9 / p50.
pub(crate) fn measure(runs: usize, seconds: u64, table: &mut Table) -> Result<(), String> {
    let (mut ratios, mut medians, mut tails) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=runs {
        let waits = one_run(seconds)?;
        let (median, tail) = (waits.median(), waits.at(0.999));
        eprintln!(
            "  run {run}: {} writes, p50 {median:.0} us, p99 {:.0} us, p99.9 {tail:.0} us, longest {:.0} us, ratio {:.1}",
            waits.count(),
            waits.at(0.99),
            waits.largest(),
            tail / median
        );
        ratios.push(tail / median);
        medians.push(median);
        tails.push(tail);
    }
    let middle = |values: Vec<f64>| Spread::of(values).map_or(f64::NAN, |spread| spread.median());
    table.fact("waiting for the lock, eight writers, p50", middle(medians), "us");
    table.fact("  p99.9", middle(tails), "us");
    table.at_most("  p99.9 / p50 (median of the runs)", middle(ratios), 8.0, "x");
    Ok(())
}

fn one_run(seconds: u64) -> Result<Spread, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = directory.path().join("lock.db");
    // Made before anybody is measured.
    drop(open(&path)?);
    let children: Result<Vec<Child>, String> = (0..PROCESSES).map(|_| start(&path, seconds)).collect();
    let mut waits = Vec::new();
    for mut child in children? {
        let mut said = String::new();
        let heard = child
            .stdout
            .take()
            .map(|mut stdout| stdout.read_to_string(&mut said));
        let status = child.wait().map_err(|error| error.to_string())?;
        if !status.success() || !matches!(heard, Some(Ok(_))) {
            return Err(format!("a writer ended with {status}"));
        }
        waits.extend(said.lines().filter_map(|line| line.parse::<f64>().ok()));
    }
    Spread::of(waits).ok_or_else(|| "nothing was written".to_owned())
}

fn start(path: &Path, seconds: u64) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    Command::new(program)
        .env(CHILD, format!("{} {seconds}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())
}

fn open(path: &Path) -> Result<Store, String> {
    let cell = Board::private()
        .cell("lock")
        .ok_or("a new board has free cells")?;
    Store::open(&SCHEMA, StoreOptions::new(path, cell)).map_err(|error| error.to_string())
}

/// The writing process, when this program is run as one.
pub(crate) fn child_main() -> Option<ExitCode> {
    let order = std::env::var(CHILD).ok()?;
    let written = order
        .rsplit_once(' ')
        .ok_or_else(|| order.clone())
        .and_then(|(path, seconds)| write(Path::new(path), seconds.parse().map_err(|_| order.clone())?));
    Some(match written {
        Ok(waits) => {
            waits.iter().for_each(|wait| println!("{}", wait.as_micros()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bars: a writer failed: {error}");
            ExitCode::FAILURE
        }
    })
}

fn write(path: &Path, seconds: u64) -> Result<Vec<Duration>, String> {
    let store = open(path)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| error.to_string())?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut waits = Vec::new();
    while Instant::now() < until {
        let asked = Instant::now();
        let job = move |tx: &Tx<'_>| {
            let waited = asked.elapsed();
            tx.prepare_cached("INSERT INTO entry (body) VALUES (zeroblob(200))")?
                .execute([])?;
            Ok(waited)
        };
        let written = runtime.block_on(store.write::<_, rusqlite::Error>(Admission::Continue, job));
        waits.push(written.map_err(|error| error.to_string())?);
    }
    Ok(waits)
}
