//! The pool's policy from the settings. Only this file knows both; they do not know each other.

use crate::base::backoff::Backoff;
use crate::config::Settings;
use crate::pool::Policy;

/// The policy of a cluster of `workers` slots, which is the settings' own number or what `auto` came to.
#[must_use]
pub fn policy(settings: &Settings, workers: u16) -> Policy {
    let cluster = &settings.cluster;
    Policy {
        workers,
        heartbeat_interval: cluster.heartbeat_interval,
        late_after: settings.late_after(),
        heartbeat_timeout: cluster.heartbeat_timeout,
        lock_hold_timeout: cluster.lock_hold_timeout,
        ready_timeout: cluster.ready_timeout,
        stop_delay: cluster.stop_delay,
        drain_timeout: cluster.drain_timeout,
        bake_time: cluster.bake_time,
        early_death: cluster.early_death,
        backoff: Backoff {
            first: cluster.backoff_first,
            longest: cluster.backoff_longest,
        },
        restart_limit: cluster.restart_limit,
        restart_window: cluster.restart_window,
        max_draining: cluster.max_draining(workers),
        max_requests: cluster.max_requests,
        max_rss: cluster.max_rss,
        max_age: cluster.max_age,
        runs_programs: settings.run.is_asked_for(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn two_generations_may_drain_unless_told_otherwise() {
        let mut settings = Settings::default();
        assert_eq!(policy(&settings, 2).max_draining, 16);
        assert_eq!(policy(&settings, 100).max_draining, 200);
        settings.cluster.max_draining = Some(3);
        assert_eq!(policy(&settings, 100).max_draining, 3);
    }

    #[test]
    fn the_defaults_are_those_of_the_key_table() {
        let policy = policy(&Settings::default(), 4);
        assert_eq!(policy.workers, 4);
        assert_eq!(policy.heartbeat_timeout, Duration::from_secs(5));
        assert_eq!(policy.lock_hold_timeout, Duration::from_millis(400));
        assert_eq!(policy.backoff.longest, Duration::from_secs(5));
        assert_eq!(
            (policy.restart_limit, policy.restart_window),
            (10, Duration::from_secs(60))
        );
    }
}
