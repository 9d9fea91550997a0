//! Whether the kernel's OOM killer has killed a process: its counter is read at each sampling of the workers.
//! The counter does not name the process; a counter of the whole machine therefore only makes it likely that
//! a worker was killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::Monotonic;
use crate::config::cgroup;

/// A kill that was counted longer ago than this does not explain a death now. A large process takes a moment
/// to exit.
const RECENT: Duration = Duration::from_secs(5);

/// The counter of the OOM killer, and its last value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::master) struct OomMonitor {
    counter: OomCounter,
    seen: u64,
    /// Kills that explain no death yet. A new master binary starts with none.
    #[serde(skip)]
    recent: RecentKills,
}

/// The number of such kills, and when the last of them was noticed.
#[derive(Clone, Copy, Debug, Default)]
struct RecentKills {
    kills: u64,
    at: Monotonic,
}

/// A kill by the OOM killer, with what its counter covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::master) enum OomKill {
    /// The killed process was in the workers' control group.
    InGroup,
    /// The killed process was on this machine; no control group counts here.
    OnMachine,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum OomCounter {
    /// The counter of this control group and those below it, or of this one alone where groups are of version
    /// 1.
    Group(PathBuf),
    /// The counter of the whole machine, where no group counts.
    Machine,
}

impl OomMonitor {
    /// Finds the counter that is closest to this process.
    pub(in crate::master) fn new() -> OomMonitor {
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
            .map_or(OomCounter::Machine, OomCounter::Group);
        OomMonitor::over(counter)
    }

    fn over(counter: OomCounter) -> OomMonitor {
        OomMonitor {
            seen: counter.read(),
            counter,
            recent: RecentKills::default(),
        }
    }

    /// Registers the kills since the last call; kills that are older than [`RECENT`] are forgotten.
    pub(in crate::master) fn look(&mut self, now: Monotonic) {
        let counted = self.counter.read();
        let more = counted.saturating_sub(std::mem::replace(&mut self.seen, counted));
        if more > 0 {
            self.recent = RecentKills {
                kills: self.recent.kills.saturating_add(more),
                at: now,
            };
        } else if now.since(self.recent.at) > RECENT {
            self.recent.kills = 0;
        }
    }

    /// Whether a kill explains the death of a worker that an unknown sender has killed. Each kill explains
    /// one death.
    pub(in crate::master) fn explains(&mut self, now: Monotonic) -> Option<OomKill> {
        self.look(now);
        self.recent.kills = self.recent.kills.checked_sub(1)?;
        Some(match self.counter {
            OomCounter::Group(_) => OomKill::InGroup,
            OomCounter::Machine => OomKill::OnMachine,
        })
    }

    /// The memory that the group may have, in bytes, if it is limited, by itself or with others.
    pub(in crate::master) fn limit(&self) -> Option<u64> {
        match &self.counter {
            OomCounter::Group(dir) => dir.ancestors().filter_map(limit_of).min(),
            OomCounter::Machine => None,
        }
    }
}

impl OomCounter {
    fn read(&self) -> u64 {
        let text = match self {
            OomCounter::Group(dir) => first_of(dir, COUNTERS),
            OomCounter::Machine => fs::read_to_string("/proc/vmstat").ok(),
        };
        text.map_or(0, |text| oom_kills(&text))
    }
}

/// The file with a group's counter, of version 2 and 1.
const COUNTERS: [&str; 2] = ["memory.events", "memory.oom_control"];
/// The file with a group's limit, of version 2 and 1.
const LIMITS: [&str; 2] = ["memory.max", "memory.limit_in_bytes"];
/// Version 1 writes "no limit" as a number larger than any machine's memory.
const NO_LIMIT: u64 = 1 << 60;

fn first_of(dir: &Path, files: [&str; 2]) -> Option<String> {
    files
        .iter()
        .find_map(|file| fs::read_to_string(dir.join(file)).ok())
}

/// The limit of a group; `None` when it has none.
fn limit_of(dir: &Path) -> Option<u64> {
    let limit: u64 = first_of(dir, LIMITS)?.trim().parse().ok()?;
    (limit < NO_LIMIT).then_some(limit)
}

/// The value of `oom_kill` in a file with lines of a name and a number.
fn oom_kills(text: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_a_counter_of_kills_and_a_limit() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).expect("written");
        write(
            "memory.events",
            "low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\noom_group_kill 0\n",
        );
        write("memory.max", "max\n");
        let mut monitor = OomMonitor::over(OomCounter::Group(directory.path().to_owned()));
        assert_eq!(
            (monitor.seen, monitor.limit(), monitor.explains(at(1))),
            (1, None, None)
        );
        write("memory.events", "oom 3\noom_kill 3\n");
        write("memory.max", "1048576\n");
        assert_eq!(monitor.limit(), Some(1_048_576));
        let explained = [2, 2, 3].map(|second| monitor.explains(at(second)));
        assert_eq!(
            explained,
            [Some(OomKill::InGroup), Some(OomKill::InGroup), None],
            "each kill explains one death"
        );
    }

    fn at(second: u64) -> Monotonic {
        Monotonic(second * 1_000_000_000)
    }

    #[test]
    fn only_a_recent_kill_explains_a_death() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |kills: u32| {
            fs::write(
                directory.path().join("memory.events"),
                format!("oom_kill {kills}\n"),
            )
            .expect("written");
        };
        write(0);
        let mut monitor = OomMonitor::over(OomCounter::Group(directory.path().to_owned()));
        write(1);
        (10..20).for_each(|second| monitor.look(at(second)));
        assert_eq!(monitor.explains(at(20)), None, "it was ten seconds ago");
        write(2);
        monitor.look(at(30));
        assert_eq!(monitor.explains(at(33)), Some(OomKill::InGroup));
    }

    #[test]
    fn groups_of_version_1_are_read_and_the_limit_of_a_parent_holds() {
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
        let counter = OomCounter::Group(inner);
        let monitor = OomMonitor::over(counter);
        assert_eq!((monitor.seen, monitor.limit()), (4, None));
        write(directory.path(), "memory.limit_in_bytes", "201326592\n");
        assert_eq!(monitor.limit(), Some(201_326_592));
    }

    #[test]
    fn the_counter_of_this_machine_can_be_read() {
        let mut monitor = OomMonitor::new();
        let _any_result = monitor.explains(crate::sys::clock::now());
        assert_eq!(oom_kills("nothing of the kind"), 0);
    }
}
