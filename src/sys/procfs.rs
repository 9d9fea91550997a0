//! What `/proc` says of a process: enough to tell a hang from starvation, and a process from a later one with
//! the same pid.

use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, BufRead, Read};
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

/// A process's place among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The pid of its parent; 0 when that is not of this pid namespace.
    pub parent: i32,
    /// Its process group, named by the pid of the group's first process.
    pub group: i32,
    /// Its session, named by the pid of the session's first process.
    pub session: i32,
}

/// The parent, the group and the session of a process; `None` when it is gone.
#[must_use]
pub fn lineage(pid: i32) -> Option<Lineage> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_lineage(&text)
}

fn parse_lineage(text: &str) -> Option<Lineage> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse().ok();
    Some(Lineage {
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
    })
}

/// The pids of the children of a process, those included that have exited and were not reaped. A child that
/// exits at this moment may hide another one: ask again when it matters.
#[must_use]
pub fn children(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let of_thread = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("children"));
    let texts: io::Result<Vec<String>> = threads.flatten().map(of_thread).collect();
    match texts {
        Ok(texts) => {
            let words = texts.iter().flat_map(|text| text.split_whitespace());
            words.filter_map(|word| word.parse().ok()).collect()
        }
        // A kernel without these lists, or a thread that has just ended.
        Err(_) => pids()
            .filter(|&other| lineage(other).is_some_and(|found| found.parent == pid))
            .collect(),
    }
}

/// The longest environment that is read, in bytes. The kernel takes no longer one by default.
const MAX_ENVIRONMENT: u64 = 8 << 20;

/// So often a process that is in the middle of `exec` is looked at again, a millisecond apart.
const EXEC_RETRIES: u32 = 20;

/// The value of a variable in the environment that a process was started with; `Ok(None)` when it has no such
/// variable. A process in the middle of `exec` seems to have no environment: it is waited for, 20 ms at most.
///
/// # Errors
/// When the process is gone, or this user may not look.
pub fn variable(pid: i32, name: &str) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    for _ in 0..EXEC_RETRIES {
        let file = fs::File::open(format!("/proc/{pid}/environ"))?;
        file.take(MAX_ENVIRONMENT).read_to_end(&mut bytes)?;
        if !bytes.is_empty() || !is_in_exec(pid) {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut entries = bytes.split(|byte| *byte == 0);
    let value = entries.find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    Ok(value.map(<[u8]>::to_vec))
}

/// Whether a process has the memory of its new program, and not yet its environment: the kernel wakes the
/// parent of a `vfork` in between.
fn is_in_exec(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|text| is_stat_in_exec(&text))
}

/// Fields 23 (`vsize`, zero for kernel threads and zombies) and 51 (`env_end`) of `proc_pid_stat(5)`.
fn is_stat_in_exec(text: &str) -> bool {
    let Some((_, rest)) = text.rsplit_once(") ") else {
        return false;
    };
    // The first word behind the name is field 3.
    let field = |number: usize| rest.split_whitespace().nth(number - 3)?.parse::<u64>().ok();
    field(23).is_some_and(|size| size > 0) && field(51) == Some(0)
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

/// The ids of the threads of a process. Empty when the process is gone.
#[must_use]
pub fn threads(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    threads
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The state of each thread of a process: R, S, D and so on. Empty when the process is gone.
#[must_use]
pub fn thread_states(pid: i32) -> Vec<char> {
    let text = |thread: &i32| fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).ok();
    threads(pid)
        .iter()
        .filter_map(|thread| parse_stat(&text(thread)?).map(|stat| stat.state))
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

/// The processes that hold a lock for reading on one of these bytes of a file, as the kernel's list of POSIX
/// locks has it. The file is not opened: closing it would drop this process's own locks on it. 0 stands for a
/// process that has no pid here.
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

/// The name of a process as `ps -o comm` has it, printable; `None` when it is gone.
#[must_use]
pub fn name(pid: i32) -> Option<String> {
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    let name = String::from_utf8_lossy(&name);
    let printable = name
        .trim_end()
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char });
    Some(printable.collect())
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

/// The pids of all processes that can be seen.
pub fn pids() -> impl Iterator<Item = i32> {
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
        let lineage = Lineage {
            parent: 1,
            group: 42,
            session: 43,
        };
        assert_eq!(parse_lineage("42 (a) b) R 1 42 43 0 -1"), Some(lineage));
    }

    #[test]
    fn a_process_in_the_middle_of_exec_is_told_from_one_without_an_environment() {
        let line = |size: u64, environment_end: u64| {
            let before = "0 ".repeat(22 - 3);
            let between = "1 ".repeat(50 - 23);
            format!("42 (a) b) S {before}{size} {between}{environment_end} 0")
        };
        assert!(is_stat_in_exec(&line(4096, 0)));
        assert!(!is_stat_in_exec(&line(4096, 140_000)), "its program runs");
        assert!(!is_stat_in_exec(&line(0, 0)), "a kernel thread, or a zombie");
        assert!(!is_stat_in_exec("nonsense"));
        let own = fs::read_to_string("/proc/self/stat").expect("readable");
        assert!(!is_stat_in_exec(&own));
    }

    #[test]
    fn a_child_is_found_with_its_environment_and_its_place() {
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .env("CLUSTER_LIFE", "1/0/7")
            .spawn()
            .expect("started");
        let pid = i32::try_from(child.id()).expect("a pid");
        let own = nix::unistd::getpid().as_raw();
        assert!(children(own).contains(&pid));
        let found = |name: &str| variable(pid, name).expect("it lives");
        assert_eq!(found("CLUSTER_LIFE"), Some(b"1/0/7".to_vec()));
        assert_eq!(found("CLUSTER_LIF"), None);
        let session = nix::unistd::getsid(None).expect("a session").as_raw();
        let found = lineage(pid).expect("it lives");
        assert_eq!((found.parent, found.session), (own, session));
        child.kill().expect("killed");
        child.wait().expect("reaped");
        assert_eq!(lineage(pid), None);
        assert!(children(own).iter().all(|child| *child != pid));
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
