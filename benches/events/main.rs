//! What events cost and what becomes of them: `cargo bench --bench events -- [followers|latency|readers|idle]
//! [--seconds 60]`. Each prints one line.
//!
//! - `followers`: orders at 600/s, a worker killed every second, a follower of pages and one of a stream:
//!   whether each confirmed order's event was seen, and how often.
//! - `latency`: from the client's 201 to the event on its stream, at 500 orders/s.
//! - `readers`: orders per second without readers and beside a thousand streams, ten of which are never read,
//!   and the memory of the workers.
//! - `idle`: reads of the events while a hundred streams are open and nothing happens.

#[path = "../measurements/client.rs"]
mod client;
mod orders;
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
#[path = "../measurements/procfs.rs"]
mod procfs;
mod readers;
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
#[path = "../measurements/server.rs"]
mod server;
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
#[path = "../ceiling/stores.rs"]
mod stores;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use orders::{Confirmed, Load};
use readers::{Streams, follow_pages, follow_stream};
use server::{Plan, Server};

/// Streams of the bar, and how many of them nobody reads.
const STREAMS: usize = 1_000;
const STUCK: usize = 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let seconds = arguments.iter().position(|word| word == "--seconds");
    let seconds = seconds
        .and_then(|at| arguments.get(at + 1)?.parse().ok())
        .unwrap_or(20);
    let named = |name: &str| {
        let words = ["followers", "latency", "readers", "idle"];
        !arguments.iter().any(|word| words.contains(&word.as_str()))
            || arguments.iter().any(|word| word == name)
    };
    let run = || -> Result<(), String> {
        if named("followers") {
            followers(seconds)?;
        }
        if named("latency") {
            latency(seconds)?;
        }
        if named("readers") {
            readers_cost(seconds)?;
        }
        if named("idle") {
            idle()?;
        }
        Ok(())
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("events: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn followers(seconds: u64) -> Result<(), String> {
    let server = Server::start(&Plan::workers(2))?;
    let (address, stop) = (server.address(), AtomicBool::new(false));
    let start = readers::now(address)?;
    let total = Mutex::new(None::<usize>);
    let is_done = |seen: usize| {
        total
            .lock()
            .is_ok_and(|total| total.is_some_and(|total| seen >= total))
    };
    std::thread::scope(|scope| {
        let load = scope.spawn(|| Load::paced(address, 600).run(&stop));
        let pages = scope.spawn(|| follow_pages(address, &start, is_done));
        let stream = scope.spawn(|| follow_stream(address, &start, |seen| is_done(seen.len())));
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut kills = 0;
        while Instant::now() < until {
            std::thread::sleep(Duration::from_secs(1));
            if let Some(pid) = server.workers()?.first() {
                server::signal(*pid, Signal::SIGKILL);
                kills += 1;
            }
        }
        stop.store(true, Ordering::Relaxed);
        let confirmed = load.join().map_err(|_| "the load failed")?;
        let ids: BTreeSet<String> = confirmed.iter().map(|(id, _)| id.clone()).collect();
        *total.lock().map_err(|_| "a lock")? = Some(ids.len());
        let pages = pages.join().map_err(|_| "the follower of pages failed")?;
        let streamed = stream.join().map_err(|_| "the follower of the stream failed")?;
        let once: BTreeSet<String> = pages.iter().cloned().collect();
        println!(
            "followers: {} orders confirmed in {seconds} s at 600/s, {kills} kills; by pages {} events, \
             {} missing, {} twice; by the stream {} missing",
            ids.len(),
            pages.len(),
            ids.difference(&once).count(),
            pages.len() - once.len(),
            ids.difference(&streamed.keys().cloned().collect()).count()
        );
        Ok(())
    })
}

fn latency(seconds: u64) -> Result<(), String> {
    let server = Server::start(&Plan::workers(2))?;
    let (address, stop) = (server.address(), AtomicBool::new(false));
    let start = readers::now(address)?;
    let done = AtomicBool::new(false);
    let (confirmed, seen): (Confirmed, BTreeMap<String, Instant>) = std::thread::scope(|scope| {
        let load = scope.spawn(|| Load::paced(address, 500).run(&stop));
        let stream = scope.spawn(|| follow_stream(address, &start, |_| done.load(Ordering::Relaxed)));
        std::thread::sleep(Duration::from_secs(seconds));
        stop.store(true, Ordering::Relaxed);
        let confirmed = load.join().map_err(|_| "the load failed")?;
        std::thread::sleep(Duration::from_secs(1));
        done.store(true, Ordering::Relaxed);
        Ok::<_, String>((confirmed, stream.join().map_err(|_| "the follower failed")?))
    })?;
    let mut waits: Vec<Duration> = confirmed
        .iter()
        .filter_map(|(id, at)| Some(seen.get(id)?.saturating_duration_since(*at)))
        .collect();
    waits.sort_unstable();
    let at = |share: usize| waits.get(waits.len() * share / 100).copied().unwrap_or_default();
    println!(
        "latency: {} orders at 500/s, from the 201 to the event: p50 {:?}, p99 {:?}, longest {:?}",
        waits.len(),
        at(50),
        at(99),
        waits.last().copied().unwrap_or_default()
    );
    Ok(())
}

fn readers_cost(seconds: u64) -> Result<(), String> {
    let (mut without, mut beside, mut memory) = (Vec::new(), Vec::new(), (0, 0));
    for _ in 0..3 {
        without.push(orders_per_second(seconds, 0)?.0);
        let (rate, kib, lag) = orders_per_second(seconds, STREAMS)?;
        beside.push(rate);
        memory = (kib, lag);
    }
    let median = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let (without, beside) = (median(&mut without), median(&mut beside));
    println!(
        "readers: {without:.0} orders/s without, {beside:.0} beside {STREAMS} streams of which {STUCK} are \
         not read: ratio {:.2}; PSS of both workers {} KiB at the end, {} MiB were read",
        beside / without,
        memory.0,
        memory.1 >> 20
    );
    Ok(())
}

/// Orders per second, the PSS of the workers at the end, and the bytes that the streams got.
fn orders_per_second(seconds: u64, streams: usize) -> Result<(f64, u64, u64), String> {
    let server = Server::start(&Plan::workers(2))?;
    let streams = Streams::open(server.address(), streams, STUCK)?;
    let (stop, address) = (AtomicBool::new(false), server.address());
    let confirmed = std::thread::scope(|scope| {
        let load = scope.spawn(|| Load::closed(address, 64).run(&stop));
        std::thread::sleep(Duration::from_secs(seconds));
        stop.store(true, Ordering::Relaxed);
        load.join().map_err(|_| "the load failed")
    })?;
    let pss = server
        .workers()?
        .into_iter()
        .map(procfs::pss_kib)
        .sum::<Result<u64, String>>()?;
    Ok((confirmed.len() as f64 / seconds as f64, pss, streams.bytes()))
}

fn idle() -> Result<(), String> {
    // The admin listener has the counter of reads.
    let admin = server::free_address().map_err(|error| error.to_string())?;
    let plan = Plan {
        workers: 2,
        cluster: format!("admin = \"{admin}\"").leak(),
        ..Plan::default()
    };
    let server = Server::start(&plan)?;
    let _streams = Streams::open(server.address(), 100, 0)?;
    std::thread::sleep(Duration::from_secs(3));
    let before = readers::reads(admin)?;
    let seconds = 10;
    std::thread::sleep(Duration::from_secs(seconds));
    let reads = readers::reads(admin)? - before;
    println!("idle: {reads} reads of the events in {seconds} s with 100 streams open");
    Ok(())
}
