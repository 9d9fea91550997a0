//! Backups, and data directories that were put together by hand: what a backup holds, and what is refused at
//! start because its files do not belong together, each with what to do.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use crate::common::{Cluster, Plan, TIMEOUT, break_pages, order, place};
use cluster::shop::contract::OrderId;
use cluster::store::OfdLock;

const FILES: [&str; 4] = ["orders.db", "inventory.db", "payments.db", "sandbox.db"];

fn backup(data: &Path, to: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cluster"))
        .args(["backup", "--data-dir"])
        .args([data, to])
        .output()
        .expect("the program starts")
}

fn made(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
}

/// A master over these files ends with 65, and says this.
fn is_refused(plan: Plan, words: &str) {
    let mut refused = plan.launch();
    assert_eq!(
        refused.wait_to_the_last_word().code(),
        Some(65),
        "{:?}",
        refused.log()
    );
    let found = refused.log().iter().any(|line| line.to_string().contains(words));
    assert!(found, "{words:?} is not in {:?}", refused.log());
}

/// A shop with an order, stopped.
fn stopped() -> (Plan, Plan, PathBuf, String) {
    let cluster = Plan::shop().start();
    let order = place(&cluster);
    let data = cluster.data();
    let plans = (Plan::shop().over(&cluster), Plan::shop().over(&cluster));
    assert!(cluster.stop().success());
    (plans.0, plans.1, data, order)
}

fn remove(data: &Path, file: &str, suffixes: &[&str]) {
    for suffix in suffixes {
        let _ = std::fs::remove_file(data.join(format!("{file}{suffix}")));
    }
}

#[test]
fn a_backup_needs_no_lock_that_the_writers_wait_for() {
    let cluster = Plan::shop().start();
    place(&cluster);
    let data = cluster.data();
    // Only root may give a file away; anybody else's copy is that user's, as its original.
    let _ = std::os::unix::fs::chown(data.join("orders.db"), Some(65_534), Some(65_534));
    let locks = FILES.map(|file| OfdLock::open(&data.join(format!("{file}.lock"))).expect("opened"));
    for lock in &locks {
        lock.take().expect("taken");
    }
    let copy = data.with_file_name("copy");
    made(&backup(&data, &copy));
    drop(locks);
    for file in FILES.into_iter().chain(["incarnation"]) {
        let found = copy.join(file).metadata().expect(file);
        assert_eq!(found.permissions().mode() & 0o777, 0o600, "{file}");
        let original = data.join(file).metadata().expect(file);
        assert_eq!(
            (found.uid(), found.gid()),
            (original.uid(), original.gid()),
            "{file}"
        );
    }
    assert_eq!(std::fs::read_dir(&copy).expect("read").count(), 5);
    assert!(cluster.stop().success());
}

#[test]
fn a_lock_that_somebody_sits_on_is_told_with_his_pid_and_the_shop_is_not_ready() {
    let cluster = Plan::shop().start();
    let lock = OfdLock::open(&cluster.data().join("orders.db.lock")).expect("opened");
    lock.take().expect("taken");
    let warns = |cluster: &Cluster| {
        let pid = format!("\"pid\":{}", std::process::id());
        cluster.log().iter().any(|line| {
            let line = line.to_string();
            line.contains("writes have waited for 2 s") && line.contains(&pid)
        })
    };
    let deadline = Instant::now() + TIMEOUT;
    while !warns(&cluster) {
        assert!(Instant::now() < deadline, "{:?}", cluster.log());
        assert_eq!(cluster.get("/healthz/readiness").status, 503);
    }
    drop(lock);
    // A worker that has not got the lock yet says so.
    let taken = loop {
        let answer = cluster.post("/orders", &[], &order());
        if answer.status != 503 {
            break answer;
        }
        assert!(Instant::now() < deadline, "{answer:?}");
    };
    assert_eq!(taken.status, 201, "{taken:?}");
    assert!(cluster.stop().success());
}

