//! A cluster of its own: private directory, free port, a thousand articles. Gone when dropped.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{client, procfs};

/// How it is started.
#[derive(Clone, Copy, Default)]
pub(crate) struct Plan {
    /// How many workers.
    pub(crate) workers: usize,
    /// The program; the one that was built with this bench when not set.
    pub(crate) program: Option<&'static str>,
    /// More lines for `[cluster]`.
    pub(crate) cluster: &'static str,
    /// More lines for `[shop]`, and whole sections after it.
    pub(crate) shop: &'static str,
}

impl Plan {
    /// So many, and nothing else of note.
    pub(crate) fn workers(workers: usize) -> Plan {
        Plan {
            workers,
            ..Plan::default()
        }
    }
}

/// A running `cluster serve`.
pub(crate) struct Server {
    master: Child,
    address: SocketAddr,
    directory: tempfile::TempDir,
}

impl Server {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(plan: &Plan) -> Result<Server, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let address = free_address().map_err(|error| error.to_string())?;
        let config = write_config(directory.path(), plan).map_err(|error| error.to_string())?;
        let log = std::fs::File::create(directory.path().join("log")).map_err(|error| error.to_string())?;
        let master = Command::new(plan.program.unwrap_or(env!("CARGO_BIN_EXE_cluster")))
            .args([
                "serve",
                "--workers",
                &plan.workers.to_string(),
                "--bind",
                &address.to_string(),
            ])
            .arg("--config")
            .arg(config)
            .arg("--data-dir")
            .arg(directory.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| error.to_string())?;
        let server = Server {
            master,
            address,
            directory,
        };
        let ready = client::until(
            address,
            &client::get("/healthz/readiness"),
            200,
            Duration::from_secs(20),
        );
        let ready =
            ready.and_then(|_| client::until(address, &client::order(), 201, Duration::from_secs(20)));
        ready.map_err(|reason| format!("{reason}; its log:\n{}", server.log()))?;
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The master's pid.
    pub(crate) fn master(&self) -> u32 {
        self.master.id()
    }

    /// The workers' pids.
    pub(crate) fn workers(&self) -> Result<Vec<u32>, String> {
        procfs::children(self.master())
    }

    /// Master and workers.
    pub(crate) fn everyone(&self) -> Result<Vec<u32>, String> {
        let mut pids = self.workers()?;
        pids.push(self.master());
        Ok(pids)
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The workers that live, as the master wrote them down: life (`7/0/3`) and pid.
    pub(crate) fn lives(&self) -> Vec<(String, u32)> {
        let text = std::fs::read(self.data().join("run/workers.json")).unwrap_or_default();
        let records: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap_or_default();
        let one = |record: &serde_json::Value| {
            let pid = u32::try_from(record["pid"].as_u64()?).ok()?;
            Some((record["life"].as_str()?.to_owned(), pid))
        };
        records.iter().filter_map(one).collect()
    }

    /// What it said so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let workers = self.workers().unwrap_or_default();
        signal(self.master(), Signal::SIGTERM);
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            if !matches!(self.master.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("measurements: the master did not stop within 10 s and is killed");
        // Not reaped yet, so these pids are still theirs.
        signal(self.master(), Signal::SIGKILL);
        workers.into_iter().for_each(|pid| signal(pid, Signal::SIGKILL));
        drop(self.master.wait());
    }
}

/// Signals a process of ours; one that is gone needs none.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        kill(Pid::from_raw(pid), signal).unwrap_or_default();
    }
}

/// A port that is free now. Somebody may take it before the server does; then the server says so, and one
/// tries again.
pub(crate) fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Workers are killed again and again here, which must not look like a crash loop.
fn write_config(directory: &Path, plan: &Plan) -> std::io::Result<std::path::PathBuf> {
    let catalog = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/wrk/catalog.toml");
    let config = directory.join("cluster.toml");
    let Plan { cluster, shop, .. } = plan;
    let text = format!(
        "[cluster]\nearly_death = \"10ms\"\nrestart_limit = 1000\n{cluster}\n[shop]\ncatalog = {catalog:?}\n{shop}\n"
    );
    std::fs::write(&config, text)?;
    Ok(config)
}
