//! SIGSTOP of a worker that holds a store's lock. The holder is caught by asking the lock itself, after the
//! stop: the siblings hold it for a moment only, a stopped holder for good.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cluster::store::OfdLock;
use nix::sys::signal::Signal;
use rusqlite::Connection;

use crate::load;
use crate::server::{Plan, Server, signal};
use crate::spread::Spread;
use crate::table::Table;

const WORKERS: usize = 2;
const FILES: [&str; 4] = ["orders.db", "inventory.db", "payments.db", "sandbox.db"];
/// Nobody who runs holds a lock for so long.
const SURELY_HELD: Duration = Duration::from_millis(60);
/// More than any bar, so that a miss is told with its length.
const LONGEST: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_micros(500);

/// Catches `stops` holders.
pub(crate) fn measure(stops: usize, table: &mut Table) -> Result<(), String> {
    let server = Server::start(&Plan::workers(WORKERS))?;
    let mut wrk = load::start_orders(server.address(), 64, 3_600)?;
    let caught = catch_them(&server, stops);
    drop(wrk.kill());
    drop(wrk.wait());
    let (took, tries) = caught?;
    let took = Spread::of(took).ok_or("no holder was caught")?;
    table.fact("workers stopped", tries as f64, "");
    table.fact("  of which held a store's lock", took.count() as f64, "");
    table.fact(
        "SIGSTOP of a holder to a sibling's commit, p50",
        took.median(),
        "ms",
    );
    table.at_most("  longest", took.largest(), 700.0, "ms");
    Ok(())
}

fn catch_them(server: &Server, stops: usize) -> Result<(Vec<f64>, usize), String> {
    let (mut took, mut tries) = (Vec::new(), 0);
    while took.len() < stops {
        if tries > 200 * stops {
            return Err(format!("only {} of {tries} held a lock", took.len()));
        }
        let lives = server.lives();
        if lives.len() != WORKERS {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        }
        std::thread::sleep(Duration::from_millis(fastrand::u64(5..40)));
        let (_, pid) = lives[fastrand::usize(..lives.len())];
        signal(pid, Signal::SIGSTOP);
        let stopped = Instant::now();
        tries += 1;
        match held(&server.data(), stopped)? {
            Some(file) => {
                let gap = until_commit(&file, stopped)?;
                eprintln!("  {}: {gap:?}", file.display());
                took.push(gap.as_secs_f64() * 1e3);
                // It was killed for it; the next one needs a moment to boot.
                std::thread::sleep(Duration::from_millis(300));
            }
            None => signal(pid, Signal::SIGCONT),
        }
    }
    Ok((took, tries))
}

/// The file whose lock nobody gives back.
fn held(data: &Path, stopped: Instant) -> Result<Option<PathBuf>, String> {
    for file in FILES {
        let path = data.join(file);
        let lock = OfdLock::open(&data.join(format!("{file}.lock"))).map_err(|error| error.to_string())?;
        let began = Instant::now();
        loop {
            if lock.try_take().map_err(|error| error.to_string())? {
                lock.release().map_err(|error| error.to_string())?;
                break;
            }
            if began.elapsed() >= SURELY_HELD && stopped.elapsed() >= SURELY_HELD {
                return Ok(Some(path));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
    Ok(None)
}

/// Until the file changes.
fn until_commit(file: &Path, stopped: Instant) -> Result<Duration, String> {
    let connection = Connection::open(file).map_err(|error| error.to_string())?;
    let version = || connection.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0));
    let before = version().map_err(|error| error.to_string())?;
    while stopped.elapsed() < LONGEST {
        if version().map_err(|error| error.to_string())? != before {
            return Ok(stopped.elapsed());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Err(format!("nobody wrote {} for {LONGEST:?}", file.display()))
}
