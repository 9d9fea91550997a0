//! The units for systemd in `deploy/systemd`, as the installed systemd reads them. Where none is installed
//! the tests say that they are skipped.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The units, and the instance of the template.
const SERVICES: [&str; 2] = ["cluster.service", "cluster-run@app.service"];
const UNITS: [&str; 3] = ["cluster.service", "cluster.socket", "cluster-run@app.service"];
/// The exposure that is still accepted, in tenths: 0 is the best, 100 the worst.
const THRESHOLD: &str = "--threshold=25";

/// The units in a directory of their own, with this build in the place of the installed program.
fn units() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd");
    for unit in UNITS {
        let file = unit.replace("@app", "@");
        let text = std::fs::read_to_string(source.join(&file)).expect("readable");
        let text = text.replace("/usr/bin/cluster", env!("CARGO_BIN_EXE_cluster"));
        std::fs::write(directory.path().join(&file), text).expect("written");
    }
    directory
}

/// What `systemd-analyze` says; `None` where it is not installed.
fn analyzed(arguments: &[&str], units: &[PathBuf]) -> Option<Output> {
    match Command::new("systemd-analyze")
        .args(arguments)
        .args(units)
        .env("LC_ALL", "C")
        .output()
    {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("SKIPPED: systemd-analyze cannot be run ({error}); install systemd to check the units");
            None
        }
    }
}

fn said(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    both.concat()
}

#[test]
fn systemd_understands_every_line_of_the_units() {
    let directory = units();
    let paths = UNITS.map(|unit| directory.path().join(unit));
    let Some(output) = analyzed(&["verify", "--man=no"], &paths) else {
        return;
    };
    let said = said(&output);
    // Complaints about the units of the machine itself are none of ours.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("cluster")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}

#[test]
fn the_services_are_hardened() {
    let directory = units();
    for service in SERVICES {
        let path = directory.path().join(service.replace("@app", "@"));
        let Some(output) = analyzed(&["security", "--offline=true", THRESHOLD], &[path]) else {
            return;
        };
        assert!(output.status.success(), "{service}: {}", said(&output));
    }
}
