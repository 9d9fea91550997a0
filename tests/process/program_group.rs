//! What a killed worker leaves behind, found by its control group and without one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{Plan, wait_until};

/// A group of version 2 that is removed again.
struct DelegatedGroup(PathBuf);

impl DelegatedGroup {
    /// `Err` says what this machine lacks.
    fn make() -> Result<DelegatedGroup, String> {
        let mounts = fs::read_to_string("/proc/mounts").map_err(|error| error.to_string())?;
        let mounted = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ');
            let point = fields.nth(1)?;
            (fields.next()? == "cgroup2").then_some(point)
        });
        let mounted = mounted.ok_or("no control groups of version 2 are mounted")?;
        let group = Path::new(mounted).join(format!("cluster-test-{}", std::process::id()));
        fs::create_dir(&group).map_err(|error| format!("{}: {error}", group.display()))?;
        let group = DelegatedGroup(group);
        let mark = "import os, sys; os.setxattr(sys.argv[1], 'user.delegate', b'1')";
        let marked = Command::new("python3").args(["-c", mark]).arg(&group.0).status();
        match marked {
            Ok(status) if status.success() && group.0.join("cgroup.kill").exists() => Ok(group),
            marked => Err(format!(
                "the group cannot be marked or has no cgroup.kill: {marked:?}"
            )),
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("readable").flatten();
        let groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        groups
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }
}

impl Drop for DelegatedGroup {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        for name in self.names() {
            let _ = fs::remove_dir(self.0.join(name));
        }
        let _ = fs::remove_dir(&self.0);
    }
}

/// A program that starts a process in a session and an environment of its own, which writes its pid to
/// `$FILE`.
fn detaching() -> Plan {
    Plan::run(&[
        "sh",
        "-c",
        "setsid env -i sh -c 'echo $$ > \"$0\"; exec sleep 1000' $FILE & exec sleep 1000",
    ])
}

fn told_pid(file: &Path) -> i32 {
    let mut told = None;
    wait_until("the detached process has told its pid", || {
        let text = fs::read_to_string(file).unwrap_or_default();
        told = text.trim().parse().ok();
        told.is_some()
    });
    told.expect("it was awaited")
}

/// A process that has left the session and the environment of its program is known by nothing but its group.
#[test]
#[ignore = "needs to make a control group (root): cargo test --test process -- --ignored"]
fn what_has_left_session_and_environment_ends_with_the_group_of_its_killed_worker() {
    let group = match DelegatedGroup::make() {
        Ok(group) => group,
        Err(reason) => return eprintln!("SKIPPED: {reason}"),
    };
    let plan = detaching();
    let pids = plan.directory().join("pid");
    let in_group = plan.directory().join("cluster-in-group");
    let script = format!(
        "#!/bin/sh\necho 0 > {}/cgroup.procs\nexec {} \"$@\"\n",
        group.0.display(),
        env!("CARGO_BIN_EXE_cluster")
    );
    fs::write(&in_group, script).expect("written");
    fs::set_permissions(&in_group, Permissions::from_mode(0o755)).expect("set");
    let file = format!("FILE={}", pids.display());
    let cluster = plan
        .replace("workers = 2", "workers = 1")
        .program(&in_group)
        .arguments(&["--bind", "127.0.0.1:0", "--ready", "delay:50ms", "--env", &file])
        .start();
    let detached = told_pid(&pids);
    let names = group.names();
    assert!(
        matches!(&names[..], [one] if one.ends_with("-1-0-1")),
        "{names:?}"
    );
    kill(Pid::from_raw(cluster.worker(0)), Signal::SIGKILL).expect("killed");
    cluster.wait_for("killed what was left in the control group of worker 1/0/1");
    wait_until("the detached process is gone", || {
        kill(Pid::from_raw(detached), None).is_err()
    });
    wait_until("the group is gone", || {
        !group.names().iter().any(|name| name.ends_with("-1-0-1"))
    });
    assert!(cluster.stop().success());
    let names = group.names();
    assert!(names.is_empty(), "{names:?}");
}

/// Without a group: it is an orphan that the master has not started.
#[test]
fn what_has_left_session_and_environment_is_found_among_the_orphans() {
    let plan = detaching();
    let pids = plan.directory().join("pid");
    let file = format!("FILE={}", pids.display());
    let cluster = plan
        .replace("workers = 2", "workers = 1")
        .arguments(&["--bind", "127.0.0.1:0", "--ready", "delay:50ms", "--env", &file])
        .start();
    let detached = told_pid(&pids);
    kill(Pid::from_raw(cluster.worker(0)), Signal::SIGKILL).expect("killed");
    wait_until("the detached process is gone", || {
        kill(Pid::from_raw(detached), None).is_err()
    });
    assert!(cluster.stop().success());
}
