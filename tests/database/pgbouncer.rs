//! PgBouncer between the shop and the server, in the mode of transactions.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::common::{place, run};
use crate::outages::{assert_refused, wait_for_status};
use crate::server::{Server, plan_at};

fn script() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres/pgbouncer"))
}

/// Whether PgBouncer is installed.
pub(crate) fn is_installed() -> bool {
    script()
        .arg("check")
        .status()
        .is_ok_and(|status| status.success())
}

/// A PgBouncer that ends with this value.
struct Bouncer<'a> {
    server: &'a Server,
    directory: tempfile::TempDir,
}

impl Bouncer<'_> {
    fn before(server: &Server) -> Bouncer<'_> {
        let directory = tempfile::tempdir().expect("a directory");
        // It runs as another user when this is root.
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("set");
        Bouncer { server, directory }
    }

    /// Starts it, on the port that it had: the port.
    fn start(&self) -> String {
        let mut start = script();
        start
            .arg("start")
            .arg(self.directory.path())
            .arg(self.server.port().to_string());
        let started = start.output().expect("the script runs");
        assert!(started.status.success(), "{started:?}");
        String::from_utf8(started.stdout).expect("text").trim().to_owned()
    }

    fn stop(&self) {
        let stopped = script().arg("stop").arg(self.directory.path()).status();
        assert!(stopped.expect("the script runs").success());
    }
}

impl Drop for Bouncer<'_> {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = script().arg("stop").arg(self.directory.path()).output();
    }
}

pub(crate) fn all() {
    let server = Server::start();
    let bouncer = Bouncer::before(&server);
    let port = bouncer.start();
    let cluster = plan_at(&format!("postgres://shop@127.0.0.1:{port}/shop_{{service}}"))
        .with("[postgres]", "pgbouncer = true")
        .start();
    for _ in 0..20 {
        place(&cluster);
    }
    // Another worker meets connections that were the dead one's.
    for kills in 1..=5 {
        let killed = cluster.signal_worker(0, Signal::SIGKILL);
        cluster.wait_for_successor(0, killed);
        cluster.wait_for_many(0, "worker ready", 2 + kills);
        place(&cluster);
    }
    bouncer.stop();
    wait_for_status(&cluster, "/healthz/readiness", 503);
    assert_refused(&cluster, "Connection refused");
    assert_eq!(bouncer.start(), port);
    // Each connection may be any worker's.
    for _ in 0..20 {
        wait_for_status(&cluster, "/healthz/readiness", 200);
    }
    place(&cluster);
    let data = cluster.data().to_str().expect("text").to_owned();
    let told = run(&["doctor", "--data-dir", &data]);
    assert!(told.stdout.contains("all is well"), "{told:?}");
    assert!(cluster.stop().success());
}
