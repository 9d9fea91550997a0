//! The ceiling: what the store alone can do. Several processes, each with so many orders in flight, make the
//! same commits to the same files as one order of the shop, without HTTP.
//!
//! `cargo bench --bench ceiling -- [--processes 2] [--in-flight 64] [--seconds 5] [--dir DIR]`
//!
//! With `--postgres URL` instead of `--dir` it is the statements of one order at a PostgreSQL server, over
//! connections like the shop's. In URL, `{service}` stands for the four databases, which
//! `tests/postgres/server databases NAME` makes, and which must be empty.

mod order;
#[cfg(feature = "postgres")]
mod postgres;
mod run;
mod stores;

use std::process::ExitCode;

use run::{Measured, Plan};
use stores::Stores;

/// What the command line asks for.
struct Options {
    plan: Plan,
    is_postgres: bool,
    /// The files' place, gone at the end, where none was given.
    _temporary: tempfile::TempDir,
}

fn main() -> ExitCode {
    if let Some(code) = run::child_main::<Stores>() {
        return code;
    }
    #[cfg(feature = "postgres")]
    if let Some(code) = run::child_main::<postgres::Services>() {
        return code;
    }
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("ceiling: {message}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("ceiling: failed to measure: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<Measured, String> {
    if !options.is_postgres {
        return run::run::<Stores>(&options.plan);
    }
    #[cfg(feature = "postgres")]
    return run::run::<postgres::Services>(&options.plan);
    #[cfg(not(feature = "postgres"))]
    Err("it was built without the feature `postgres`".to_owned())
}

/// From the command line. Cargo's own `--bench` is ignored.
fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let temporary = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut plan = Plan {
        processes: 2,
        in_flight: 64,
        seconds: 5,
        place: temporary.path().display().to_string(),
    };
    let mut is_postgres = false;
    while let Some(flag) = args.next() {
        if flag == "--bench" {
            continue;
        }
        let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let number = || {
            value
                .parse::<usize>()
                .map_err(|_| format!("{flag} {value:?} is not a number"))
        };
        match flag.as_str() {
            "--processes" => plan.processes = number()?.max(1),
            "--in-flight" => plan.in_flight = number()?.max(1),
            "--seconds" => plan.seconds = number()?.max(1) as u64,
            "--dir" => plan.place = value,
            "--postgres" => (plan.place, is_postgres) = (value, true),
            _ => {
                return Err(format!(
                    "unknown flag {flag} (expected --processes, --in-flight, --seconds, --dir or --postgres)"
                ));
            }
        }
    }
    Ok(Options {
        plan,
        is_postgres,
        _temporary: temporary,
    })
}
