//! Which of the other hosts are dead, as far as leases can tell. Pure: answers of the database come in with
//! the time at which they were asked for and received, and the hosts whose lease is over go out.
//!
//! A lease says nothing about safety: a host that is taken for dead may live. What it may have under way is
//! refused by the fences that are raised before its orders are claimed. A lease only says when to claim.
//!
//! A host is taken for dead when two clocks agree. By the clock of the database, which is the same for all,
//! the last renewal is older than the lease. And this process itself has seen no renewal for a whole lease,
//! without a break in which it saw nothing at all. So nobody is taken for dead because the database was
//! away, was restarted or had its clock set forward, nor because this process was stopped: after each of
//! them, every host has a whole lease to renew.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::ids::HostId;
use crate::shop::contract::{HostRecord, KnownHosts};

/// When an answer was asked for and when it came, as times since the machine was started.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedAt {
    pub(super) asked: Duration,
    pub(super) answered: Duration,
}

/// What one process has seen of the leases.
#[derive(Debug)]
pub(super) struct LeaseWatch {
    own: HostId,
    /// More time between two answers is a break.
    longest_gap: Duration,
    last_answer: Option<Duration>,
    seen: BTreeMap<HostId, SeenRenewal>,
}

/// The latest renewal of a host that was seen.
#[derive(Clone, Copy, Debug)]
struct SeenRenewal {
    renewals: u64,
    /// When it was first seen, in the same span without a break.
    since: Duration,
}

impl LeaseWatch {
    /// Of a process on that host whose own lease has that length.
    pub(super) fn new(own: HostId, lease: Duration) -> LeaseWatch {
        LeaseWatch {
            own,
            longest_gap: lease / 2,
            last_answer: None,
            seen: BTreeMap::new(),
        }
    }

    /// The database did not answer.
    pub(super) fn failed(&mut self) {
        self.last_answer = None;
        self.seen.clear();
    }

    /// The hosts whose lease is over.
    pub(super) fn answered(&mut self, at: AskedAt, known: &KnownHosts) -> Vec<HostId> {
        let is_late = |since: Duration| at.answered.saturating_sub(since) > self.longest_gap;
        if self.last_answer.is_some_and(is_late) || is_late(at.asked) {
            self.failed();
        }
        self.last_answer = Some(at.answered);
        let others = known
            .hosts
            .iter()
            .filter(|record| record.identity.host != self.own);
        self.seen
            .retain(|host, _| known.hosts.iter().any(|record| record.identity.host == *host));
        let mut over = Vec::new();
        for record in others {
            let fresh = SeenRenewal {
                renewals: record.renewals,
                since: at.answered,
            };
            let seen = self.seen.entry(record.identity.host).or_insert(fresh);
            if seen.renewals != record.renewals {
                *seen = fresh;
            }
            let unchanged = at.asked.saturating_sub(seen.since);
            if is_over(record, unchanged, known.server_up) {
                over.push(record.identity.host);
            }
        }
        over
    }
}

