//! A server of PostgreSQL for one test, on a port of the kernel's.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio_postgres::NoTls;

use crate::common::Plan;

const SERVICES: [&str; 4] = ["orders", "inventory", "payments", "sandbox"];

fn script() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres/server"))
}

/// Whether PostgreSQL is installed.
pub(crate) fn is_installed() -> bool {
    script()
        .arg("check")
        .status()
        .is_ok_and(|status| status.success())
}

/// A server that is stopped with this value.
pub(crate) struct Server {
    directory: tempfile::TempDir,
    port: u16,
}

impl Server {
    /// Starts a server with the databases of a shop: `shop_orders` and so on.
    pub(crate) fn start() -> Server {
        let directory = tempfile::tempdir().expect("a directory");
        // The server runs as another user when this is root.
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("set");
        let mut server = Server { directory, port: 0 };
        server.start_again();
        for service in SERVICES {
            server.sql(
                "postgres",
                &format!("CREATE DATABASE shop_{service} TEMPLATE template0"),
            );
        }
        server
    }

    /// Starts a server that follows this one.
    pub(crate) fn follow(&self) -> Server {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("set");
        let mut standby = Server { directory, port: 0 };
        let mut follow = script();
        follow.arg("standby").arg(standby.data()).arg(self.data());
        standby.port = port_of(&follow.output().expect("the script runs"));
        standby
    }

    /// Makes this standby a primary.
    pub(crate) fn promote(&self) {
        let promoted = script().arg("promote").arg(self.data()).status();
        assert!(promoted.expect("the script runs").success());
    }

    /// Has it ask that role for its password.
    pub(crate) fn guard(&self, role: &str) {
        let file = self.data().join("data/pg_hba.conf");
        let rules = std::fs::read_to_string(&file).expect("read");
        std::fs::write(
            &file,
            format!("host all {role} 127.0.0.1/32 scram-sha-256\n{rules}"),
        )
        .expect("written");
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("server")
    }

    /// Starts it, on the port that it had.
    pub(crate) fn start_again(&mut self) {
        let mut start = script();
        start.arg("start").arg(self.data());
        if self.port != 0 {
            start.arg(self.port.to_string());
        }
        self.port = port_of(&start.output().expect("the script runs"));
    }

    /// Stops it: `fast` lets transactions end, `immediate` is as a crash.
    pub(crate) fn stop(&self, mode: &str) {
        let stopped = script().arg("stop").arg(self.data()).args(["-m", mode]).status();
        assert!(stopped.expect("the script runs").success());
    }

    /// A copy of what it has on its disk. It must be stopped.
    pub(crate) fn copy(&self) -> PathBuf {
        let copy = self.directory.path().join("copy");
        copy_of(&self.data().join("data"), &copy);
        copy
    }

    /// Puts a copy in the place of what it has, to be recovered as an archive is: on a new timeline.
    pub(crate) fn restore(&self, copy: &Path) {
        let data = self.data().join("data");
        std::fs::remove_dir_all(&data).expect("removed");
        copy_of(copy, &data);
        let settings = data.join("postgresql.auto.conf");
        let mut text = std::fs::read_to_string(&settings).expect("read");
        text.push_str("restore_command = 'false'\n");
        std::fs::write(&settings, text).expect("written");
        let touched = Command::new("cp")
            .arg("-p")
            .args([data.join("PG_VERSION"), data.join("recovery.signal")])
            .status();
        assert!(touched.expect("cp runs").success());
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Runs statements as the superuser.
    pub(crate) fn sql(&self, database: &str, sql: &str) {
        let url = format!("postgres://shop@127.0.0.1:{}/{database}", self.port);
        run_sql(&url, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Has it speak TLS with that certificate.
    pub(crate) fn use_certificate(&self, certificate: &Path, key: &Path) {
        for (name, from) in [("server.crt", certificate), ("server.key", key)] {
            let to = self.data().join("data").join(name);
            std::fs::copy(from, &to).expect("copied");
            std::fs::set_permissions(&to, PermissionsExt::from_mode(0o600)).expect("set");
            let data = std::fs::metadata(self.data().join("data")).expect("there");
            std::os::unix::fs::chown(&to, Some(data.uid()), Some(data.gid())).expect("given");
        }
        self.sql("postgres", "ALTER SYSTEM SET ssl = on");
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Begins a transaction that has written, and leaves it open until the value is dropped.
    pub(crate) fn open_transaction(&self, database: &str) -> OpenTransaction {
        let url = format!(
            "postgres://shop@127.0.0.1:{}/{database}?application_name=forgotten",
            self.port
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let opened = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            tokio::spawn(connection);
            client.batch_execute("BEGIN; SELECT pg_current_xact_id()").await?;
            Ok::<_, tokio_postgres::Error>(client)
        });
        OpenTransaction {
            _client: opened.expect("begun"),
            _runtime: runtime,
        }
    }

    /// The URL of the databases as that role has them.
    pub(crate) fn url(&self, role: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/shop_{{service}}", self.port)
    }

    /// How a shop is started that has its databases here.
    pub(crate) fn plan(&self) -> Plan {
        plan_at(&self.url("shop"))
    }
}

/// Copies a directory with its owners.
fn copy_of(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.expect("cp runs").success());
}

/// The port that the script says.
fn port_of(started: &std::process::Output) -> u16 {
    let said = String::from_utf8_lossy(&started.stdout);
    let port = said
        .split("PGPORT=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next()?.parse().ok());
    port.unwrap_or_else(|| panic!("{started:?}"))
}

/// How a shop is started that has its databases there.
pub(crate) fn plan_at(url: &str) -> Plan {
    Plan::shop()
        .with("[store]", "engine = \"postgres\"")
        // Servers that start side by side on a busy machine take their time.
        .with("[shop]", "order_wait = \"20s\"")
        .with("[postgres]", &format!("url = \"{url}\""))
}

fn run_sql(url: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let driver = tokio::spawn(connection);
        let done = client.batch_execute(sql).await;
        driver.abort();
        done
    })
}

/// A transaction that is open. Its connection ends with this value.
pub(crate) struct OpenTransaction {
    _client: tokio_postgres::Client,
    _runtime: tokio::runtime::Runtime,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be stopped already.
        let _ = script()
            .arg("stop")
            .arg(self.data())
            .args(["-m", "immediate"])
            .output();
    }
}
