//! Programs that know nothing of `cluster`, under `cluster run` and under what people run today, in one
//! command: `cargo bench --bench programs [-- --only ARM --row ROW --seconds 8 --rate 3000 --quick --program
//! PATH]`. Every arm runs in a private directory on a port of 127.0.0.1, is loaded by the client of
//! `tests/chaos`, reloaded, killed and hung, and what became of every request is printed with bar and
//! verdict. `bash benches/programs/install` fetches what is not installed; an arm that cannot run is printed
//! as SKIPPED. Leaves no process behind, interrupted or not.

mod arms;
mod chaos;
#[path = "../measurements/client.rs"]
mod client;
mod costs;
#[path = "../measurements/load.rs"]
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
mod load;
mod losses;
mod options;
#[path = "../measurements/procfs.rs"]
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
mod procfs;
#[path = "../measurements/restarts.rs"]
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
mod restarts;
mod running;
#[path = "../measurements/server.rs"]
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
mod server;
#[path = "../ceiling/stores.rs"]
#[expect(dead_code, reason = "the other benches, which share it, use the rest")]
mod stores;
#[path = "../measurements/table.rs"]
mod table;
mod times;
mod tree;

use std::process::{Command, ExitCode};

use arms::{ARMS, Arm};
use chaos::client::Kind;
use chaos::verdict::Verdict;
use options::{Extent, Options, Row};
use table::Table;

fn main() -> ExitCode {
    let options = match options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("programs: {message}");
            return ExitCode::FAILURE;
        }
    };
    match everything(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(missed) => {
            println!("{missed} missed");
            ExitCode::FAILURE
        }
        Err(message) => {
            eprintln!("programs: failed to measure: {message}");
            ExitCode::FAILURE
        }
    }
}

/// What is printed, and how much of it missed its bar or did not come about.
#[derive(Default)]
struct Findings {
    table: Table,
    missed: usize,
}

impl Findings {
    fn take(&mut self, what: &str, verdicts: Result<Vec<Verdict>, String>) {
        match verdicts {
            Ok(verdicts) => {
                for verdict in verdicts {
                    println!("{verdict}");
                    self.missed += usize::from(!verdict.is_good());
                }
            }
            Err(reason) => {
                println!("{what}: FAILED: {reason}");
                self.missed += 1;
            }
        }
    }
}

/// All rows of all arms; how many missed.
fn everything(options: &Options) -> Result<usize, String> {
    let processes = tree::Processes::watch()?;
    let arms = those_that_run(options);
    let mut findings = Findings::default();
    for row in Row::ALL.into_iter().filter(|row| options.wants(*row)) {
        println!("\n--- {}", row.title());
        one_row(row, &arms, &options.extent, &mut findings);
    }
    drop(processes);
    println!("{}", findings.table);
    Ok(findings.missed + usize::from(!findings.table.is_good()))
}

/// The arms that are wanted and installed; the others are told of, loudly.
fn those_that_run(options: &Options) -> Vec<&'static Arm> {
    let wanted = ARMS
        .iter()
        .filter(|arm| options.only.as_deref().is_none_or(|only| only == arm.name));
    wanted
        .filter(|arm| {
            let missing: Vec<String> = arm.needs.iter().filter_map(|tool| tool.missing()).collect();
            for reason in &missing {
                println!("SKIPPED: {}: {reason}", arm.title);
            }
            missing.is_empty()
        })
        .collect()
}

fn one_row(row: Row, arms: &[&'static Arm], extent: &Extent, findings: &mut Findings) {
    let in_full = || arms.iter().copied().filter(|arm| arm.in_full);
    match row {
        Row::Reload => {
            for arm in arms {
                for kind in [Kind::New, Kind::KeepAlive] {
                    let verdict = losses::reloads(arm, kind, extent);
                    findings.take(
                        &format!("{}: reload, {kind}", arm.title),
                        verdict.map(|one| vec![one]),
                    );
                }
            }
        }
        Row::Kill => {
            for arm in in_full() {
                let verdicts = losses::kills(arm, extent, &mut findings.table);
                findings.take(&format!("{}: kill -9", arm.title), verdicts);
            }
        }
        Row::Hang => {
            for arm in in_full() {
                let done = times::hang(arm, extent, &mut findings.table);
                findings.take(&format!("{}: hang", arm.title), done.map(|()| Vec::new()));
            }
        }
        Row::Restart => {
            for arm in in_full() {
                let done = times::restarts(arm, extent, &mut findings.table);
                findings.take(&format!("{}: restart", arm.title), done.map(|()| Vec::new()));
            }
        }
        Row::Cost => match load::find_wrk() {
            Ok(()) => {
                let arms: Vec<_> = in_full().collect();
                let done = costs::measure(&arms, extent, &mut findings.table);
                findings.take("requests per second and CPU", done.map(|()| Vec::new()));
            }
            Err(reason) => println!("SKIPPED: requests per second and CPU: {reason}"),
        },
        Row::Websockets => findings.take("WebSockets", websockets().map(|()| Vec::new())),
    }
}

/// They have a bench of their own.
fn websockets() -> Result<(), String> {
    let status = Command::new(env!("CARGO"))
        .args(["bench", "--quiet", "--locked", "--bench", "websockets"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("cargo bench --bench websockets ended with {status}"))
    }
}
