//! The chaos table in one command: `cargo bench --bench chaos [-- --seconds 20 --only reload]`. Builds the
//! release binary, starts clusters of its own in private directories on ports of 127.0.0.1, loads them with
//! 3,000 requests a second, kills, stops, reloads and scales them, and prints what became of every request,
//! with bar and verdict. Leaves no process behind. Scenes and client are those of `tests/chaos`. `--seconds`
//! scales the number of deeds: 20 are the issue's. nginx is measured with the same client if it is installed.

#[path = "../../tests/chaos/answer.rs"]
mod answer;
#[path = "../../tests/chaos/bad.rs"]
mod bad;
#[path = "../../tests/chaos/balance.rs"]
mod balance;
#[path = "../../tests/chaos/client.rs"]
mod client;
mod clock;
#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/chaos/crashes.rs"]
mod crashes;
#[path = "../../tests/chaos/deploys.rs"]
mod deploys;
#[path = "../../tests/chaos/faulty.rs"]
mod faulty;
#[path = "../../tests/chaos/hardship.rs"]
mod hardship;
#[path = "../../tests/chaos/hung.rs"]
mod hung;
#[path = "../../tests/chaos/leaks.rs"]
mod leaks;
mod peers;
#[path = "../../tests/chaos/request_log.rs"]
mod request_log;
#[path = "../../tests/chaos/slow.rs"]
mod slow;
#[path = "../../tests/chaos/stage.rs"]
mod stage;
#[path = "../../tests/chaos/streams.rs"]
mod streams;
#[path = "../../tests/chaos/verdict.rs"]
mod verdict;
#[path = "../../tests/chaos/witness.rs"]
mod witness;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use client::Kind::{self, Http2, KeepAlive, New};
use stage::Effort;
use verdict::Verdict;

/// What the command line asks for.
struct Options {
    seconds: u64,
    only: Option<String>,
    /// Another build of `cluster` than the one beside this bench.
    program: Option<PathBuf>,
}

/// A line of the table, or several.
type Row = (&'static str, fn(&Effort, u64) -> Vec<Verdict>);

const ROWS: &[Row] = &[
    ("reload", |effort, _| all(|kind| deploys::reloads(effort, kind))),
    ("scale", |effort, _| all(|kind| deploys::scales(effort, kind))),
    ("upgrade", |effort, _| all(|kind| deploys::upgrades(effort, kind))),
    ("kill", |effort, _| both(|kind| crashes::kills(effort, kind))),
    ("bad", |effort, _| both(|kind| bad::reloads(effort, kind))),
    ("stop", |effort, _| both(|kind| hung::stopped(effort, kind))),
    ("pause", |effort, _| both(|kind| hung::paused(effort, kind))),
    ("spin", |effort, _| both(|kind| hung::spinning(effort, kind))),
    ("balance", |effort, seconds| {
        vec![balance::spread(
            effort,
            usize::try_from(seconds / 2).unwrap_or(10).max(1),
        )]
    }),
    ("leaks", |effort, seconds| {
        vec![leaks::reloads(
            effort,
            usize::try_from(seconds * 5).unwrap_or(100),
        )]
    }),
    ("slow", |effort, seconds| {
        slow(effort, Duration::from_secs(seconds / 2))
    }),
    ("saturated", |effort, seconds| {
        vec![hardship::saturated(effort, Duration::from_secs(seconds * 3))]
    }),
    ("clock", |effort, _| clock::steps(effort).into_iter().collect()),
    ("nginx", |effort, _| peers::nginx(effort)),
];

fn all(scene: impl Fn(Kind) -> Verdict) -> Vec<Verdict> {
    [New, KeepAlive, Http2].map(scene).into()
}

fn both(scene: impl Fn(Kind) -> Verdict) -> Vec<Verdict> {
    [New, KeepAlive].map(scene).into()
}

fn main() -> ExitCode {
    if cluster::worker::is_asked_for() {
        return faulty::main();
    }
    match options(std::env::args().skip(1)) {
        Ok(options) => table(&options),
        Err(message) => {
            eprintln!("chaos: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Cargo's own `--bench` is ignored.
fn options(args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        seconds: 20,
        only: None,
        program: None,
    };
    let mut words = args.filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        match (word.as_str(), words.next()) {
            ("--seconds", Some(number)) => {
                let seconds = number.parse();
                options.seconds = seconds.map_err(|_| format!("--seconds {number:?} is not a number"))?;
            }
            ("--program", Some(path)) => options.program = Some(path.into()),
            ("--only", Some(row)) if ROWS.iter().any(|(name, _)| *name == row) => options.only = Some(row),
            _other => {
                let rows: Vec<_> = ROWS.iter().map(|(name, _)| *name).collect();
                return Err(format!(
                    "{word:?} was not understood; expected --seconds N, --program PATH, --only {}",
                    rows.join("|")
                ));
            }
        }
    }
    Ok(options)
}

fn table(options: &Options) -> ExitCode {
    let effort = full(options.seconds);
    let effort = match &options.program {
        Some(program) => effort.mutated(program, ""),
        None => effort,
    };
    let wanted = ROWS
        .iter()
        .filter(|(name, _)| options.only.as_deref().is_none_or(|only| only == *name));
    let mut missed = 0;
    for (_, row) in wanted {
        for verdict in row(&effort, options.seconds) {
            println!("{verdict}");
            missed += usize::from(!verdict.is_good());
        }
    }
    println!("\n{missed} missed");
    ExitCode::from(u8::from(missed > 0))
}

/// The figures and bars.
fn full(seconds: u64) -> Effort {
    let part = |most: u64| usize::try_from((most * seconds / 20).max(2)).expect("few");
    Effort {
        rate: 3_000,
        steady: Duration::from_secs(2),
        rest: Duration::from_millis(200),
        kills: part(10),
        reloads: part(20),
        scales: part(20),
        upgrades: part(5),
        bake_time: "1s",
        heartbeat_timeout: Duration::from_secs(5),
        strict: true,
        one_order_in: 30,
        mutant: None,
    }
}

/// One slow worker, with steering and without.
fn slow(effort: &Effort, lasting: Duration) -> Vec<Verdict> {
    let lasting = lasting.max(Duration::from_secs(3));
    let (mut steered, with) = slow::worker(effort, "steered", lasting);
    let hash = effort.clone().mutated(&mutant(), "hash");
    let (hashed, without) = slow::worker(&hash, "the kernel's hash", lasting);
    steered.expect(
        with < without,
        format!("p99 {with:.1} ms against the hash's {without:.1} ms"),
    );
    vec![steered, hashed]
}

/// The program with the switch that leaves steering off, which the one that is shipped does not have.
fn mutant() -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", "bench"])
        .args(["--features", "mutants", "--bin", "cluster-mutant"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the program without steering was not built");
    PathBuf::from(env!("CARGO_BIN_EXE_cluster")).with_file_name("cluster-mutant")
}
