//! A program that is replaced under a running cluster, as a package manager does it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Cluster, Plan};

/// A cluster whose program lies in its own directory, where it can be replaced.
pub fn replaceable(plan: Plan) -> (Cluster, PathBuf) {
    let program = plan.directory().join("program");
    put(Path::new(env!("CARGO_BIN_EXE_cluster")), &program);
    (plan.program(&program).start(), program)
}

/// Another file under that name, executable, and never half of it. It is written by a process of its own: a
/// child that another thread forks meanwhile would hold it open for writing, and nobody could execute it.
pub fn put(from: &Path, to: &Path) {
    let beside = to.with_extension("new");
    let copied = Command::new("cp").arg(from).arg(&beside).status();
    assert!(copied.expect("cp runs").success());
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o755)).expect("set");
    std::fs::rename(&beside, to).expect("renamed");
}

/// The same from bytes.
pub fn put_bytes(bytes: &[u8], to: &Path) {
    let written = to.with_extension("bytes");
    std::fs::write(&written, bytes).expect("written");
    put(&written, to);
}
