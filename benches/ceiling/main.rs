//! The ceiling: what the store alone can do. Several processes, each with so many orders in flight, make the
//! same commits to the same files as one order of the shop, without HTTP.
//!
//! `cargo bench --bench ceiling -- [--processes 2] [--in-flight 64] [--seconds 5] [--dir DIR]`

mod order;
mod run;
mod stores;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = run::child_main() {
        return code;
    }
    let plan = match plan(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(message) => {
            eprintln!("ceiling: {message}");
            return ExitCode::from(2);
        }
    };
    match run::run(&plan) {
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

/// From the command line. Cargo's own `--bench` is ignored.
fn plan(mut args: impl Iterator<Item = String>) -> Result<run::Plan, String> {
    let mut plan = run::Plan {
        processes: 2,
        in_flight: 64,
        seconds: 5,
        dir: None,
    };
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
            "--dir" => plan.dir = Some(PathBuf::from(value)),
            _ => {
                return Err(format!(
                    "unknown flag {flag} (expected --processes, --in-flight, --seconds or --dir)"
                ));
            }
        }
    }
    Ok(plan)
}
