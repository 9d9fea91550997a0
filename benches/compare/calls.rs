//! What an order asks of the kernel and of the disk.

use std::fs;
use std::process::{Command, Stdio};

use crate::load;
use crate::server::Server;

/// For each order.
pub(crate) struct Calls {
    /// System calls of the master and its workers.
    pub(crate) system_calls: f64,
    /// Transactions, over all databases.
    pub(crate) commits: f64,
}

/// Where the header of the index of a WAL counts the transactions.
const COUNTER: std::ops::Range<usize> = 8..12;

/// Whether there is a perf to run.
pub(crate) fn find_perf() -> Result<(), String> {
    let found = Command::new("perf")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    found.map(drop).map_err(|error| {
        format!("perf, which counts system calls: {error}; install it (apt-get install linux-perf)")
    })
}

/// Those of a load of orders.
pub(crate) fn of_orders(server: &Server, clients: usize, seconds: u64) -> Result<Calls, String> {
    let counted = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    let pids: Vec<String> = server.everyone()?.iter().map(u32::to_string).collect();
    let mut perf = Command::new("perf");
    perf.args([
        "stat",
        "-x,",
        "-e",
        "raw_syscalls:sys_enter",
        "-p",
        &pids.join(","),
        "-o",
    ])
    .arg(counted.path())
    .args(["--", "wrk"]);
    let before = commits(server)?;
    let url = format!("http://{}", server.address());
    let said = load::finish(load::start(perf, "orders.lua", &url, clients, seconds)?)?;
    let orders = said.number("created")?;
    let text = fs::read_to_string(counted.path()).map_err(|error| error.to_string())?;
    let count = text
        .lines()
        .find(|line| line.contains("raw_syscalls:sys_enter"))
        .and_then(|line| line.split(',').next()?.parse::<f64>().ok());
    let count =
        count.ok_or_else(|| format!("perf counted no system calls (it needs to be root):\n{text}"))?;
    let commits = commits(server)?.into_iter().zip(before);
    let commits: u64 = commits.map(|(now, then)| u64::from(now.wrapping_sub(then))).sum();
    Ok(Calls {
        system_calls: count / orders,
        commits: commits as f64 / orders,
    })
}

/// How many transactions each database has seen since its files were opened.
fn commits(server: &Server) -> Result<Vec<u32>, String> {
    let files = ["orders", "inventory", "payments", "sandbox"];
    let count = |name: &str| {
        let path = server.data().join(format!("{name}.db-shm"));
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let counter = bytes.get(COUNTER).and_then(|bytes| bytes.try_into().ok());
        counter
            .map(u32::from_ne_bytes)
            .ok_or_else(|| format!("{} is too short", path.display()))
    };
    files.into_iter().map(count).collect()
}
