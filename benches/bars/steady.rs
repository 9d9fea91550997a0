//! Ten minutes of the same load with retention at one minute: what is on disk and in memory must level off.
//! The verdict is by the slope over the last half. The sandbox provider's ledger is not ours to shorten, and
//! is printed without a bar.

use std::time::{Duration, Instant};

use crate::server::{Plan, Server};
use crate::table::Table;
use crate::{load, procfs};

const EVERY: Duration = Duration::from_secs(30);
const OURS: [&str; 3] = ["orders.db", "inventory.db", "payments.db"];
const WALS: [&str; 4] = [
    "orders.db-wal",
    "inventory.db-wal",
    "payments.db-wal",
    "sandbox.db-wal",
];
const RETENTION: &str = "retention = \"1m\"\nidempotency_retention = \"1m\"";

/// One look.
struct Look {
    minutes: f64,
    files_mib: f64,
    wal_mib: f64,
    memory_mib: f64,
}

/// Loads for so long over so many connections.
pub(crate) fn measure(minutes: u64, connections: usize, table: &mut Table) -> Result<(), String> {
    let plan = Plan {
        workers: 2,
        shop: RETENTION,
        ..Plan::default()
    };
    let server = Server::start(&plan)?;
    let seconds = minutes * 60;
    let wrk = load::start_orders(server.address(), connections, seconds)?;
    let looks = watch(&server, seconds);
    let said = load::finish(wrk)?;
    let looks = looks?;
    let last_half = &looks[looks.len() / 2..];
    table.fact("orders per second", said.per_second("created")?, "/s");
    let bad = said.number("failed")? + said.number("socket_errors")?;
    table.at_most("  neither 201, 202, 402 nor 409", bad, 0.0, "");
    let longest_wal = looks.iter().map(|look| look.wal_mib).fold(0.0, f64::max);
    table.at_most("all WALs together, the most", longest_wal, 32.0, "MiB");
    let files = slope(last_half, |look| look.files_mib)?;
    table.at_most(
        "files of the services, growth over the last half",
        files,
        1.0,
        "%/min",
    );
    let memory = slope(last_half, |look| look.memory_mib)?;
    table.at_most("memory, growth over the last half", memory, 1.0, "%/min");
    Ok(())
}

fn watch(server: &Server, seconds: u64) -> Result<Vec<Look>, String> {
    let began = Instant::now();
    let mut looks = Vec::new();
    eprintln!("minutes  orders.db  inventory.db  payments.db  sandbox.db  WALs  PSS (MiB)");
    while began.elapsed() + EVERY <= Duration::from_secs(seconds) {
        std::thread::sleep(EVERY);
        let size = |name: &str| {
            let length = std::fs::metadata(server.data().join(name)).map_or(0, |file| file.len());
            length as f64 / f64::from(1 << 20)
        };
        let pss: u64 = server
            .everyone()?
            .into_iter()
            .map(procfs::pss_kib)
            .sum::<Result<u64, String>>()?;
        let look = Look {
            minutes: began.elapsed().as_secs_f64() / 60.0,
            files_mib: OURS.iter().map(|name| size(name)).sum(),
            wal_mib: WALS.iter().map(|name| size(name)).sum(),
            memory_mib: pss as f64 / 1024.0,
        };
        eprintln!(
            "{:>7.1} {:>10.1} {:>13.1} {:>12.1} {:>11.1} {:>5.1} {:>5.1}",
            look.minutes,
            size(OURS[0]),
            size(OURS[1]),
            size(OURS[2]),
            size("sandbox.db"),
            look.wal_mib,
            look.memory_mib
        );
        looks.push(look);
    }
    Ok(looks)
}

/// Least squares, in per cent of the mean per minute.
fn slope(looks: &[Look], value: fn(&Look) -> f64) -> Result<f64, String> {
    if looks.len() < 3 {
        return Err("too short to tell a slope: at least 3 minutes".to_owned());
    }
    let mean = |of: &dyn Fn(&Look) -> f64| looks.iter().map(of).sum::<f64>() / looks.len() as f64;
    let (time, middle) = (mean(&|look| look.minutes), mean(&value));
    let rise: f64 = looks
        .iter()
        .map(|look| (look.minutes - time) * (value(look) - middle))
        .sum();
    let run: f64 = looks.iter().map(|look| (look.minutes - time).powi(2)).sum();
    Ok(rise / run / middle * 100.0)
}
