//! `deploy/kubernetes/validate`, as a person runs it.

use std::process::{Command, Output};

use crate::folder::repository;

fn validate(arguments: &[&str]) -> Output {
    let script = repository().join("deploy/kubernetes/validate");
    Command::new(script)
        .args(arguments)
        .output()
        .expect("the script runs")
}

/// Whether what the script needs is installed.
pub(crate) fn is_there() -> bool {
    validate(&["--installed"]).status.success()
}

pub(crate) fn accepts_the_manifests() {
    let said = validate(&[]);
    let stdout = String::from_utf8_lossy(&said.stdout);
    assert!(
        said.status.success(),
        "{stdout}{}",
        String::from_utf8_lossy(&said.stderr)
    );
    assert!(stdout.contains("validate: passed"), "{stdout}");
}
