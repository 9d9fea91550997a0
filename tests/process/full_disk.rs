//! A disk that fills up under a running cluster, and has room again: a small file system of its own where
//! this user may mount one (root, or sudo without a password), and a limit on the length of files elsewhere.
//! The same from within: `src/shop/tests/full_disk.rs`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{Cluster, Plan, TIMEOUT, order};
use cluster::shop::evidence::audit::{Moment, check_invariants};
use nix::sys::signal::Signal;

/// A file system of that size, gone again when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(path: &Path, size: &str) -> SmallDisk {
        SmallDisk::try_at(path, size).expect("mounting a small file system is permitted")
    }

    fn try_at(path: &Path, size: &str) -> Option<SmallDisk> {
        std::fs::create_dir_all(path).expect("made");
        let options = format!("size={size},mode=0700,uid={}", nix::unistd::getuid());
        let target = path.to_str().expect("text");
        as_root(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs", target])
            .then(|| SmallDisk(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        as_root(&["umount", "--lazy", self.0.to_str().expect("text")]);
    }
}

fn as_root(command: &[&str]) -> bool {
    let sudo = ["sudo", "-n"];
    let words: Vec<&str> = if nix::unistd::geteuid().is_root() {
        command.to_vec()
    } else {
        sudo.iter().chain(command).copied().collect()
    };
    let done = Command::new(words[0]).args(&words[1..]).output();
    done.is_ok_and(|output| output.status.success())
}

/// Leaves not a byte.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("made");
    for size in [65_536, 4_096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// Orders until several in a row were refused; how many were taken in.
fn place_until_refused(cluster: &Cluster) -> usize {
    let (mut taken_in, mut refused) = (0, 0);
    let deadline = Instant::now() + TIMEOUT;
    while refused < 5 {
        let answer = cluster.post("/orders", &[], &order());
        match answer.status {
            201 | 202 => taken_in += 1,
            503 | 507 => {
                assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
                refused += 1;
            }
            _ => panic!("{answer:?}"),
        }
        assert!(Instant::now() < deadline, "the full disk was not noticed");
    }
    taken_in
}

fn wait_for_rest(cluster: &Cluster) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let audit = check_invariants(&cluster.data(), Moment::Any).expect("an audit");
        assert_eq!((audit.parked, audit.rejected), (0, 0), "{audit:?}");
        if audit.pending == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "{audit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
#[ignore = "needs to mount a small file system (root): cargo test --test process -- --ignored"]
fn orders_wait_for_room_and_go_on_by_themselves_even_when_their_worker_dies_meanwhile() {
    let plan = Plan::shop().with("[shop]", "order_wait = \"100ms\"");
    let data = plan.directory().join("data");
    let disk = SmallDisk::at(&data, "16m");
    let kept = plan.keep();
    let cluster = plan.start();
    assert_eq!(cluster.post("/orders", &[], &order()).status, 201);
    let filler = data.join("filler");
    fill(&filler);
    let taken_in = place_until_refused(&cluster);
    cluster.wait_for("takes no writes");
    let mark = cluster.mark();
    cluster.signal_worker(0, Signal::SIGKILL);
    cluster.wait_from(mark, "worker ready");
    let later = place_until_refused(&cluster);
    std::fs::remove_file(&filler).expect("removed");
    wait_for_rest(&cluster);
    let deadline = Instant::now() + TIMEOUT;
    while cluster.post("/orders", &[], &order()).status != 201 {
        assert!(
            Instant::now() < deadline,
            "no order is taken though there is room"
        );
    }
    wait_for_rest(&cluster);
    let audit = check_invariants(&data, Moment::Rest).expect("an audit");
    assert_eq!(audit.violations, Vec::<String>::new());
    assert!(
        audit.confirmed >= 2 + taken_in + later,
        "{audit:?}: {taken_in} and {later} were taken in"
    );
    assert!(cluster.stop().success());
    drop(disk);
    drop(kept);
}

/// The configuration of the cluster whose disk the WAL fills.
fn plan_on_a_small_disk() -> Plan {
    Plan::shop().with("[shop]", "order_wait = \"50ms\"")
}

/// The plan on a small disk, or with a limit on the length of files.
fn small(plan: Plan) -> (Plan, Option<SmallDisk>) {
    match SmallDisk::try_at(&plan.directory().join("data"), "16m") {
        Some(disk) => (plan, Some(disk)),
        None => (plan.file_size_limit(2 << 20), None),
    }
}

/// Kills every process of the cluster.
fn outage(mut cluster: Cluster) -> Plan {
    let workers = cluster.workers().into_values().flatten();
    let workers: Vec<i32> = workers.collect();
    let again = plan_on_a_small_disk().over(&cluster);
    cluster.kill_master();
    for pid in workers {
        // One that had nothing under way may have ended by itself.
        let _ended = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
    }
    again
}

fn is_ready(cluster: &Cluster) -> bool {
    cluster.get("/healthz/readiness").status == 200
}

fn wait_for_readiness(cluster: &Cluster, expected: bool) {
    let deadline = Instant::now() + TIMEOUT;
    while is_ready(cluster) != expected {
        assert!(Instant::now() < deadline, "readiness is never {expected}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_disk_that_the_wal_filled_takes_orders_again_once_its_reader_has_left() {
    let (plan, disk) = small(plan_on_a_small_disk());
    let kept = plan.keep();
    let cluster = plan.start();
    let data = cluster.data();
    let reader = rusqlite::Connection::open(data.join("orders.db")).expect("opened");
    let snapshot = reader.unchecked_transaction().expect("begun");
    snapshot
        .query_row("SELECT count(*) FROM orders", [], |_| Ok(()))
        .expect("read");
    let mut taken_in = place_until_refused(&cluster);
    wait_for_readiness(&cluster, false);
    let mark = cluster.mark();
    cluster.signal_worker(0, Signal::SIGKILL);
    cluster.wait_from(mark, "worker ready");
    taken_in += place_until_refused(&cluster);
    cluster.signal(Signal::SIGHUP);
    // The new generation may be refused because it is not ready, or be in place before it has met the full
    // disk.
    cluster.wait_until(mark, "the end of the reload", |line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.starts_with("reload backed out") || message.starts_with("reload done")
    });
    taken_in += place_until_refused(&cluster);
    let (again, limit) = (outage(cluster), disk.is_none());
    let cluster = if limit {
        again.file_size_limit(2 << 20)
    } else {
        again
    }
    .start();
    taken_in += place_until_refused(&cluster);
    wait_for_readiness(&cluster, false);
    drop(snapshot);
    let left = Instant::now();
    while cluster.post("/orders", &[], &order()).status != 201 {
        assert!(left.elapsed() < TIMEOUT, "no order is taken");
    }
    wait_for_readiness(&cluster, true);
    wait_for_rest(&cluster);
    let audit = check_invariants(&data, Moment::Rest).expect("an audit");
    assert_eq!(audit.violations, Vec::<String>::new());
    assert!(audit.confirmed > taken_in, "{audit:?}: {taken_in} were taken in");
    drop(reader);
    assert!(cluster.stop().success());
    drop((disk, kept));
}

#[test]
fn a_backup_onto_a_full_disk_exits_with_the_code_for_it_and_leaves_nothing() {
    let plan = Plan::shop();
    let around = plan.directory().join("backups");
    let disk = SmallDisk::try_at(&around, "64k");
    std::fs::create_dir_all(&around).expect("made");
    let kept = plan.keep();
    let cluster = plan.start();
    assert_eq!(cluster.post("/orders", &[], &order()).status, 201);
    let (data, to) = (cluster.data(), around.join("copy"));
    let mut command = if disk.is_some() {
        Command::new(env!("CARGO_BIN_EXE_cluster"))
    } else {
        let mut limited = Command::new("prlimit");
        limited.args(["--fsize=16384", env!("CARGO_BIN_EXE_cluster")]);
        limited
    };
    let output = command
        .arg("backup")
        .arg("--data-dir")
        .arg(&data)
        .arg(&to)
        .output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(74), "{output:?}");
    assert_eq!(std::fs::read_dir(&around).expect("there").count(), 0);
    assert!(cluster.stop().success());
    drop((disk, kept));
}
