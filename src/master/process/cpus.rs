//! Reads what [`crate::config::cpus`] decides by: the affinity mask and the control groups' files.

use std::path::Path;

use nix::sched::sched_getaffinity;
use nix::unistd::Pid;

use crate::config::cgroup::{self, Cgroup, CgroupVersion};
use crate::config::cpus::{Quota, WorkerCount, decide};
use crate::config::{Settings, Workers};

/// How many workers these settings come to on this machine, now, and why.
#[must_use]
pub fn workers(settings: &Settings) -> WorkerCount {
    match settings.cluster.workers {
        Workers::Count(workers) => WorkerCount {
            workers,
            reasoning: format!("workers = {workers} by configuration"),
        },
        Workers::Auto => decide(affinity(), &quotas()),
    }
}

/// The mask cannot be read where there are more than 1024 CPUs; then the standard library's estimate is as
/// good.
fn affinity() -> usize {
    match sched_getaffinity(Pid::from_raw(0)) {
        Ok(mask) => (0..nix::sched::CpuSet::count())
            .filter(|&cpu| mask.is_set(cpu).unwrap_or(false))
            .count(),
        Err(_) => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

fn quotas() -> Vec<Quota> {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let groups = cgroup::groups("cpu", &text("/proc/self/cgroup"), &text("/proc/self/mountinfo"));
    groups.iter().filter_map(quota).collect()
}

/// A root group has no such file, and an unreadable one bounds nothing that we could know of.
fn quota(group: &Cgroup) -> Option<Quota> {
    let text = |file: &str| std::fs::read_to_string(Path::new(&group.dir).join(file)).ok();
    let name = group.dir.to_string_lossy();
    match group.version {
        CgroupVersion::V1 => Quota::from_v1(&name, &text("cpu.cfs_quota_us")?, &text("cpu.cfs_period_us")?),
        CgroupVersion::V2 => Quota::from_v2(&name, &text("cpu.max")?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_cpu_and_says_why() {
        let decision = workers(&Settings::default());
        assert!(decision.workers >= 1);
        let most = std::thread::available_parallelism().map_or(1, usize::from);
        assert!(
            usize::from(decision.workers) <= affinity().max(most),
            "{}",
            decision.reasoning
        );
        assert!(
            decision.reasoning.contains("by affinity"),
            "{}",
            decision.reasoning
        );
    }

    #[test]
    fn a_number_is_taken_as_it_is() {
        let mut settings = Settings::default();
        settings.cluster.workers = Workers::Count(7);
        assert_eq!(workers(&settings).workers, 7);
    }
}
