//! TLS to the server: the right one, one of another name, one that nobody vouches for, one without TLS.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::common::place;
use crate::outages::{started, wait_for_status};
use crate::server::{Server, plan_at};

/// Runs openssl, which is there or the test is not.
fn openssl(directory: &Path, arguments: &str) -> bool {
    let ran = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output();
    ran.is_ok_and(|ran| ran.status.success())
}

/// An authority `ca.pem`, and a key and certificate of a server that is called `localhost`.
fn certificates(directory: &Path) -> bool {
    let extensions = "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n";
    std::fs::write(directory.join("names"), extensions).expect("written");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(
        directory,
        &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=tests"),
    ) && openssl(
        directory,
        &format!("req -x509 {key} -keyout other.key -out other.pem -days 2 -subj /CN=other"),
    ) && openssl(
        directory,
        &format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"),
    ) && openssl(
        directory,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem \
             -days 2 -extfile names",
    )
}

pub(crate) fn all() {
    let directory = tempfile::tempdir().expect("a directory");
    if !certificates(directory.path()) {
        eprintln!("SKIPPED: there is no openssl to make certificates with: TLS to the server");
        return;
    }
    let server = Server::start();
    let at = |name: &str, rest: &str| {
        let url = server.url("shop").replace("127.0.0.1", name);
        format!("{url}?sslmode={rest}")
    };
    let trusting = |url: &str, roots: &str| {
        let file = directory.path().join(roots);
        plan_at(url).with(
            "[postgres]",
            &format!("root_certificates = {:?}", file.display().to_string()),
        )
    };
    let is_waiting = |url: &str, roots: &str, cause: &str| {
        let cluster = trusting(url, roots).start();
        let unready = wait_for_status(&cluster, "/healthz/readiness", 503);
        assert!(unready.body.contains(cause), "{cause:?} is not in {unready:?}");
        assert!(cluster.stop().success());
    };
    is_waiting(&at("localhost", "verify-full"), "ca.pem", "does not support TLS");
    server.use_certificate(
        &directory.path().join("server.pem"),
        &directory.path().join("server.key"),
    );
    let cluster = started(trusting(&at("localhost", "verify-full"), "ca.pem"));
    place(&cluster);
    let encrypted =
        "DO $$ BEGIN ASSERT (SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE application_name LIKE 'cluster/%'); END $$";
    server.sql("postgres", encrypted);
    assert!(cluster.stop().success());
    is_waiting(
        &at("localhost", "require"),
        "other.pem",
        "invalid peer certificate",
    );
    is_waiting(
        &at("127.0.0.1", "require"),
        "ca.pem",
        "certificate not valid for name",
    );
    for (roots, line) in [("missing.pem", "missing.pem"), ("names", "holds no certificate")] {
        let mut cluster = trusting(&at("localhost", "require"), roots).launch();
        let ended = cluster.wait_to_the_last_word();
        let log = format!("{:?}", cluster.log());
        assert!(!ended.success() && log.contains(line), "{roots}: {log}");
    }
    let private = std::fs::metadata(directory.path().join("server.key")).expect("there");
    assert_eq!(private.permissions().mode() & 0o077, 0, "a key is nobody else's");
}
