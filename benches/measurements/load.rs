//! wrk, and what it says in its last line.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::procfs;

/// `FIGURES key=value …`
pub(crate) struct Said(String);

impl Said {
    /// The number under that key.
    pub(crate) fn number(&self, key: &str) -> Result<f64, String> {
        let mut pairs = self
            .0
            .split_ascii_whitespace()
            .filter_map(|word| word.split_once('='));
        let value = pairs
            .find(|(name, _)| *name == key)
            .and_then(|(_, value)| value.parse().ok());
        value.ok_or_else(|| format!("wrk said no {key}: {}", self.0))
    }

    /// A count per second of the load.
    pub(crate) fn per_second(&self, key: &str) -> Result<f64, String> {
        Ok(self.number(key)? * 1e6 / self.number("us")?)
    }

    /// A time.
    pub(crate) fn ms(&self, key: &str) -> Result<f64, String> {
        Ok(self.number(key)? / 1e3)
    }
}

/// Whether there is a wrk to run.
pub(crate) fn find_wrk() -> Result<(), String> {
    let found = Command::new("wrk")
        .arg("-v")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    found.map(drop).map_err(|_| {
        "wrk was not found on the PATH; install it (apt-get install wrk) and run this again".to_owned()
    })
}

/// Orders over so many connections.
pub(crate) fn orders(address: SocketAddr, connections: usize, seconds: u64) -> Result<Said, String> {
    finish(start_orders(address, connections, seconds)?)
}

/// The same, not waited for.
pub(crate) fn start_orders(address: SocketAddr, connections: usize, seconds: u64) -> Result<Child, String> {
    start(
        Command::new("wrk"),
        "orders.lua",
        &format!("http://{address}"),
        connections,
        seconds,
    )
}

/// Starts wrk by that command, which may be another program that runs it.
pub(crate) fn start(
    mut wrk: Command,
    script: &str,
    url: &str,
    connections: usize,
    seconds: u64,
) -> Result<Child, String> {
    wrk.args([
        &format!("-t{}", connections.min(2)),
        &format!("-c{connections}"),
        &format!("-d{seconds}s"),
        "--timeout",
        "5s",
        "-s",
    ])
    .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/wrk/").to_owned() + script)
    .arg(url)
    .stdout(Stdio::piped())
    .spawn()
    .map_err(|error| format!("wrk: {error}"))
}

/// Waits for wrk's last line.
pub(crate) fn finish(wrk: Child) -> Result<Said, String> {
    let output = wrk.wait_with_output().map_err(|error| format!("wrk: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.starts_with("FIGURES "));
    line.map(|line| Said(line.to_owned()))
        .ok_or_else(|| format!("wrk gave no figures:\n{text}"))
}

/// CPU and requests, added up over several turns.
#[derive(Default)]
pub(crate) struct Cost {
    ticks: u64,
    requests: f64,
    seconds: f64,
}

impl Cost {
    /// One more turn.
    pub(crate) fn add(&mut self, turn: Cost) {
        self.ticks += turn.ticks;
        self.requests += turn.requests;
        self.seconds += turn.seconds;
    }

    /// The server's CPU time for one request.
    pub(crate) fn us_per_request(&self) -> f64 {
        self.ticks as f64 * 10_000.0 / self.requests
    }

    /// The rate of the load.
    pub(crate) fn per_second(&self) -> f64 {
        self.requests / self.seconds
    }
}

/// GETs of the liveness path, and what they cost these processes.
pub(crate) fn cost(address: SocketAddr, pids: &[u32], seconds: u64) -> Result<Cost, String> {
    let ticks = || {
        pids.iter()
            .map(|pid| procfs::cpu_ticks(*pid))
            .sum::<Result<u64, String>>()
    };
    let before = ticks()?;
    let said = finish(start(
        Command::new("wrk"),
        "get.lua",
        &format!("http://{address}/healthz/liveness"),
        64,
        seconds,
    )?)?;
    let bad = said.number("bad_status")? + said.number("socket_errors")?;
    if bad > 0.0 {
        return Err(format!("{bad} of the GETs failed"));
    }
    Ok(Cost {
        ticks: ticks()? - before,
        requests: said.number("requests")?,
        seconds: said.number("us")? / 1e6,
    })
}
