//! What `/proc` says of a process: enough to tell a hang from starvation, and a process from a later one with
//! the same pid.

use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use nix::sys::stat::{major, minor};
use nix::unistd::{SysconfVar, sysconf};

/// The fields of `/proc/PID/stat` that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStat {
    /// The state: R, S, D, T, t, Z and so on.
    pub state: char,
    /// The CPU time, user and system, in clock ticks.
    pub cpu_ticks: u64,
    /// The start time, in clock ticks since boot. Together with the pid it names one process.
    pub started: u64,
}

impl ProcessStat {
    /// The CPU time as a duration.
    #[must_use]
    pub fn cpu_time(self) -> Duration {
        let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        let per_second = u64::try_from(per_second).unwrap_or(100).max(1);
        Duration::from_millis(self.cpu_ticks.saturating_mul(1000) / per_second)
    }
}

/// The memory that a process has in RAM, in bytes; `None` when it is gone or a zombie.
#[must_use]
pub fn resident_bytes(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    let page = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    (pages > 0).then_some(pages * u64::try_from(page).ok()?)
}

/// The number of descriptors that this process has open.
#[must_use]
pub fn open_descriptors() -> usize {
    // The descriptor that reads the directory is in it, too.
    fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count().saturating_sub(1))
}

/// Reads `/proc/PID/stat`.
///
/// # Errors
/// When the process is gone or the text is not what the kernel writes.
pub fn stat(pid: i32) -> io::Result<ProcessStat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text)
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has another format: {text:?}")))
}

/// A name for this process that no other process has, also after the machine was started again, and that
/// stays when the process executes another binary. `None` when `/proc` does not tell.
#[must_use]
pub fn own_name() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let pid = std::process::id();
    let started = stat(i32::try_from(pid).ok()?).ok()?.started;
    Some(format!("{}/{pid}/{started}", boot.trim()))
}

/// The state of each thread of a process: R, S, D and so on. Empty when the process is gone.
#[must_use]
pub fn thread_states(pid: i32) -> Vec<char> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let text = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("stat")).ok();
    threads
        .flatten()
        .filter_map(|entry| parse_stat(&text(entry)?).map(|stat| stat.state))
        .collect()
}

/// Whether this descriptor of a process holds a lock, as `fdinfo` says; `None` when that cannot be read.
#[must_use]
pub fn has_lock(pid: i32, fd: i32) -> Option<bool> {
    let text = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).ok()?;
    Some(text.lines().any(|line| line.starts_with("lock:")))
}

/// The process that holds a lock on this file through a descriptor of its own, as far as this user may look.
#[must_use]
pub fn lock_holder(file: &std::path::Path) -> Option<i32> {
    let file = fs::canonicalize(file).ok()?;
    let holds = |pid: i32| {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
        entries.flatten().any(|entry| {
            let number = || entry.file_name().to_str()?.parse().ok();
            fs::read_link(entry.path()).is_ok_and(|target| target == file)
                && number().is_some_and(|fd| has_lock(pid, fd) == Some(true))
        })
    };
    pids().find(|&pid| holds(pid))
}

/// The processes that hold a lock for reading on one of these bytes of a file, as the kernel's list of POSIX locks has
/// it. The file is not opened: closing it would drop this process's own locks on it. 0 stands for a process that has no
/// pid here.
#[must_use]
pub fn read_lock_holders(file: &std::path::Path, bytes: std::ops::RangeInclusive<u64>) -> Vec<i32> {
    let Ok(found) = fs::metadata(file) else {
        return Vec::new();
    };
    let list = fs::read_to_string("/proc/locks").unwrap_or_default();
    let holders = list
        .lines()
        .filter_map(|line| parse_read_lock(line, found.dev(), found.ino(), &bytes));
    let mut holders: Vec<i32> = holders.collect();
    holders.sort_unstable();
    holders.dedup();
    holders
}

/// `2: POSIX  ADVISORY  READ 27624 fd:01:1234 128 128`, where the last number may be `EOF`.
fn parse_read_lock(line: &str, dev: u64, ino: u64, bytes: &std::ops::RangeInclusive<u64>) -> Option<i32> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, "POSIX", _, "READ", pid, file, first, last] = fields[..] else {
        return None;
    };
    let expected = format!("{:02x}:{:02x}:{ino}", major(dev), minor(dev));
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().unwrap_or(u64::MAX));
    let overlaps = *bytes.start() <= last && first <= *bytes.end();
    if file == expected && overlaps {
        pid.parse().ok()
    } else {
        None
    }
}

/// The command name may hold blanks and parentheses, so fields are counted from the last `)`.
fn parse_stat(text: &str) -> Option<ProcessStat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(ProcessStat {
        state: fields.first()?.chars().next()?,
        cpu_ticks: number(11)? + number(12)?,
        started: number(19)?,
    })
}

