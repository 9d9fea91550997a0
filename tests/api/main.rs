//! The running server does what GET /openapi.json says: requests are made from the document by schemathesis,
//! where it is installed, and every answer is held against it.

#[path = "../runner/mod.rs"]
mod runner;

use std::path::Path;
use std::process::{Command, ExitCode};

use runner::Test;

/// Examples per operation: few, since the whole takes minutes (`benches/schemathesis/run`).
const EXAMPLES: &str = "3";

const TESTS: &[Test] = &[("answers_are_those_of_the_document", answers_are_documented)];

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if root.join("target/schemathesis/venv/bin/st").exists() {
        return runner::main(TESTS, &[]);
    }
    eprintln!("SKIPPED: schemathesis is not installed (benches/schemathesis/run --install)");
    let ignored: Vec<(Test, &str)> = TESTS.iter().map(|test| (*test, "needs schemathesis")).collect();
    runner::main(&[], &ignored)
}

fn answers_are_documented() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/schemathesis/run");
    let output = Command::new(script)
        .arg(EXAMPLES)
        .env("PROGRAM", env!("CARGO_BIN_EXE_cluster"))
        .output()
        .expect("the script runs");
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
