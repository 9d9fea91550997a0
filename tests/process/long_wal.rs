//! A write-ahead log that another program keeps long: the log, the metrics, `status` and `doctor` say so and
//! name the program.

use crate::common::{Cli, Cluster, Scrape, TIMEOUT, admin, run, wait_until, watched};

/// Makes the WAL of the payments longer than 64 MiB, as much load would.
fn write_much(cluster: &Cluster) {
    let writer = rusqlite::Connection::open(cluster.data().join("payments.db")).expect("opened");
    writer.busy_timeout(TIMEOUT).expect("set");
    writer
        .execute_batch("CREATE TABLE junk (a); INSERT INTO junk VALUES (zeroblob(70000000)); DROP TABLE junk")
        .expect("written");
}

#[test]
fn a_wal_that_a_reader_keeps_long_is_shown_with_its_reader_and_so_is_its_end() {
    let cluster = watched().start();
    let admin = admin(&cluster);
    let reader = rusqlite::Connection::open(cluster.data().join("payments.db")).expect("opened");
    let snapshot = reader.unchecked_transaction().expect("begun");
    snapshot
        .query_row("SELECT count(*) FROM payments", [], |_| Ok(()))
        .expect("read");
    write_much(&cluster);
    let own = format!("process {}", std::process::id());
    let line = cluster.wait_for("payments.db-wal has");
    assert!(line["message"].as_str().expect("text").contains(&own), "{line}");
    assert_eq!(line["level"], "warn");
    wait_until("the gauge", || Scrape::of(admin).value("shop_wal_bytes") > 64e6);
    let status = || cluster.run(&["status"]).stdout;
    wait_until("the status", || {
        let text = status();
        text.contains("payments.db-wal has") && text.contains(&own)
    });
    let data = cluster.data();
    let doctor = || run(&["doctor", "--data-dir", data.to_str().expect("text")]);
    let told = doctor();
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.stdout.contains("attention: payments.db-wal has"), "{told:?}");
    assert!(
        told.stdout.contains(&own) && !told.stdout.contains("all is well"),
        "{told:?}"
    );
    drop(snapshot);
    cluster.wait_for("the write-ahead log of a database is short again");
    wait_until("the status", || !status().contains("payments.db-wal has"));
    assert!(doctor().stdout.contains("all is well"));
}