/// Whether a lease is over that this process has seen unchanged for so long.
fn is_over(record: &HostRecord, unchanged: Duration, server_up: Duration) -> bool {
    if record.has_left {
        return true;
    }
    let Some(lease) = record.lease else {
        return false;
    };
    // A renewal in the future was dated before the server's clock was set back: its age is not known.
    let by_server = u64::try_from(record.silent_ms).map_or(true, |ms| Duration::from_millis(ms) >= lease);
    by_server && unchanged >= lease && server_up >= lease
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::Incarnation;
    use crate::shop::contract::HostIdentity;

    const OWN: HostId = HostId::of(1);
    const OTHER: HostId = HostId::of(2);
    const LEASE: Duration = Duration::from_secs(5);
    const HOUR: Duration = Duration::from_secs(3_600);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn record(host: HostId, renewals: u64, silent_ms: i64) -> HostRecord {
        HostRecord {
            identity: HostIdentity {
                host,
                name: String::new(),
                incarnation: Incarnation(1),
                master: 1,
            },
            renewals,
            silent_ms,
            lease: Some(LEASE),
            has_left: false,
        }
    }

    fn known(records: &[HostRecord]) -> KnownHosts {
        KnownHosts {
            hosts: records.to_vec(),
            server_up: HOUR,
            server_ms: 0,
        }
    }

    /// Asks every half second from `from` to `to`, with what the database says then; when a host was first
    /// taken for dead.
    fn first_dead(
        watch: &mut LeaseWatch,
        (from, to): (u64, u64),
        says: impl Fn(u64) -> KnownHosts,
    ) -> Option<u64> {
        (from..=to).step_by(500).find(|&now| {
            let at = AskedAt {
                asked: ms(now),
                answered: ms(now + 5),
            };
            !watch.answered(at, &says(now)).is_empty()
        })
    }

    /// A host that was silent from that time on.
    fn silent_since(at: u64) -> impl Fn(u64) -> KnownHosts {
        move |now| {
            let renewed = now.min(at) / 1_000 * 1_000;
            let silent = i64::try_from(now - renewed).unwrap();
            known(&[record(OWN, 1, 9_000), record(OTHER, renewed / 1_000, silent)])
        }
    }

    #[test]
    fn a_silent_host_is_taken_for_dead_after_its_lease_and_little_more() {
        let mut watch = LeaseWatch::new(OWN, LEASE);
        assert_eq!(first_dead(&mut watch, (0, 60_000), silent_since(u64::MAX)), None);
        let dead = first_dead(&mut watch, (60_500, 90_000), silent_since(61_000)).unwrap();
        assert!((66_000..=67_000).contains(&dead), "{dead}");
    }

    #[test]
    fn whoever_begins_to_look_waits_a_whole_lease() {
        let mut watch = LeaseWatch::new(OWN, LEASE);
        let dead = first_dead(&mut watch, (100_000, 200_000), silent_since(1_000)).unwrap();
        assert!((105_000..=106_000).contains(&dead), "{dead}");
    }

    #[test]
    fn after_an_outage_of_the_database_every_host_has_a_whole_lease() {
        let mut watch = LeaseWatch::new(OWN, LEASE);
        assert_eq!(first_dead(&mut watch, (0, 10_000), silent_since(u64::MAX)), None);
        watch.failed();
        // Nobody could renew for a minute, and the other host takes three seconds to come back.
        let says = |now: u64| {
            let renewed = if now < 73_000 { 10_000 } else { now };
            let silent = i64::try_from(now - renewed).unwrap();
            known(&[record(OTHER, renewed, silent)])
        };
        assert_eq!(first_dead(&mut watch, (70_000, 120_000), says), None);
    }

    #[test]
    fn a_process_that_was_stopped_or_answered_late_begins_anew() {
        let mut watch = LeaseWatch::new(OWN, LEASE);
        assert_eq!(first_dead(&mut watch, (0, 10_000), silent_since(u64::MAX)), None);
        let stopped = first_dead(&mut watch, (40_000, 60_000), silent_since(10_000)).unwrap();
        assert!(stopped >= 45_000, "{stopped}");
        let late = AskedAt {
            asked: ms(60_500),
            answered: ms(64_000),
        };
        assert_eq!(watch.answered(late, &silent_since(10_000)(60_500)), []);
    }

    #[test]
    fn a_server_that_was_just_started_says_nothing() {
        let mut watch = LeaseWatch::new(OWN, LEASE);
        let says = |now: u64| KnownHosts {
            server_up: ms(now.saturating_sub(18_000)),
            ..silent_since(1_000)(now)
        };
        assert_eq!(first_dead(&mut watch, (0, 60_000), says), Some(23_000));
    }

    #[test]
    fn no_step_of_the_servers_clock_kills_anybody_or_keeps_the_dead_alive() {
        let step = i64::try_from(HOUR.as_millis()).unwrap();
        for step in [step, -step] {
            let mut watch = LeaseWatch::new(OWN, LEASE);
            // Living, seen through a clock that was set before its renewals.
            let lives = |now: u64| known(&[record(OTHER, now, step)]);
            assert_eq!(first_dead(&mut watch, (0, 60_000), lives), None);
            let mut watch = LeaseWatch::new(OWN, LEASE);
            let dead = |now: u64| known(&[record(OTHER, 7, i64::try_from(now).unwrap() + step)]);
            assert!(first_dead(&mut watch, (0, 60_000), dead).is_some_and(|at| at <= 6_000));
        }
    }

    #[test]
    fn who_has_left_is_gone_at_once_and_who_has_no_lease_is_never_judged() {
        let mut watch = LeaseWatch::new(OWN, LEASE);
        let left = HostRecord {
            has_left: true,
            ..record(OTHER, 3, 0)
        };
        let without = HostRecord {
            lease: None,
            ..record(HostId::UNNAMED, 0, 900_000)
        };
        let at = AskedAt {
            asked: ms(0),
            answered: ms(1),
        };
        assert_eq!(watch.answered(at, &known(&[left, without.clone()])), [OTHER]);
        let says = |_: u64| known(std::slice::from_ref(&without));
        assert_eq!(first_dead(&mut watch, (500, 60_000), says), None);
    }
}
