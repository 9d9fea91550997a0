//! Starts the processes, lets them run for a while, and adds up what they did.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const CHILD: &str = "CLUSTER_CEILING_CHILD";

/// What the orders are made with, open in one process.
pub(crate) trait Engine: Clone + Send + Sync + 'static {
    /// Tells a child process which engine is meant.
    const NAME: &'static str;
    /// Makes the tables and the stock, once for all processes. `place` is a directory or a URL.
    fn prepare(place: &str) -> impl Future<Output = Result<(), String>>;
    /// Opens what was prepared.
    fn open(place: &str) -> impl Future<Output = Result<Self, String>>;
    /// Places one order and sees it through. Every commit is on disk when this returns.
    fn place_order(&self) -> impl Future<Output = Result<(), String>> + Send;
    /// Transactions committed by this process, over all services.
    fn commits(&self) -> u64;
    /// What is left once all processes are killed, if that is of interest.
    fn left_behind(_place: &str) -> Result<Option<LeftBehind>, String> {
        Ok(None)
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How many processes share the databases.
    pub(crate) processes: usize,
    /// Orders in flight in each.
    pub(crate) in_flight: usize,
    /// How long it is measured.
    pub(crate) seconds: u64,
    /// Where the databases are: a directory or a URL.
    pub(crate) place: String,
}

/// Files after a `kill -9` of everybody who had them open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeftBehind {
    /// The largest WAL, in bytes.
    pub(crate) wal_bytes: u64,
    /// To open the files again, one after the other.
    pub(crate) reopen: Duration,
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
    /// What was left behind, where that is known.
    pub(crate) left: Option<LeftBehind>,
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
        write!(f, "p50 {:.1} ms, p99 {:.1} ms", ms(self.p50), ms(self.p99))?;
        let Some(left) = self.left else { return Ok(()) };
        write!(
            f,
            ", largest WAL {} KiB, reopened after kill -9 in {:.2} ms",
            left.wal_bytes / 1024,
            ms(left.reopen)
        )
    }
}

/// Runs the plan; every child is gone when this returns.
pub(crate) fn run<E: Engine>(plan: &Plan) -> Result<Measured, String> {
    runtime().block_on(E::prepare(&plan.place))?;
    let started: Result<Vec<Running>, String> =
        (0..plan.processes).map(|_| Running::start::<E>(plan)).collect();
    let mut children = started?;
    children.iter_mut().try_for_each(Running::ready)?;
    children.iter_mut().try_for_each(Running::go)?;
    let mut reports = Vec::new();
    for child in &mut children {
        reports.push(child.report()?);
    }
    // Killed, not asked to end: what they leave is what a crash leaves.
    drop(children);
    Ok(add_up(&reports, E::left_behind(&plan.place)?))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs only an epoll")
}

/// A child that is killed when it is dropped.
struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn start<E: Engine>(plan: &Plan) -> Result<Running, String> {
        let exe = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(exe)
            .env(CHILD, format!("{} {} {}", E::NAME, plan.in_flight, plan.seconds))
            .arg(&plan.place)
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

fn add_up(reports: &[Report], left: Option<LeftBehind>) -> Measured {
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
        left,
    }
}

/// The whole of a child process; `None` in the parent, and for another engine.
pub(crate) fn child_main<E: Engine>() -> Option<ExitCode> {
    let plan = std::env::var(CHILD).ok()?;
    let place = std::env::args().nth(1)?;
    let mut words = plan.split(' ');
    if words.next() != Some(E::NAME) {
        return None;
    }
    let (in_flight, seconds) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let end = runtime().block_on(child::<E>(&place, in_flight, seconds));
    Some(end.map_or_else(
        |message| {
            eprintln!("ceiling: {message}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    ))
}

async fn child<E: Engine>(place: &str, in_flight: usize, seconds: u64) -> Result<(), String> {
    let engine = E::open(place).await?;
    println!("ready");
    let mut line = String::new();
    let wait = |line: &mut String| {
        std::io::stdin()
            .read_line(line)
            .map_err(|error| error.to_string())
    };
    wait(&mut line)?;
    let began = Instant::now();
    let latencies_us = load(&engine, in_flight, began + Duration::from_secs(seconds)).await?;
    let mut report = format!("{} {}", began.elapsed().as_secs_f64(), engine.commits());
    for latency in latencies_us {
        report.push_str(&format!(" {latency}"));
    }
    println!("{report}");
    // Killed here, with everything open.
    wait(&mut line)?;
    Ok(())
}

async fn load<E: Engine>(engine: &E, in_flight: usize, until: Instant) -> Result<Vec<u32>, String> {
    let lanes: Vec<_> = (0..in_flight)
        .map(|_| tokio::spawn(lane(engine.clone(), until)))
        .collect();
    let mut latencies_us = Vec::new();
    for lane in lanes {
        latencies_us.extend(lane.await.map_err(|error| error.to_string())??);
    }
    Ok(latencies_us)
}

async fn lane<E: Engine>(engine: E, until: Instant) -> Result<Vec<u32>, String> {
    let mut latencies_us = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        engine.place_order().await?;
        latencies_us.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(latencies_us)
}
