//! Databases that are gone, replaced, hollow or broken: each refused with what to do, before anything is
//! served; and noticed when it happens under a running cluster.

use std::path::{Path, PathBuf};

use crate::admin_commands::{admin_command, says};
use crate::common::{Plan, break_pages, place};
use cluster::scoreboard::Board;
use cluster::shop::{inventory, orders, sandbox};
use cluster::store::{Admission, OpenError, Schema, Store, StoreOptions, Tx};

fn options(path: &Path) -> StoreOptions {
    StoreOptions::new(path, Board::private().cell("test").expect("a cell"))
}

fn open(schema: &Schema, path: &Path) -> Result<Store, OpenError> {
    Store::open(schema, options(path))
}

/// A database as a cluster leaves it.
fn made(schema: &Schema) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.db");
    drop(open(schema, &path).expect("made"));
    (directory, path)
}

fn refused(schema: &Schema, path: &Path, words: &[&str]) {
    let error = open(schema, path).expect_err("refused").to_string();
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn a_database_that_is_gone_is_not_made_anew_until_that_is_said() {
    let (_directory, path) = made(&orders::SCHEMA);
    std::fs::remove_file(&path).expect("removed");
    refused(
        &orders::SCHEMA,
        &path,
        &[
            "is missing",
            "restore the newest backup",
            "-wal",
            "remove the lock file",
        ],
    );
    assert!(!path.exists(), "something was made");
    std::fs::write(&path, "").expect("emptied");
    refused(&orders::SCHEMA, &path, &["is empty", "-shm"]);
    std::fs::remove_file(path.with_extension("db.lock")).expect("removed");
    open(&orders::SCHEMA, &path).expect("a new one");
}

#[test]
fn a_lost_table_index_or_trigger_is_named() {
    for (drop_it, what) in [
        ("DROP TABLE attempt", "the table \"attempt\""),
        ("DROP INDEX attempt_refund_of", "the index \"attempt_refund_of\""),
        (
            "DROP TRIGGER attempt_is_never_removed",
            "the trigger \"attempt_is_never_removed\"",
        ),
    ] {
        let (_directory, path) = made(&sandbox::SCHEMA);
        let database = rusqlite::Connection::open(&path).expect("opened");
        database.execute_batch(drop_it).expect("dropped");
        drop(database);
        refused(&sandbox::SCHEMA, &path, &["lacks", what, "restore"]);
    }
    let (_directory, path) = made(&sandbox::SCHEMA);
    let database = rusqlite::Connection::open(&path).expect("opened");
    database
        .execute_batch("CREATE INDEX mine ON attempt (at); VACUUM")
        .expect("made");
    drop(database);
    open(&sandbox::SCHEMA, &path).expect("what somebody added does no harm");
}

#[test]
fn a_directory_or_a_pipe_where_a_file_should_be_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.db");
    std::fs::create_dir(&path).expect("made");
    refused(&orders::SCHEMA, &path, &["is a directory", "move it away"]);
    let path = directory.path().join("b.db");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    refused(&orders::SCHEMA, &path, &["a pipe"]);
    let path = directory.path().join("c.db");
    std::fs::create_dir(directory.path().join("c.db.lock")).expect("made");
    refused(&orders::SCHEMA, &path, &["c.db.lock", "is a directory"]);
}

#[test]
fn a_newer_schema_is_left_to_the_newer_program() {
    let (_directory, path) = made(&orders::SCHEMA);
    let database = rusqlite::Connection::open(&path).expect("opened");
    database.pragma_update(None, "user_version", 99).expect("set");
    drop(database);
    refused(
        &orders::SCHEMA,
        &path,
        &["schema version 99", "start the newer binary"],
    );
}

#[tokio::test]
async fn a_broken_page_is_met_once_and_then_looked_for() {
    let (_directory, path) = made(&inventory::SCHEMA);
    break_pages(&path);
    let store = open(&inventory::SCHEMA, &path).expect("its header is good");
    let write = |tx: &Tx<'_>| -> rusqlite::Result<()> {
        tx.execute(
            "INSERT INTO stock VALUES ('a', 'A', 1, 'USD', 1, 0, 1, 1, 0, 0)",
            [],
        )
        .map(drop)
    };
    store
        .write(Admission::New, write)
        .await
        .expect_err("the page is broken");
    drop(store);
    refused(
        &inventory::SCHEMA,
        &path,
        &["is corrupt", "`doctor`", "-wal and -shm"],
    );
    refused(&inventory::SCHEMA, &path, &["is corrupt"]);
}

