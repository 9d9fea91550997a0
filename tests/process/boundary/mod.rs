//! What the boundary between the master's user and `cluster.user` promises, looked at from both sides. Only
//! root can run workers as another user, so these tests say that they are skipped when somebody else runs
//! them.

mod closed;
mod log;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use crate::common::Plan;

/// The user of the workers.
const USER: &str = "nobody";

/// Whether this test can run; says so when it cannot.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: only root can run workers as another user");
    }
    root
}

/// A cluster whose workers are another user.
fn plan() -> Plan {
    let plan = Plan::shop().with("[cluster]", &format!("user = \"{USER}\""));
    let open = PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(plan.directory(), open).expect("set");
    plan
}

/// What each descriptor of a process is, such as `pipe:[123]` or the path of a file.
fn descriptors(pid: i32) -> BTreeSet<String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a living process");
    let target = |entry: std::io::Result<std::fs::DirEntry>| {
        let target = std::fs::read_link(entry.ok()?.path()).ok()?;
        Some(target.to_string_lossy().into_owned())
    };
    entries.filter_map(target).collect()
}

/// What this descriptor of a process is.
fn descriptor(pid: i32, number: &str) -> String {
    let target = std::fs::read_link(format!("/proc/{pid}/fd/{number}")).expect("an open descriptor");
    target.to_string_lossy().into_owned()
}

/// Field `number` of `/proc/PID/stat`, as proc(5) counts them.
fn stat(pid: i32, number: usize) -> i64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("readable");
    let (_, rest) = text.rsplit_once(')').expect("a name");
    rest.split_whitespace()
        .nth(number - 3)
        .expect("a field")
        .parse()
        .expect("a number")
}

/// A variable of the environment that a process was started with.
fn variable(pid: i32, name: &str) -> Option<String> {
    let text = std::fs::read(format!("/proc/{pid}/environ")).expect("readable");
    let text = String::from_utf8(text).expect("text");
    let prefix = format!("{name}=");
    text.split('\0')
        .find_map(|entry| entry.strip_prefix(&prefix))
        .map(str::to_owned)
}
