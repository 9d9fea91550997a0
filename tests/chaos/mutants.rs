//! The test of the test: three builds with one thing wrong in each have to be found by the scenes that pass without it.

use std::path::PathBuf;
use std::process::Command;

use crate::client::Kind::{KeepAlive, New};
use crate::stage::Effort;
use crate::verdict::Verdict;
use crate::{crashes, deploys, hung, quick};

/// Builds the program with its mutations compiled in, which are chosen by its environment.
fn build() -> PathBuf {
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--features",
            "mutants",
            "--bin",
            "cluster-mutant",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the mutants were not built");
    let mut program = PathBuf::from(env!("CARGO_BIN_EXE_cluster"));
    program.set_file_name("cluster-mutant");
    program
}

/// A scene, and the mutation it must find.
type Hunt = (&'static str, &'static str, fn(&Effort) -> Verdict);

const HUNTS: [Hunt; 3] = [
    (
        "the retired listener is closed instead of parked",
        "close-retired",
        |effort| crashes::kills(effort, New),
    ),
    ("the unroute is skipped", "skip-unroute", |effort| {
        hung::stopped(effort, New)
    }),
    (
        "graceful_shutdown at once in the drain",
        "shutdown-at-once",
        |effort| deploys::reloads(effort, KeepAlive),
    ),
];

pub(crate) fn are_found() -> Vec<Verdict> {
    let program = build();
    HUNTS
        .iter()
        .flat_map(|(what, mutation, scene)| {
            let healthy = scene(&quick().mutated(&program, ""));
            let sick = scene(&quick().mutated(&program, mutation));
            println!("  {sick}");
            let mut found = Verdict::bare(&format!("mutant: {what}"));
            found.expect(!sick.is_good(), "found".to_owned());
            [healthy, found]
        })
        .collect()
}