#[test]
fn a_database_that_is_taken_away_ends_its_workers_and_the_next_are_refused() {
    let cluster = Plan::shop().start();
    let mark = cluster.mark();
    std::fs::rename(cluster.data().join("inventory.db"), cluster.data().join("kept")).expect("moved");
    let url = cluster.url("/orders");
    // Whichever worker gets it.
    let _ = crate::common::client()
        .post(url)
        .header("content-type", "application/json")
        .send(crate::common::order());
    cluster.wait_until(mark, "the worker that noticed", |line| {
        line.to_string().contains("was removed while it was open")
    });
    cluster.wait_until(mark, "its replacement's refusal", |line| {
        line.to_string().contains("says that it was in use")
    });
    assert!(
        !cluster.data().join("inventory.db").exists(),
        "an empty one was made"
    );
}

#[test]
fn databases_that_are_all_taken_away_are_not_made_anew_under_the_same_master() {
    for take_all in [false, true] {
        let cluster = Plan::shop().start();
        let data = cluster.data();
        let client = crate::common::client();
        let place = || {
            client
                .post(cluster.url("/orders"))
                .header("content-type", "application/json")
                .send(crate::common::order())
        };
        assert_eq!(place().expect("answered").status().as_u16(), 201);
        let mark = cluster.mark();
        for file in std::fs::read_dir(&data).expect("listed").flatten() {
            let name = file.file_name().into_string().expect("text");
            if file.path().is_file() && (take_all || name.contains(".db")) {
                std::fs::remove_file(file.path()).expect("removed");
            }
        }
        drop(place());
        cluster.wait_until(mark, "the refusal to begin anew", |line| {
            line.to_string().contains("has no database any more")
        });
        assert!(!data.join("orders.db").exists(), "an empty shop was made");
    }
}

#[test]
#[ignore = "needs to mount a read-only file system (root): cargo test --test process -- --ignored"]
fn a_read_only_file_system_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let target = directory.path().to_str().expect("text");
    let mount = |arguments: &[&str]| {
        let done = std::process::Command::new("mount")
            .args(arguments)
            .arg(target)
            .output();
        done.is_ok_and(|output| output.status.success())
    };
    assert!(
        mount(&["-t", "tmpfs", "-o", "ro", "tmpfs"]),
        "mounting is permitted"
    );
    refused(
        &orders::SCHEMA,
        &directory.path().join("a.db"),
        &["cannot create files in", "--data-dir"],
    );
    let _ = std::process::Command::new("umount").arg(target).output();
}

#[test]
fn a_swapped_a_cut_off_and_a_missing_file_are_named() {
    let cluster = Plan::shop().start();
    let (data, directory) = (cluster.data(), Plan::shop().over(&cluster).keep());
    place(&cluster);
    assert!(cluster.stop().success());
    let orders = data.join("orders.db");
    std::fs::copy(data.join("payments.db"), &orders).expect("swapped");
    for command in [&["doctor"][..], &["sagas", "list"]] {
        says(
            &admin_command(command, &data),
            65,
            "orders.db is the payments database; expected the orders database",
        );
        std::fs::write(&orders, "").expect("cut off");
        says(&admin_command(command, &data), 65, "orders.db is empty");
        std::fs::copy(data.join("payments.db"), &orders).expect("swapped");
    }
    std::fs::remove_file(&orders).expect("removed");
    says(&admin_command(&["doctor"], &data), 65, "orders.db is not there");
    drop(directory);
}

#[test]
fn files_of_another_version_are_named_and_can_be_saved_all_the_same() {
    let cluster = Plan::shop().start();
    let (data, directory) = (cluster.data(), Plan::shop().over(&cluster).keep());
    let id = place(&cluster);
    assert!(cluster.stop().success());
    let orders = rusqlite::Connection::open(data.join("orders.db")).expect("opened");
    let known: i64 = orders
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .expect("read");
    for found in [known - 1, known + 1] {
        orders
            .pragma_update(None, "user_version", found)
            .expect("another version");
        for command in [&["doctor"][..], &["sagas", "list"], &["sagas", "show", &id]] {
            let expected = format!("orders.db has schema version {found}, expected {known}");
            says(&admin_command(command, &data), 65, &expected);
        }
        let to = data.join(format!("copy-{found}"));
        says(
            &admin_command(&["backup", &to.display().to_string()], &data),
            0,
            "orders.db",
        );
    }
    drop((orders, directory));
}
