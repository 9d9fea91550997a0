//! `kill -9` under load, again and again; then it is read from the services' own files when each saga of a
//! victim was claimed, went on, and ended. Kills and files use the same wall clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cluster::shop::evidence::audit::{self, Moment};
use cluster::shop::evidence::takeovers::{self, Takeover};
use cluster::shop::recovery::clock::now_ms;
use nix::sys::signal::Signal;

use crate::load;
use crate::server::{Plan, Server, signal};
use crate::spread::Spread;
use crate::table::Table;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Kills `kills` workers of `workers`.
pub(crate) fn measure(
    kills: usize,
    workers: usize,
    connections: usize,
    table: &mut Table,
) -> Result<(), String> {
    let server = Server::start(&Plan::workers(workers))?;
    eprintln!("takeover: {kills} kills among {workers} workers, {connections} connections place orders");
    // It is killed when the kills are done; its own figures are of no interest.
    let mut wrk = load::start_orders(server.address(), connections, 3_600)?;
    let killed = kill_them(&server, kills, workers);
    drop(wrk.kill());
    drop(wrk.wait());
    let killed = killed?;
    rest(&server)?;
    let takeovers = takeovers::read(&server.data()).map_err(|error| error.to_string())?;
    report(&killed, &takeovers, table)
}

/// Which life was killed when.
fn kill_them(server: &Server, kills: usize, workers: usize) -> Result<BTreeMap<String, u64>, String> {
    let mut killed = BTreeMap::new();
    let mut born: BTreeMap<String, usize> = BTreeMap::new();
    while killed.len() < kills {
        let lives = wait(server, |lives| lives.len() == workers)?;
        for (life, _) in &lives {
            let number = born.len();
            born.entry(life.clone()).or_insert(number);
        }
        std::thread::sleep(Duration::from_millis(fastrand::u64(150..350)));
        // The one that lives longest: it has the connections, which all left the latest victim.
        let Some((life, pid)) = lives.iter().min_by_key(|(life, _)| born.get(life)) else {
            continue;
        };
        killed.insert(life.clone(), now_ms());
        signal(*pid, Signal::SIGKILL);
        if killed.len() % 50 == 0 {
            eprintln!("  {} kills", killed.len());
        }
        // Until the master has noticed, or the next victim could be the same.
        let gone = |lives: &[(String, u32)]| lives.iter().all(|(other, _)| other != life);
        wait(server, gone)?;
    }
    Ok(killed)
}

fn wait(server: &Server, good: impl Fn(&[(String, u32)]) -> bool) -> Result<Vec<(String, u32)>, String> {
    let until = Instant::now() + TIMEOUT;
    while Instant::now() < until {
        let lives = server.lives();
        if good(&lives) {
            return Ok(lives);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Err(format!(
        "the workers were not replaced within {TIMEOUT:?}; the log:\n{}",
        server.log()
    ))
}

fn rest(server: &Server) -> Result<(), String> {
    let until = Instant::now() + TIMEOUT;
    loop {
        let audit =
            audit::check_invariants(&server.data(), Moment::Any).map_err(|error| error.to_string())?;
        if audit.pending == 0 {
            break;
        }
        if Instant::now() > until {
            return Err(format!("{} orders never ended", audit.pending));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let audit = audit::check_invariants(&server.data(), Moment::Rest).map_err(|error| error.to_string())?;
    match audit.violations.first() {
        Some(first) => Err(format!("{} invariants broke: {first}", audit.violations.len())),
        None => Ok(()),
    }
}

fn report(killed: &BTreeMap<String, u64>, takeovers: &[Takeover], table: &mut Table) -> Result<(), String> {
    let since = |at: fn(&Takeover) -> Option<u64>| {
        let took = move |takeover: &Takeover| {
            let kill = killed.get(&takeover.from.to_string())?;
            Some(at(takeover)?.saturating_sub(*kill) as f64)
        };
        Spread::of(takeovers.iter().filter_map(took)).ok_or("no saga was taken over")
    };
    let claim = since(|takeover| Some(takeover.claimed_ms))?;
    let step = since(|takeover| takeover.next_step_ms)?;
    let end = since(|takeover| takeover.ended_ms)?;
    let of_whom: std::collections::BTreeSet<_> = takeovers.iter().map(|takeover| takeover.from).collect();
    table.fact("workers killed under load", killed.len() as f64, "");
    table.fact("  of which had sagas under way", of_whom.len() as f64, "");
    table.fact("  sagas taken over", step.count() as f64, "");
    table.fact("kill to claim, p99", claim.at(0.99), "ms");
    table.fact("kill to the next durable step, p50", step.median(), "ms");
    table.at_most("  p99", step.at(0.99), 250.0, "ms");
    table.fact("  longest", step.largest(), "ms");
    table.fact("kill to the end of the order, p99", end.at(0.99), "ms");
    worst(killed, takeovers);
    Ok(())
}

/// Where to look when it took long.
fn worst(killed: &BTreeMap<String, u64>, takeovers: &[Takeover]) {
    let took = |takeover: &Takeover| {
        let kill = killed.get(&takeover.from.to_string())?;
        Some(takeover.next_step_ms?.saturating_sub(*kill))
    };
    let Some(longest) = takeovers.iter().max_by_key(|takeover| took(takeover)) else {
        return;
    };
    eprintln!("  the longest: {longest:?}");
}
