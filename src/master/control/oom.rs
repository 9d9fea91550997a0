//! Whether the kernel killed for want of memory: its own count of such kills, looked at with every look at the workers. It must
//! not know who was killed: the counter does not say, so one that counts for the whole machine only makes it likely.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::Monotonic;
use crate::config::cgroup;

/// A kill that was counted that long ago is not what ended a worker now: a large process takes a moment to be taken apart.
const FRESH: Duration = Duration::from_secs(5);

/// Where the kernel counts its kills, and how many it had counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::master) struct OomWatch {
    counter: Counter,
    seen: u64,
    /// Kills that no death was ascribed to yet. Another binary begins without them.
    #[serde(skip)]
    fresh: Fresh,
}

/// How many, and when the last of them was noticed.
#[derive(Clone, Copy, Debug, Default)]
struct Fresh {
    kills: u64,
    at: Monotonic,
}

/// That the kernel killed for want of memory, as far as its counter tells whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::master) enum OomKill {
    /// Somebody in the workers' own control group.
    InGroup,
    /// Somebody on this machine, where no group counts.
    OnMachine,
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
        OomWatch::over(counter)
    }

    fn over(counter: Counter) -> OomWatch {
        OomWatch {
            seen: counter.read(),
            counter,
            fresh: Fresh::default(),
        }
    }

    /// Takes notice of what was counted since the last look; what is older than [`FRESH`] is forgotten.
    pub(in crate::master) fn look(&mut self, now: Monotonic) {
        let counted = self.counter.read();
        let more = counted.saturating_sub(std::mem::replace(&mut self.seen, counted));
        if more > 0 {
            self.fresh = Fresh {
                kills: self.fresh.kills.saturating_add(more),
                at: now,
            };
        } else if now.since(self.fresh.at) > FRESH {
            self.fresh.kills = 0;
        }
    }

    /// A worker was killed by nobody it knows: whether the kernel has just killed somebody. Each kill explains one death.
    pub(in crate::master) fn explains(&mut self, now: Monotonic) -> Option<OomKill> {
        self.look(now);
        self.fresh.kills = self.fresh.kills.checked_sub(1)?;
        Some(match self.counter {
            Counter::Group(_) => OomKill::InGroup,
            Counter::Machine => OomKill::OnMachine,
        })
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
        let mut watch = OomWatch::over(Counter::Group(directory.path().to_owned()));
        assert_eq!(
            (watch.seen, watch.limit(), watch.explains(at(1))),
            (1, None, None)
        );
        write("memory.events", "oom 3\noom_kill 3\n");
        write("memory.max", "1048576\n");
        assert_eq!(watch.limit(), Some(1_048_576));
        let told = [2, 2, 3].map(|second| watch.explains(at(second)));
        assert_eq!(
            told,
            [Some(OomKill::InGroup), Some(OomKill::InGroup), None],
            "each kill explains one death"
        );
    }

    fn at(second: u64) -> Monotonic {
        Monotonic(second * 1_000_000_000)
    }

    #[test]
    fn a_kill_of_some_time_ago_explains_nothing_and_one_seen_just_before_the_death_does() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |kills: u32| {
            fs::write(
                directory.path().join("memory.events"),
                format!("oom_kill {kills}\n"),
            )
            .expect("written");
        };
        write(0);
        let mut watch = OomWatch::over(Counter::Group(directory.path().to_owned()));
        write(1);
        (10..20).for_each(|second| watch.look(at(second)));
        assert_eq!(watch.explains(at(20)), None, "somebody else's, ten seconds ago");
        write(2);
        watch.look(at(30));
        assert_eq!(watch.explains(at(33)), Some(OomKill::InGroup));
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
        let watch = OomWatch::over(counter);
        assert_eq!((watch.seen, watch.limit()), (4, None));
        write(directory.path(), "memory.limit_in_bytes", "201326592\n");
        assert_eq!(watch.limit(), Some(201_326_592));
    }

    #[test]
    fn this_machine_can_be_asked() {
        let mut watch = OomWatch::begin();
        let _whatever_happened_meanwhile = watch.explains(crate::sys::clock::now());
        assert_eq!(oom_kills("nothing of the kind"), 0);
    }
}
