//! Whether the kernel killed for want of memory: its own count of such kills, before and after. It must not know who was killed.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::cgroup;

/// Where the kernel counts its kills, and how many it had counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::master) struct OomWatch {
    counter: Counter,
    seen: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Counter {
    /// Of this control group and those below it, or of this one alone where groups are of version 1.
    Group(PathBuf),
    /// Of the whole machine, where no group counts.
    Machine,
}

impl OomWatch {
    /// Finds the counter that is closest to this process.
    pub(in crate::master) fn begin() -> OomWatch {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let groups = cgroup::groups(
            "memory",
            &text("/proc/self/cgroup"),
            &text("/proc/self/mountinfo"),
        );
        let counter = groups
            .into_iter()
            .map(|group| group.dir)
            .find(|dir| COUNTERS.iter().any(|file| dir.join(file).exists()))
            .map_or(Counter::Machine, Counter::Group);
        let seen = counter.read();
        OomWatch { counter, seen }
    }

    /// Whether there were more since the last look.
    pub(in crate::master) fn killed_since(&mut self) -> bool {
        let now = self.counter.read();
        let before = std::mem::replace(&mut self.seen, now);
        now > before
    }

    /// The memory that the group may have, in bytes, if it is limited, by itself or with others.
    pub(in crate::master) fn limit(&self) -> Option<u64> {
        match &self.counter {
            Counter::Group(dir) => dir.ancestors().filter_map(limit_of).min(),
            Counter::Machine => None,
        }
    }
}

impl Counter {
    fn read(&self) -> u64 {
        let text = match self {
            Counter::Group(dir) => first_of(dir, COUNTERS),
            Counter::Machine => fs::read_to_string("/proc/vmstat").ok(),
        };
        text.map_or(0, |text| oom_kills(&text))
    }
}

/// What a group's kills are counted in, by version 2 and 1.
const COUNTERS: [&str; 2] = ["memory.events", "memory.oom_control"];
/// What a group's limit is written in, likewise.
const LIMITS: [&str; 2] = ["memory.max", "memory.limit_in_bytes"];
/// Version 1 has no word for "no limit" but a number that no machine has.
const NO_LIMIT: u64 = 1 << 60;

fn first_of(dir: &Path, files: [&str; 2]) -> Option<String> {
    files
        .iter()
        .find_map(|file| fs::read_to_string(dir.join(file)).ok())
}

/// `max` is no limit.
fn limit_of(dir: &Path) -> Option<u64> {
    let limit: u64 = first_of(dir, LIMITS)?.trim().parse().ok()?;
    (limit < NO_LIMIT).then_some(limit)
}

/// All of these files have lines of a name and a number.
fn oom_kills(text: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_counts_its_kills_and_says_its_limit() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).expect("written");
        write(
            "memory.events",
            "low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\noom_group_kill 0\n",
        );
        write("memory.max", "max\n");
        let counter = Counter::Group(directory.path().to_owned());
        let seen = counter.read();
        let mut watch = OomWatch { counter, seen };
        assert_eq!((seen, watch.limit(), watch.killed_since()), (1, None, false));
        write("memory.events", "oom 3\noom_kill 2\n");
        write("memory.max", "1048576\n");
        assert_eq!((watch.limit(), watch.killed_since()), (Some(1_048_576), true));
        assert!(!watch.killed_since(), "each kill is told once");
    }

    #[test]
    fn a_group_of_version_1_does_so_too_and_a_limit_further_up_holds() {
        let directory = tempfile::tempdir().expect("a directory");
        let inner = directory.path().join("inner");
        fs::create_dir(&inner).expect("made");
        let write = |dir: &Path, name: &str, text: &str| fs::write(dir.join(name), text).expect("written");
        write(
            &inner,
            "memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
        );
        write(&inner, "memory.limit_in_bytes", "9223372036854771712\n");
        let counter = Counter::Group(inner);
        let watch = OomWatch {
            seen: counter.read(),
            counter,
        };
        assert_eq!((watch.seen, watch.limit()), (4, None));
        write(directory.path(), "memory.limit_in_bytes", "201326592\n");
        assert_eq!(watch.limit(), Some(201_326_592));
    }

    #[test]
    fn this_machine_can_be_asked() {
        let mut watch = OomWatch::begin();
        let _whatever_happened_meanwhile = watch.killed_since();
        assert_eq!(oom_kills("nothing of the kind"), 0);
    }
}
