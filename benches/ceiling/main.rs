//! The ceiling: what the store alone can do. Several processes, each with so many orders in flight, make the same commits to the
//! same files as one order of the shop, without HTTP.
//!
//! `cargo bench --bench ceiling -- [--processes 2] [--in-flight 64] [--seconds 5] [--dir DIR]`

mod order;
mod run;
mod stores;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = run::child_main() {
        return code;
    }
    let plan = match run::Plan::from_args(std::env::args().skip(1)) {
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
