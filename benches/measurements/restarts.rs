//! `kill -9` of the only worker, and how long until somebody is served again.

use std::net::SocketAddr;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::server::{Server, signal};
use crate::table::Table;
use crate::{client, load};

/// Kills of an idle worker.
pub(crate) const TIMES: usize = 20;
/// Kills under load.
pub(crate) const LOADED: usize = 10;

/// Between two kills, so that the new worker is at rest.
const REST: Duration = Duration::from_millis(300);

/// The medians.
pub(crate) fn measure(server: &Server, table: &mut Table) -> Result<(), String> {
    let kill = |request: &str, status| kill_and_ask(server.address(), || server.workers(), request, status);
    let idle = (0..TIMES).map(|_| kill(&client::get("/healthz/liveness"), 200));
    let idle = median(idle.collect::<Result<_, _>>()?);
    table.at_most("kill -9 of the only worker to the next 200", idle, 10.0, "ms");
    let seconds = 2 + LOADED as u64;
    let wrk = load::start_orders(server.address(), 64, seconds)?;
    let loaded: Result<Vec<f64>, String> = (0..LOADED).map(|_| kill(&client::order(), 201)).collect();
    // Its own figures are those of a server that is being killed; only its end matters.
    load::finish(wrk)?;
    table.at_most("  to the next 201, under load", median(loaded?), 100.0, "ms");
    Ok(())
}

/// How long nobody is served after the only worker was killed, in ms.
pub(crate) fn kill_and_ask(
    address: SocketAddr,
    workers: impl FnOnce() -> Result<Vec<u32>, String>,
    request: &str,
    status: u16,
) -> Result<f64, String> {
    std::thread::sleep(REST);
    client::until(address, request, status, Duration::from_secs(10))?;
    let workers = workers()?;
    let [worker] = workers[..] else {
        return Err(format!("expected one worker, found {workers:?}"));
    };
    signal(worker, Signal::SIGKILL);
    let took = client::until(address, request, status, Duration::from_secs(10))?;
    Ok(took.as_secs_f64() * 1e3)
}

/// The middle one; of an even number, the upper of the two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
