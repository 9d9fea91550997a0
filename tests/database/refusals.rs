//! Servers and databases that cannot be used, or not now: one line each, and what waiting mends goes on by
//! itself.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::common::{Cluster, order, place, wait_until};
use crate::outages::{assert_refused, started, wait_for_status};
use crate::server::{Server, plan_at};

pub(crate) fn fatal() {
    let server = Server::start();
    server.sql("postgres", "CREATE ROLE weak LOGIN");
    server.sql("postgres", "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    for service in ["orders", "inventory", "payments", "sandbox"] {
        server.sql(
            &format!("shop_{service}"),
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        );
    }
    let other = |database: &str| server.url("shop").replace("shop_{service}", database);
    for (url, exit, line) in [
        (server.url("weak"), 77, "the role needs a database of its own"),
        (server.url("nobody"), 77, "nobody"),
        (other("none_{service}"), 77, "does not exist"),
    ] {
        ends(plan_at(&url).launch(), exit, line);
    }
    // The databases of a cluster.
    let cluster = started(server.plan());
    let directory = cluster.keep();
    assert!(cluster.stop().success());
    let swapped = server.plan().with(
        "[postgres]",
        &format!(
            "orders = \"{}\"\npayments = \"{}\"",
            other("shop_payments"),
            other("shop_orders")
        ),
    );
    ends(swapped.launch(), 65, "it is the database of");
    ends(server.plan().launch(), 65, "it belongs to another cluster");
    let newer = "UPDATE cluster_meta SET version = 99, oldest_compatible = 99";
    server.sql("shop_orders", newer);
    ends(server.plan().launch(), 65, "belongs to another cluster");
    drop(directory);
    for (url, line) in [
        ("mysql://a@b/{service}", "is no URL of PostgreSQL"),
        (
            "postgres://shop:secret@127.0.0.1/{service}",
            "it holds a password",
        ),
        ("postgres://127.0.0.1/{service}", "it names no user"),
    ] {
        let cluster = plan_at(url).launch();
        ends(cluster, 78, line);
    }
}

pub(crate) fn password() {
    let server = Server::start();
    server.sql("postgres", "CREATE ROLE guarded LOGIN PASSWORD 'the right one'");
    server.guard("guarded");
    let url = server.url("guarded");
    ends(
        plan_at(&url).launch(),
        77,
        "the server asks for a password, and there is none",
    );
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("password");
    std::fs::write(&file, "the secret guess\n").expect("written");
    let with_file = || plan_at(&url).with("[postgres]", &format!("password_file = \"{}\"", file.display()));
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("set");
    ends(with_file().launch(), 78, "can be read by others");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("set");
    ends(with_file().launch(), 77, "password authentication failed");
    for service in ["orders", "inventory", "payments", "sandbox"] {
        server.sql(
            "postgres",
            &format!("ALTER DATABASE shop_{service} OWNER TO guarded"),
        );
    }
    std::fs::write(&file, "the right one\n").expect("written");
    let cluster = started(with_file());
    place(&cluster);
    assert!(cluster.stop().success());
}

/// The cluster ends with that code, after a line with that text and no secret.
fn ends(mut cluster: Cluster, exit: i32, line: &str) {
    let ended = cluster.wait_to_the_last_word();
    let log = format!("{:?}", cluster.log());
    assert_eq!(ended.code(), Some(exit), "{line}: {log}");
    assert!(log.contains(line), "{line:?} is not in {log}");
    assert!(!log.contains("secret"), "{log}");
}

pub(crate) fn mended() {
    let server = Server::start();
    // Enough to make the tables, and not enough for two workers.
    server.sql("postgres", "CREATE ROLE few LOGIN CONNECTION LIMIT 5");
    for service in ["orders", "inventory", "payments", "sandbox"] {
        server.sql("postgres", &format!("ALTER DATABASE shop_{service} OWNER TO few"));
    }
    let cluster = plan_at(&server.url("few")).start();
    let unready = wait_for_status(&cluster, "/healthz/readiness", 503);
    assert!(unready.body.contains("too many connections"), "{unready:?}");
    server.sql("postgres", "ALTER ROLE few CONNECTION LIMIT -1");
    wait_until("both workers to take orders", || {
        (0..8).all(|_| cluster.post("/orders", &[], &order()).status == 201)
    });
    assert!(cluster.stop().success());
}