#[test]
fn a_backup_in_a_new_directory_is_served_and_without_its_counter_refused_with_the_number_to_write() {
    let (plan, again, data, _) = stopped();
    let orders = rusqlite::Connection::open(data.join("orders.db")).expect("opened");
    // As the ninth master left it, with an order under way.
    let row = "UPDATE orders SET status = 10, owner = '9/0/1'";
    orders.execute(row, []).expect("updated");
    orders.execute("DELETE FROM outbox", []).expect("deleted");
    let order: i64 = orders
        .query_row("SELECT id FROM orders", [], |row| row.get(0))
        .expect("one");
    drop(orders);
    std::fs::write(data.join("incarnation"), "9\n").expect("written");
    let copy = data.with_file_name("copy");
    made(&backup(&data, &copy));
    std::fs::remove_dir_all(&data).expect("removed");
    std::fs::rename(&copy, &data).expect("restored");
    std::fs::rename(data.join("incarnation"), data.join("kept")).expect("forgotten");
    is_refused(plan, "write 9 into it");
    std::fs::rename(data.join("kept"), data.join("incarnation")).expect("remembered");
    let cluster = again.start();
    let url = format!("/orders/{}", OrderId::from_key(order));
    let deadline = Instant::now() + TIMEOUT;
    while cluster.get(&url).json()["status"] != "confirmed" {
        assert!(Instant::now() < deadline, "nobody took it over");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(cluster.stop().success());
}

#[test]
fn a_counter_that_was_removed_or_lowered_is_refused_and_no_life_repeats() {
    let doctor = |data: &Path| {
        let doctor = Command::new(env!("CARGO_BIN_EXE_cluster"))
            .args(["doctor", "--data-dir"])
            .arg(data)
            .output()
            .expect("the program starts");
        (
            doctor.status.code(),
            String::from_utf8_lossy(&doctor.stderr).into_owned(),
        )
    };
    let (plan, again, data, _) = stopped();
    let counter = data.join("incarnation");
    assert_eq!(doctor(&data).0, Some(0));
    std::fs::remove_file(&counter).expect("removed");
    let (code, said) = doctor(&data);
    assert!(
        code == Some(65) && said.contains("write 1 into it"),
        "{code:?} {said}"
    );
    is_refused(plan, "write 1 or a larger number into it");
    let cluster = again.start();
    place(&cluster);
    let plan = Plan::shop().over(&cluster);
    assert!(cluster.stop().success());
    assert_eq!(std::fs::read_to_string(&counter).expect("read"), "2\n");
    assert_eq!(doctor(&data).0, Some(0));
    std::fs::write(&counter, "0\n").expect("lowered");
    is_refused(plan, "write 2 into it");
}

#[test]
fn a_master_that_was_upgraded_in_place_is_the_same_user_of_the_databases() {
    let cluster = Plan::shop().start();
    place(&cluster);
    for arguments in [["upgrade"].as_slice(), &["scale", "3"]] {
        let done = Command::new(env!("CARGO_BIN_EXE_cluster"))
            .args(arguments)
            .arg("--data-dir")
            .arg(cluster.data())
            .output()
            .expect("the program starts");
        made(&done);
    }
    place(&cluster);
    assert!(cluster.stop().success());
}

#[test]
fn a_fence_of_a_later_master_is_seen_before_it_bars_everybody() {
    let (plan, _kept, data, _) = stopped();
    let payments = rusqlite::Connection::open(data.join("payments.db")).expect("opened");
    let fence = "INSERT INTO fences (slot, incarnation, epoch) VALUES (-1, 7, 0)";
    payments.execute(fence, []).expect("raised");
    drop(payments);
    is_refused(plan, "write 7 into it");
}

#[test]
fn a_database_that_is_gone_with_its_lock_is_not_made_anew_beside_orders() {
    for file in FILES {
        let (plan, again, data, _) = stopped();
        remove(&data, file, &["", "-wal", "-shm", ".lock"]);
        is_refused(plan, "and would be made anew");
        assert!(!data.join(file).exists(), "an empty {file} was made");
        for file in FILES {
            remove(&data, file, &["", "-wal", "-shm", ".lock"]);
        }
        assert!(again.start().stop().success(), "all are made anew");
    }
}

#[test]
fn one_file_of_an_older_backup_is_refused_until_a_person_wants_it_so() {
    for (file, words) in [
        ("orders.db", "has a reservation and is no order"),
        ("inventory.db", "is confirmed and never left the shelf"),
        ("payments.db", "is confirmed and was never paid"),
        ("sandbox.db", "is paid and the ledger has no such charge"),
    ] {
        let cluster = Plan::shop().start();
        let data = cluster.data();
        place(&cluster);
        let copy = data.with_file_name("copy");
        made(&backup(&data, &copy));
        let later = place(&cluster);
        let plans = [(); 2].map(|()| Plan::shop().over(&cluster));
        assert!(cluster.stop().success());
        remove(&data, file, &["-wal", "-shm"]);
        std::fs::copy(copy.join(file), data.join(file)).expect("restored");
        let [plan, again] = plans;
        is_refused(plan, &format!("{later} {words}"));
        std::fs::write(data.join("serve-as-it-is"), "").expect("written");
        assert!(again.start().stop().success());
    }
}

#[test]
fn broken_pages_are_no_backup_and_are_not_served() {
    let (plan, _kept, data, _) = stopped();
    break_pages(&data.join("inventory.db"));
    let copy = data.with_file_name("copy");
    let refused = backup(&data, &copy);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(65), "{said}");
    assert!(said.contains("inventory.db has broken pages"), "{said}");
    let left: Vec<_> = std::fs::read_dir(data.parent().expect("one"))
        .expect("read")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.contains("copy"))
        .collect();
    assert!(left.is_empty(), "{left:?} was left");
    is_refused(plan, "is corrupt");
}

#[test]
#[ignore = "needs root, which alone can be somebody else: cargo test --test process -- --ignored"]
fn who_may_not_read_the_databases_is_told_so() {
    let (_plan, _kept, data, order) = stopped();
    let program = data.with_file_name("program");
    std::fs::copy(env!("CARGO_BIN_EXE_cluster"), &program).expect("copied");
    let around = data.parent().expect("one");
    std::fs::set_permissions(around, std::fs::Permissions::from_mode(0o755)).expect("opened");
    for arguments in [
        ["doctor"].as_slice(),
        &["sagas", "list"],
        &["sagas", "retry", &order, "--reason", "x"],
    ] {
        let refused = Command::new(&program)
            .args(arguments)
            .arg("--data-dir")
            .arg(&data)
            .uid(65_534)
            .gid(65_534)
            .output()
            .expect("the program starts");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(77), "{arguments:?}: {said}");
        assert!(said.contains("orders.db may not be read by this user"), "{said}");
    }
}