/// The kernel function in which a process waits, such as `do_epoll_wait`; empty when it does not wait or that
/// cannot be read.
#[must_use]
pub fn wait_channel(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/wchan"))
        .map(|text| text.trim_matches('0').to_owned())
        .unwrap_or_default()
}

/// The command line with blanks between the arguments, at most 200 characters.
#[must_use]
pub fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    text.trim().chars().take(200).collect()
}

/// The pids of processes that listen at this address, as far as this user may look and as many as are found
/// within `at_most`: there may be thousands of processes with thousands of descriptors.
#[must_use]
pub fn listeners_at(address: SocketAddr, at_most: Duration) -> Vec<i32> {
    let began = Instant::now();
    let in_time = || began.elapsed() < at_most;
    let inodes = listening_inodes(address, in_time);
    let wanted: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    pids()
        .take_while(|_| in_time())
        .filter(|&pid| has_descriptor(pid, &wanted, in_time))
        .collect()
}

/// Whether this process listens at this address, as far as this user may look.
#[must_use]
pub fn listens_at(pid: i32, address: SocketAddr) -> bool {
    let inodes = listening_inodes(address, || true);
    let wanted: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    !wanted.is_empty() && has_descriptor(pid, &wanted, || true)
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn has_descriptor(pid: i32, wanted: &[String], in_time: impl Fn() -> bool) -> bool {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    let entries = entries.take_while(|_| in_time());
    let mut targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.any(|target| {
        target
            .to_str()
            .is_some_and(|text| wanted.iter().any(|inode| inode == text))
    })
}

fn listening_inodes(address: SocketAddr, in_time: impl Fn() -> bool) -> Vec<String> {
    let table = if address.is_ipv4() {
        "/proc/net/tcp"
    } else {
        "/proc/net/tcp6"
    };
    let Ok(table) = fs::File::open(table) else {
        return Vec::new();
    };
    let port = format!(":{:04X}", address.port());
    io::BufReader::new(table)
        .lines()
        .skip(1)
        .take_while(|_| in_time())
        .map_while(Result::ok)
        .filter_map(|line| listening_inode(&line, &port).map(str::to_owned))
        .collect()
}

/// Columns: slot, local address, remote address, state (0A: listening), …, inode.
fn listening_inode<'a>(line: &'a str, port: &str) -> Option<&'a str> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let listens = fields.get(1)?.ends_with(port) && *fields.get(3)? == "0A";
    listens.then(|| fields.get(9).copied()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "42 (a) b) R 1 42 42 0 -1 4194304 100 0 0 0 7 5 0 0 20 0 1 0 987654 1000000 100";
        assert_eq!(
            parse_stat(text),
            Some(ProcessStat {
                state: 'R',
                cpu_ticks: 12,
                started: 987_654
            })
        );
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn a_lock_counts_when_it_is_for_reading_these_bytes_of_this_file() {
        let dev = nix::sys::stat::makedev(0xfd, 1);
        let holder = |line: &str| parse_read_lock(line, dev, 77, &(123..=127));
        assert_eq!(
            holder("2: POSIX  ADVISORY  READ 27624 fd:01:77 124 124"),
            Some(27_624)
        );
        assert_eq!(holder("2: POSIX  ADVISORY  READ 7 fd:01:77 0 EOF"), Some(7));
        for other in [
            "2: POSIX  ADVISORY  READ 7 fd:01:77 128 128",
            "2: POSIX  ADVISORY  WRITE 7 fd:01:77 124 124",
            "2: POSIX  ADVISORY  READ 7 fd:01:78 124 124",
            "2: OFDLCK ADVISORY  READ -1 fd:01:77 124 124",
            "2: -> POSIX  ADVISORY  READ 7 fd:01:77 124 124",
        ] {
            assert_eq!(holder(other), None, "{other}");
        }
    }

    #[test]
    fn this_process_can_be_read_and_is_found_behind_its_port() {
        let own = nix::unistd::getpid().as_raw();
        assert!(stat(own).expect("readable").started > 0);
        assert!(resident_bytes(own).expect("in memory") > 4096);
        assert!(open_descriptors() >= 3);
        assert!(!command_line(own).is_empty());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        // A child that another test is about to start has the listener until it executes its program.
        let deadline = Instant::now() + Duration::from_secs(60);
        while listeners_at(address, Duration::from_secs(60)) != [own] {
            assert!(Instant::now() < deadline, "not found, or not alone");
        }
        assert!(
            listeners_at(address, Duration::ZERO).is_empty(),
            "the time was over"
        );
    }
}
