//! Releases in directories of their own, with a symbolic link `current` to the one that is to run. The link
//! is changed and the old directory is deleted; reload and upgrade find binary and configuration again,
//! however they were named at the start.

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::common::{Cli, Cluster, Plan, put};

/// The directory of all releases.
struct Releases(PathBuf);

impl Releases {
    fn of(plan: &Plan) -> Releases {
        let directory = plan.directory().canonicalize().expect("a directory");
        std::fs::create_dir(directory.join("data")).expect("made");
        Releases(directory)
    }

    fn directory(&self, number: usize) -> PathBuf {
        self.0.join(format!("releases/{number}"))
    }

    fn current(&self) -> PathBuf {
        self.0.join("current")
    }

    /// Makes a release and lets `current` lead to it. Its data directory is a link to the shared one.
    fn install(&self, number: usize) {
        let directory = self.directory(number);
        std::fs::create_dir_all(&directory).expect("made");
        put(
            Path::new(env!("CARGO_BIN_EXE_cluster")),
            &directory.join("cluster"),
        );
        let config = format!(
            "[cluster]\nworkers = {}\nbind = [\"127.0.0.1:0\"]\nbake_time = \"50ms\"\n",
            number + 1
        );
        std::fs::write(directory.join("cluster.toml"), config).expect("written");
        symlink("../../data", directory.join("data")).expect("linked");
        let new = self.0.join("new");
        symlink(&directory, &new).expect("linked");
        std::fs::rename(new, self.current()).expect("renamed");
    }

    fn delete(&self, number: usize) {
        std::fs::remove_dir_all(self.directory(number)).expect("removed");
    }

    fn binary(&self, number: usize) -> u64 {
        std::fs::metadata(self.directory(number).join("cluster"))
            .expect("there")
            .ino()
    }
}

/// The inode of the file that a process runs.
fn running(pid: i32) -> u64 {
    std::fs::metadata(format!("/proc/{pid}/exe"))
        .expect("it runs")
        .ino()
}

/// Every worker runs the binary of this release, and their number is that of its configuration.
fn assert_runs(cluster: &Cluster, releases: &Releases, number: usize) {
    cluster.wait_until_serving(number + 1);
    let status = cluster.run_json(&["status"]);
    let slots = status["slots"].as_array().expect("slots");
    assert_eq!(slots.len(), number + 1, "{status}");
    for slot in slots {
        let pid = slot["worker"]["pid"].as_i64().expect("a worker");
        let pid = i32::try_from(pid).expect("a pid");
        assert_eq!(running(pid), releases.binary(number), "{slot}");
    }
}

fn release_after_release(plan: Plan, releases: &Releases) {
    let cluster = plan.start();
    assert_runs(&cluster, releases, 1);
    releases.install(2);
    releases.delete(1);
    let mark = cluster.mark();
    cluster.signal(Signal::SIGHUP);
    cluster.wait_from(mark, "reload done");
    assert_runs(&cluster, releases, 2);
    let upgraded = cluster.run(&["upgrade"]);
    assert_eq!(upgraded.code, 0, "{upgraded:?}");
    assert_eq!(running(cluster.pid()), releases.binary(2));
    releases.install(3);
    releases.delete(2);
    let reloaded = cluster.run(&["reload"]);
    assert_eq!(reloaded.code, 0, "{reloaded:?}");
    assert_runs(&cluster, releases, 3);
    assert!(cluster.stop().success());
}

#[test]
fn a_relative_path_from_within_the_link_leads_to_the_new_release() {
    let plan = Plan::shop().program(Path::new("./cluster"));
    let releases = Releases::of(&plan);
    releases.install(1);
    let plan = plan.started_in(&releases.current(), "cluster.toml", "data");
    release_after_release(plan, &releases);
}

#[test]
fn a_relative_path_through_the_link_leads_to_the_new_release() {
    let plan = Plan::shop().program(Path::new("current/cluster"));
    let releases = Releases::of(&plan);
    releases.install(1);
    let plan = plan.started_in(&releases.0, "current/cluster.toml", "current/data");
    release_after_release(plan, &releases);
}

#[test]
fn a_name_that_was_found_by_path_is_looked_for_again() {
    let plan = Plan::shop().program(Path::new("cluster"));
    let releases = Releases::of(&plan);
    releases.install(1);
    let search = format!(
        "/nowhere:{}:{}",
        releases.current().display(),
        std::env::var("PATH").expect("a PATH")
    );
    let plan = plan.environment("PATH", &search);
    let plan = plan.started_in(&releases.current(), "./cluster.toml", "./data");
    release_after_release(plan, &releases);
}