pub(crate) fn demoted() {
    let server = Server::start();
    let cluster = started(server.plan());
    place(&cluster);
    let demote = "ALTER SYSTEM SET default_transaction_read_only = on";
    server.sql("postgres", demote);
    server.sql("postgres", "SELECT pg_reload_conf()");
    // What is asked while it happens may still be written.
    let unready = wait_for_status(&cluster, "/healthz/readiness", 503);
    assert!(unready.body.contains("read-only"), "{unready:?}");
    assert_refused(&cluster, "read-only");
    server.sql("postgres", "ALTER SYSTEM RESET default_transaction_read_only");
    server.sql("postgres", "SELECT pg_reload_conf()");
    wait_for_status(&cluster, "/healthz/readiness", 200);
    place(&cluster);
    assert!(cluster.stop().success());
}

pub(crate) fn silent() {
    // Accepts, because the kernel does, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("an address").port();
    let cluster = plan_at(&format!("postgres://shop@127.0.0.1:{port}/{{service}}")).start();
    let unready = cluster.get("/healthz/readiness");
    assert_eq!(unready.status, 503);
    assert!(
        unready.body.contains("accepted the connection and not answered"),
        "{unready:?}"
    );
    assert_refused(&cluster, "not answered");
    assert!(cluster.stop().success());
}

/// A small disk for the tables of the server; `None` where the system allows none.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let directory = tempfile::tempdir().expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=48m,mode=777", "tmpfs"])
            .arg(directory.path())
            .output();
        mounted
            .is_ok_and(|mounted| mounted.status.success())
            .then(|| SmallDisk(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

pub(crate) fn full_disk() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("SKIPPED: no small disk can be mounted (needs root): a_full_disk_of_the_server_is_told");
        return;
    };
    let server = Server::start();
    let space = disk.0.path().join("space");
    std::fs::create_dir(&space).expect("made");
    std::fs::set_permissions(&space, PermissionsExt::from_mode(0o777)).expect("set");
    let owned = Command::new("chown").arg("postgres:").arg(&space).status();
    assert!(owned.expect("chown runs").success());
    server.sql(
        "postgres",
        &format!("CREATE TABLESPACE small LOCATION '{}'", space.display()),
    );
    server.sql("postgres", "ALTER DATABASE shop_payments SET TABLESPACE small");
    let cluster = started(server.plan());
    place(&cluster);
    // Room for nothing: the payments cannot be recorded, and the orders wait.
    let filler = disk.0.path().join("filler");
    let filled = Command::new("dd")
        .args(["if=/dev/zero", "bs=64k"])
        .arg(format!("of={}", filler.display()))
        .output();
    assert!(!filled.expect("dd runs").status.success(), "the disk is full");
    let mut waiting = Vec::new();
    for number in 0.. {
        let key = format!("full-{number}");
        let answer = cluster.post("/orders", &[("idempotency-key", &key)], &crate::common::order());
        match answer.status {
            201 => {}
            202 => {
                waiting.push(answer.json()["id"].as_str().expect("an id").to_owned());
                break;
            }
            507 | 503 => {
                assert!(
                    answer.body.contains("space") || answer.body.contains("room"),
                    "{answer:?}"
                );
                break;
            }
            _ => panic!("{answer:?}"),
        }
        assert!(number < 20_000, "the disk does not become full");
    }
    std::fs::remove_file(&filler).expect("removed");
    wait_for_status(&cluster, "/healthz/readiness", 200);
    for id in waiting {
        wait_until("the order to be confirmed", || {
            cluster.get(&format!("/orders/{id}")).json()["status"] == "confirmed"
        });
    }
    place(&cluster);
    assert!(cluster.stop().success());
}
