//! Starts the processes, lets them run for a while, and adds up what they did.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::order;
use crate::stores::Stores;

const CHILD: &str = "CLUSTER_CEILING_CHILD";

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How many processes share the files.
    pub(crate) processes: usize,
    /// Orders in flight in each.
    pub(crate) in_flight: usize,
    /// How long it is measured.
    pub(crate) seconds: u64,
    /// Where the files go; a temporary directory when not given.
    pub(crate) dir: Option<PathBuf>,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Orders seen through, per second.
    pub(crate) orders_per_s: f64,
    /// Transactions committed, per second.
    pub(crate) commits_per_s: f64,
    /// Jobs that shared one transaction, on average.
    pub(crate) jobs_per_commit: f64,
    /// Median time of one order.
    pub(crate) p50: Duration,
    /// All but one in a hundred orders took less.
    pub(crate) p99: Duration,
    /// The largest WAL left by a `kill -9`, in bytes.
    pub(crate) wal_bytes: u64,
    /// To open the four files again after that, one after the other.
    pub(crate) reopen: Duration,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        write!(
            f,
            "{:.0} orders/s, {:.0} commits/s, ",
            self.orders_per_s, self.commits_per_s
        )?;
        write!(f, "{:.1} jobs per commit, ", self.jobs_per_commit)?;
        write!(f, "p50 {:.1} ms, p99 {:.1} ms, ", ms(self.p50), ms(self.p99))?;
        write!(
            f,
            "largest WAL {} KiB, reopened after kill -9 in {:.2} ms",
            self.wal_bytes / 1024,
            ms(self.reopen)
        )
    }
}

/// Runs the plan; every child is gone when this returns.
pub(crate) fn run(plan: &Plan) -> Result<Measured, String> {
    let temporary = tempfile::tempdir().map_err(|error| error.to_string())?;
    let dir = plan.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    prepare(&dir)?;
    let started: Result<Vec<Running>, String> =
        (0..plan.processes).map(|_| Running::start(plan, &dir)).collect();
    let mut children = started?;
    children.iter_mut().try_for_each(Running::ready)?;
    children.iter_mut().try_for_each(Running::go)?;
    let mut reports = Vec::new();
    for child in &mut children {
        reports.push(child.report()?);
    }
    // Killed, not asked to end: what they leave is what a crash leaves.
    drop(children);
    let wal_bytes = largest_wal(&dir);
    let began = Instant::now();
    let stores = Stores::open(&dir)?;
    let reopen = began.elapsed();
    drop(stores);
    Ok(add_up(&reports, wal_bytes, reopen))
}

fn prepare(dir: &Path) -> Result<(), String> {
    runtime().block_on(async { Stores::open(dir)?.stock().await })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime needs only an epoll")
}

/// A child that is killed when it is dropped.
struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn start(plan: &Plan, dir: &Path) -> Result<Running, String> {
        let exe = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(exe)
            .env(CHILD, format!("{} {}", plan.in_flight, plan.seconds))
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let lines = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        Ok(Running { child, lines })
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.lines
            .read_line(&mut line)
            .map_err(|error| error.to_string())?;
        if line.is_empty() {
            Err("a process ended before it had reported".to_owned())
        } else {
            Ok(line)
        }
    }

    fn ready(&mut self) -> Result<(), String> {
        self.line().map(drop)
    }

    fn go(&mut self) -> Result<(), String> {
        let stdin = self.child.stdin.as_mut().ok_or("no pipe")?;
        stdin.write_all(b"go\n").map_err(|error| error.to_string())
    }

    /// `seconds commits latency_us…`
    fn report(&mut self) -> Result<Report, String> {
        let line = self.line()?;
        let mut words = line.split_ascii_whitespace();
        let mut next = || words.next().ok_or("a short report");
        let seconds = next()?.parse().map_err(|_| "not a number")?;
        let commits = next()?.parse().map_err(|_| "not a number")?;
        let latencies_us = words
            .map(|word| word.parse().map_err(|_| "not a number"))
            .collect::<Result<_, _>>()?;
        Ok(Report {
            seconds,
            commits,
            latencies_us,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a child that is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

struct Report {
    seconds: f64,
    commits: u64,
    latencies_us: Vec<u32>,
}

fn add_up(reports: &[Report], wal_bytes: u64, reopen: Duration) -> Measured {
    let seconds = reports.iter().map(|report| report.seconds).fold(0.0, f64::max);
    let commits = reports.iter().map(|report| report.commits).sum::<u64>() as f64;
    let mut latencies: Vec<u32> = reports
        .iter()
        .flat_map(|report| &report.latencies_us)
        .copied()
        .collect();
    latencies.sort_unstable();
    let at = |share: f64| {
        latencies
            .get((latencies.len() as f64 * share) as usize)
            .copied()
            .unwrap_or(0)
    };
    let orders = latencies.len() as f64;
    Measured {
        orders_per_s: orders / seconds,
        commits_per_s: commits / seconds,
        jobs_per_commit: orders * 6.0 / commits,
        p50: Duration::from_micros(at(0.5).into()),
        p99: Duration::from_micros(at(0.99).into()),
        wal_bytes,
        reopen,
    }
}

fn largest_wal(dir: &Path) -> u64 {
    let files = [
        "orders.db-wal",
        "inventory.db-wal",
        "payments.db-wal",
        "sandbox.db-wal",
    ];
    let length = |file: &&str| std::fs::metadata(dir.join(file)).map_or(0, |metadata| metadata.len());
    files.iter().map(length).max().unwrap_or(0)
}

/// The whole of a child process; `None` in the parent.
pub(crate) fn child_main() -> Option<ExitCode> {
    let plan = std::env::var(CHILD).ok()?;
    let dir = PathBuf::from(std::env::args_os().nth(1)?);
    let (in_flight, seconds) = plan.split_once(' ')?;
    let end = child(&dir, in_flight.parse().ok()?, seconds.parse().ok()?);
    Some(end.map_or_else(
        |message| {
            eprintln!("ceiling: {message}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    ))
}

fn child(dir: &Path, in_flight: usize, seconds: u64) -> Result<(), String> {
    let stores = Stores::open(dir)?;
    println!("ready");
    let mut go = String::new();
    std::io::stdin()
        .read_line(&mut go)
        .map_err(|error| error.to_string())?;
    let began = Instant::now();
    let latencies_us = runtime().block_on(load(&stores, in_flight, began + Duration::from_secs(seconds)))?;
    let mut line = format!("{} {}", began.elapsed().as_secs_f64(), stores.commits());
    for latency in latencies_us {
        line.push_str(&format!(" {latency}"));
    }
    println!("{line}");
    // Killed here, with the files open.
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|error| error.to_string())?;
    Ok(())
}

async fn load(stores: &Stores, in_flight: usize, until: Instant) -> Result<Vec<u32>, String> {
    let lanes: Vec<_> = (0..in_flight)
        .map(|_| tokio::spawn(lane(stores.clone(), until)))
        .collect();
    let mut latencies_us = Vec::new();
    for lane in lanes {
        latencies_us.extend(lane.await.map_err(|error| error.to_string())??);
    }
    Ok(latencies_us)
}

async fn lane(stores: Stores, until: Instant) -> Result<Vec<u32>, String> {
    let mut latencies_us = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        order::place(&stores).await?;
        latencies_us.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(latencies_us)
}
