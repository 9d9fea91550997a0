//! The test of the test: builds with one thing wrong in each have to be found by the scenes that pass without
//! it. They are built first, so they run on request: `cargo test --test chaos -- --ignored`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

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

/// A mutation, and the scene that must find it.
pub(crate) struct Hunt {
    pub(crate) name: &'static str,
    mutation: &'static str,
    scene: fn(&Effort) -> Verdict,
}

pub(crate) const HUNTS: &[Hunt] = &[
    Hunt {
        name: "a_retired_listener_that_is_closed_instead_of_parked_is_found",
        mutation: "close-retired",
        scene: |effort| crashes::kills(effort, New),
    },
    Hunt {
        name: "an_unroute_that_is_skipped_is_found",
        mutation: "skip-unroute",
        scene: |effort| hung::stopped(effort, New),
    },
    Hunt {
        name: "a_drain_that_shuts_down_at_once_is_found",
        mutation: "shutdown-at-once",
        scene: |effort| deploys::reloads(effort, KeepAlive),
    },
];

/// The scene passes without the mutation, and fails with it.
pub(crate) fn is_found(hunt: &Hunt) -> Vec<Verdict> {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(build);
    let healthy = (hunt.scene)(&quick().mutated(&PROGRAM, ""));
    let mutated = (hunt.scene)(&quick().mutated(&PROGRAM, hunt.mutation));
    println!("  {mutated}");
    let mut found = Verdict::bare(&format!("mutant: {}", hunt.mutation));
    found.expect(!mutated.is_good(), "found".to_owned());
    vec![healthy, found]
}
