//! Which crates come along: who builds the supervisor alone compiles neither the shop's database nor its hashes.

use std::collections::BTreeSet;
use std::process::Command;

/// The names of the crates that a build of the library compiles, without those of its tests.
fn crates(flags: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .args(flags)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = String::from_utf8(output.stdout).expect("text");
    let names = lines.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_supervisor_alone_needs_no_sqlite_and_no_hashes() {
    let (alone, whole) = (crates(&["--no-default-features"]), crates(&[]));
    for name in ["rusqlite", "libsqlite3-sys", "sha2"] {
        assert!(
            whole.contains(name),
            "{name} is not in the whole either: the test looks for the wrong thing"
        );
        assert!(
            !alone.contains(name),
            "{name} is compiled for the supervisor alone"
        );
    }
    println!(
        "{} crates for the supervisor alone, {} with the shop",
        alone.len(),
        whole.len()
    );
}
