//! The program of `dbos/`: the order as a workflow of DBOS. Gone when dropped.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::database::Databases;
use crate::server::{free_address, signal};
use crate::{client, procfs};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/postgres/dbos/shop.js");
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench-postgres/dbos");
/// Longer than its start and its end take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Connections of all its processes to each of the two databases: with more it is slower here.
const CONNECTIONS: usize = 20;

/// The program's processes.
pub(crate) struct Dbos {
    root: Child,
    address: SocketAddr,
    directory: tempfile::TempDir,
}

/// Whether `benches/postgres/install` has run.
pub(crate) fn is_installed() -> Result<(), String> {
    version().map(drop)
}

/// That of DBOS.
pub(crate) fn version() -> Result<String, String> {
    let package = Path::new(INSTALLED).join("node_modules/@dbos-inc/dbos-sdk/package.json");
    let missing = |error: &dyn std::fmt::Display| {
        format!(
            "{}: {error}; run bash benches/postgres/install",
            package.display()
        )
    };
    let text = std::fs::read(&package).map_err(|error| missing(&error))?;
    let package: serde_json::Value = serde_json::from_slice(&text).map_err(|error| missing(&error))?;
    Ok(package["version"].as_str().unwrap_or("?").to_owned())
}

impl Dbos {
    /// Starts it with so many processes, and waits until all of them serve.
    pub(crate) fn start(databases: &Databases<'_>, processes: usize) -> Result<Dbos, String> {
        let program = Path::new(INSTALLED).join("shop.js");
        std::fs::copy(SOURCE, &program).map_err(|error| format!("{}: {error}", program.display()))?;
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let address = free_address().map_err(|error| error.to_string())?;
        let log = |path: PathBuf| File::create(path).map_err(|error| error.to_string());
        let root = Command::new("node")
            .arg(program)
            .env("PORT", address.port().to_string())
            .env("WORKERS", processes.to_string())
            .env("CONNECTIONS", (CONNECTIONS / processes).to_string())
            .env("SHOP_URL", databases.url_of("shop"))
            .env("SYSTEM_URL", databases.url_of("system"))
            .env("READY", directory.path().join("ready"))
            .stdin(Stdio::null())
            .stdout(log(directory.path().join("out"))?)
            .stderr(log(directory.path().join("log"))?)
            .spawn()
            .map_err(|error| format!("node: {error}"))?;
        let dbos = Dbos {
            root,
            address,
            directory,
        };
        let ready = dbos
            .wait_for_all(processes)
            .and_then(|()| client::until(address, &client::order(), 201, PATIENCE).map(drop));
        ready.map_err(|reason| format!("{reason}; its log:\n{}", dbos.log()))?;
        Ok(dbos)
    }

    /// Each process writes a line when it serves.
    fn wait_for_all(&self, processes: usize) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let lines = std::fs::read_to_string(self.directory.path().join("ready")).unwrap_or_default();
            if lines.lines().count() == processes {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(format!(
                    "not all of {processes} processes serve after {PATIENCE:?}"
                ));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// All of its processes.
    pub(crate) fn everyone(&self) -> Vec<u32> {
        let mut pids = procfs::children(self.root.id()).unwrap_or_default();
        pids.push(self.root.id());
        pids
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Dbos {
    fn drop(&mut self) {
        let everyone = self.everyone();
        signal(self.root.id(), Signal::SIGTERM);
        // Its workers end when they notice that it has.
        let lives = |pid: &u32| procfs::cpu_ticks(*pid).is_ok();
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let ended = !matches!(self.root.try_wait(), Ok(None));
            if ended && !everyone.iter().any(lives) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("postgres: DBOS did not stop within {PATIENCE:?} and is killed");
        everyone
            .into_iter()
            .filter(lives)
            .for_each(|pid| signal(pid, Signal::SIGKILL));
        drop(self.root.wait());
    }
}
