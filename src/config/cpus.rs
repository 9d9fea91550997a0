//! How many workers `auto` means: the CPUs that this process may run on, or the CPU time that its control
//! groups grant, whichever is less. Pure: the kernel's texts come in as arguments; [`super::cgroup`] says
//! which files they are from. After the kernel's documents cgroup-v2 ("cpu.max") and sched-bwc.

use super::settings::MOST_WORKERS;

/// The CPU time one control group grants, in microseconds per period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The directory of the control group, as messages name it.
    pub group: String,
    /// The CPU time that is granted in each period, in microseconds.
    pub quota_us: u64,
    /// The length of a period, in microseconds; never zero.
    pub period_us: u64,
}

/// The number of workers that `auto` means, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerCount {
    /// The number of workers.
    pub workers: u16,
    /// The reason, for the log: `2 CPUs by affinity, no cgroup quota: workers = 2`.
    pub reasoning: String,
}

/// One worker per CPU of `affinity`, or per CPU that the tightest quota grants if that is less. A quota is
/// rounded up, so that no granted time lies idle. There is at least one worker.
#[must_use]
pub fn decide(affinity: usize, quotas: &[Quota]) -> WorkerCount {
    let tightest = quotas
        .iter()
        .min_by(|one, other| one.cpus().total_cmp(&other.cpus()));
    let granted = tightest.map_or(usize::MAX, Quota::whole_cpus);
    let least = affinity.min(granted).max(1);
    let workers = u16::try_from(least).unwrap_or(MOST_WORKERS).min(MOST_WORKERS);
    let quota = match tightest {
        None => "no cgroup quota".to_owned(),
        Some(quota) => format!(
            "{:.2} CPUs by the cgroup quota of {}, rounded up",
            quota.cpus(),
            quota.group
        ),
    };
    let capped = if least > usize::from(MOST_WORKERS) {
        ", the most there can be"
    } else {
        ""
    };
    WorkerCount {
        workers,
        reasoning: format!("{affinity} CPUs by affinity, {quota}: workers = {workers}{capped}"),
    }
}

impl Quota {
    /// Reads `cpu.max` (`150000 100000`); `None` when it says `max` or makes no sense.
    #[must_use]
    pub fn from_v2(group: &str, cpu_max: &str) -> Option<Quota> {
        let mut words = cpu_max.split_whitespace();
        Quota::new(group, words.next()?, words.next()?)
    }

    /// Reads `cpu.cfs_quota_us` and `cpu.cfs_period_us`; `None` when the quota is -1 or makes no sense.
    #[must_use]
    pub fn from_v1(group: &str, quota_us: &str, period_us: &str) -> Option<Quota> {
        Quota::new(group, quota_us.trim(), period_us.trim())
    }

    fn new(group: &str, quota_us: &str, period_us: &str) -> Option<Quota> {
        let (quota_us, period_us) = (quota_us.parse().ok()?, period_us.parse().ok()?);
        (period_us > 0).then(|| Quota {
            group: group.to_owned(),
            quota_us,
            period_us,
        })
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a few CPUs' worth of microseconds, compared and printed with two digits"
    )]
    fn cpus(&self) -> f64 {
        self.quota_us as f64 / self.period_us as f64
    }

    fn whole_cpus(&self) -> usize {
        usize::try_from(self.quota_us.div_ceil(self.period_us)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quota(text: &str) -> Quota {
        Quota::from_v2("/sys/fs/cgroup/x", text).expect(text)
    }

    #[test]
    fn the_least_of_affinity_and_quota_decides_and_is_explained() {
        assert_eq!(decide(4, &[]).workers, 4);
        assert_eq!(
            decide(4, &[]).reasoning,
            "4 CPUs by affinity, no cgroup quota: workers = 4"
        );
        let decision = decide(4, &[quota("300000 100000"), quota("150000 100000")]);
        assert_eq!(decision.workers, 2);
        assert_eq!(
            decision.reasoning,
            "4 CPUs by affinity, 1.50 CPUs by the cgroup quota of /sys/fs/cgroup/x, rounded up: workers = 2"
        );
        assert_eq!(decide(2, &[quota("800000 100000")]).workers, 2);
    }

    #[test]
    fn there_is_always_a_worker_and_never_too_many() {
        assert_eq!(decide(0, &[]).workers, 1);
        assert_eq!(decide(8, &[quota("1000 100000")]).workers, 1);
        assert_eq!(decide(5_000, &[]).workers, MOST_WORKERS);
        assert_eq!(decide(100_000, &[]).workers, MOST_WORKERS);
    }

    #[test]
    fn no_quota_is_none() {
        assert_eq!(Quota::from_v2("/", "max 100000\n"), None);
        assert_eq!(Quota::from_v1("/", "-1\n", "100000\n"), None);
        assert_eq!(Quota::from_v2("/", "100000 0"), None);
        let one_and_a_half = Quota {
            group: "/".to_owned(),
            quota_us: 150_000,
            period_us: 100_000,
        };
        assert_eq!(
            Quota::from_v1("/", "150000\n", "100000\n"),
            Some(one_and_a_half.clone())
        );
        assert_eq!(Quota::from_v2("/", "150000 100000\n"), Some(one_and_a_half));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), quota in any::<u64>(), period in any::<u64>(), affinity in any::<usize>()) {
            prop_assert!(Quota::from_v2("/", &text).is_none_or(|quota| quota.period_us > 0));
            let quotas: Vec<_> = Quota::from_v2("/", &format!("{quota} {period}")).into_iter().collect();
            prop_assert!((1..=MOST_WORKERS).contains(&decide(affinity, &quotas).workers));
        }
    }
}
