//! The lease of this host, where several hosts share the databases: it is renewed while a worker runs here,
//! the leases of the others are watched, and the orders of a host whose lease is over are taken over. Every
//! worker does all of it, so that nothing waits for one that hangs. [`lease_watch`](super::lease_watch)
//! judges.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::lease_watch::{AskedAt, LeaseWatch};
use super::liveness::LifeLock;
use super::steady_clock::SteadyClock;
use crate::base::ids::HostId;
use crate::shop::contract::{HostIdentity, HostRecord, HostState, KnownHosts, OtherHost, StorageError};
use crate::shop::http::Orders;
use crate::shop::orders::postgres::PostgresOrders;
use crate::sys::clock::since_boot_ms;
use crate::worker::Worker;

/// The database is asked so often in one lease, by each worker,
const LOOKS: u32 = 10;
/// and the lease renewed so often, by one of them.
const RENEWALS: u32 = 5;
/// An answer that took longer does not say what the server's clock shows.
const SURE_MS: u64 = 100;
/// A host that was silent for so long is forgotten,
const FORGOTTEN: Duration = Duration::from_secs(24 * 3_600);
/// which is looked for so often.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);

/// What a worker needs to renew the lease of its host.
#[derive(Clone)]
pub(in crate::shop) struct HostLease {
    pub(in crate::shop) repository: PostgresOrders,
    pub(in crate::shop) own: HostIdentity,
    pub(in crate::shop) lease: Duration,
    pub(in crate::shop) clock: Arc<SteadyClock>,
    /// What is known of the other hosts, for whoever asks.
    pub(in crate::shop) others: watch::Sender<Vec<OtherHost>>,
}

impl HostLease {
    /// Renews and watches until this worker ends. Never returns.
    pub(in crate::shop) async fn run(self, orders: Orders, worker: Worker) {
        let mut looks = tokio::time::interval(self.lease / LOOKS);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = LeaseWatch::new(self.own.host, self.lease);
        let mut news = LeaseNews::default();
        let mut takeover = HostTakeover::new(orders, self.lease);
        let mut forget_next = Duration::ZERO;
        loop {
            looks.tick().await;
            let asked = since_boot_ms();
            let known = match self.renew().await {
                Ok(known) => known,
                Err(error) => {
                    watch.failed();
                    tracing::debug!(%error, "the lease of this host was not renewed");
                    continue;
                }
            };
            let at = AskedAt {
                asked: Duration::from_millis(asked),
                answered: Duration::from_millis(since_boot_ms()),
            };
            self.see_clock(at, &known);
            if at.asked >= forget_next {
                tokio::spawn(self.clone().forget_gone_hosts());
                forget_next = at.asked + FORGET_EVERY;
            }
            if self.is_displaced(&known) && !worker.is_orphaned() {
                return worker.fail(
                    "another data directory goes on as this host: one of the two is a copy; stop it, and remove \
                     host.id and store.json from it",
                );
            }
            let over = watch.answered(at, &known);
            news.tell(&known.hosts, &over, self.own.host);
            self.show_others(&known.hosts, &over);
            takeover.begin(over, at.answered);
        }
    }

    async fn renew(&self) -> Result<KnownHosts, StorageError> {
        let renewed = self
            .repository
            .renew_lease(&self.own, self.lease, self.lease / RENEWALS);
        let late = || StorageError::Unavailable("the database did not answer in time".to_owned());
        let renewed = tokio::time::timeout(self.lease / 2, renewed).await;
        renewed.unwrap_or_else(|_| Err(late()))
    }

    /// The clock of the server is that of all hosts.
    fn see_clock(&self, at: AskedAt, known: &KnownHosts) {
        let took = at.answered.saturating_sub(at.asked);
        if took <= Duration::from_millis(SURE_MS) {
            self.clock.follow_server(known.server_ms, at.asked + took / 2);
        }
    }

    /// Whether the host has another master than this worker's.
    fn is_displaced(&self, known: &KnownHosts) -> bool {
        let mut own = known.hosts.iter().map(|record| &record.identity);
        own.find(|identity| identity.host == self.own.host)
            .is_some_and(|identity| {
                (identity.incarnation, identity.master) != (self.own.incarnation, self.own.master)
            })
    }

    fn show_others(&self, records: &[HostRecord], over: &[HostId]) {
        let others = records
            .iter()
            .filter(|record| record.identity.host != self.own.host);
        let others: Vec<OtherHost> = others
            .map(|record| OtherHost {
                host: record.identity.host,
                name: record.identity.name.clone(),
                state: match record.has_left {
                    true => HostState::Left,
                    false if over.contains(&record.identity.host) => HostState::Silent,
                    false => HostState::Alive,
                },
            })
            .collect();
        self.others.send_if_modified(|known| {
            let is_news = *known != others;
            *known = others;
            is_news
        });
    }

    /// Gives the lease back, when no other worker of this host is left. To be called by a worker that writes
    /// nothing any more.
    pub(in crate::shop) async fn leave_as_the_last(&self, lives: &LifeLock) {
        // Of several that leave at once, the one that lets go last sees that it is alone.
        if lives.let_go_as_the_last().unwrap_or(false)
            && let Err(error) = self.repository.leave(&self.own).await
        {
            tracing::debug!(%error, "the lease of this host was not given back; it ends by itself");
        }
    }

    /// This host and the others, in one line; nothing where there is no other.
    pub(in crate::shop) fn note(&self) -> Option<String> {
        told(&self.own, &self.others.borrow())
    }

    /// Forgets hosts that have been gone for long.
    async fn forget_gone_hosts(self) {
        if let Err(error) = self.repository.forget_hosts(FORGOTTEN).await {
            tracing::debug!(%error, "hosts that are gone were not forgotten; it will be tried again");
        }
    }
}

/// The takeover of what dead hosts own. It may take long, as when a service cannot be reached to raise its
/// fence, and the lease of this host is renewed meanwhile.
struct HostTakeover {
    orders: Orders,
    lease: Duration,
    under_way: Option<JoinHandle<()>>,
    /// The hosts that were looked at, and until when they need no other look: a host may come back for a moment.
    settled: BTreeMap<HostId, Duration>,
}

impl HostTakeover {
    fn new(orders: Orders, lease: Duration) -> HostTakeover {
        HostTakeover {
            orders,
            lease,
            under_way: None,
            settled: BTreeMap::new(),
        }
    }

    /// Takes over what those hosts own, unless that was done within a lease, or is under way.
    fn begin(&mut self, over: Vec<HostId>, now: Duration) {
        self.settled
            .retain(|host, until| over.contains(host) && *until > now);
        let is_busy = self.under_way.as_ref().is_some_and(|task| !task.is_finished());
        let due: Vec<HostId> = over
            .into_iter()
            .filter(|host| !self.settled.contains_key(host))
            .collect();
        if is_busy || due.is_empty() {
            return;
        }
        self.settled
            .extend(due.iter().map(|host| (*host, now + self.lease)));
        let orders = self.orders.clone();
        // Never cancelled: a saga that was claimed must be run.
        self.under_way = Some(tokio::spawn(async move {
            orders.take_over_dead(|life| due.contains(&life.host)).await;
        }));
    }
}

/// What was logged of other hosts.
#[derive(Debug, Default)]
struct LeaseNews {
    known: BTreeMap<HostId, bool>,
}

impl LeaseNews {
    fn tell(&mut self, records: &[HostRecord], over: &[HostId], own: HostId) {
        let mut now = BTreeMap::new();
        for record in records.iter().filter(|record| record.identity.host != own) {
            let HostIdentity { host, name, .. } = &record.identity;
            let is_gone = over.contains(host);
            let was_gone = self.known.get(host).copied();
            if is_gone && was_gone == Some(false) && !record.has_left {
                tracing::warn!(
                    host = %host, silent_ms = record.silent_ms,
                    "the host {name} is silent: its unfinished orders are taken over"
                );
            } else if !is_gone && was_gone == Some(true) {
                tracing::info!(host = %host, "the host {name} is there again");
            }
            now.insert(*host, is_gone);
        }
        self.known = now;
    }
}

/// This host and the others, in one line; nothing where there is no other.
fn told(own: &HostIdentity, others: &[OtherHost]) -> Option<String> {
    let others: Vec<String> = others
        .iter()
        .map(|other| {
            let state = match other.state {
                HostState::Alive => "alive",
                HostState::Silent => "silent, its orders are taken over",
                HostState::Left => "has left",
            };
            format!("{} ({}) {state}", shown(other.host), other.name)
        })
        .collect();
    (!others.is_empty()).then(|| {
        let own = format!("{} ({}) is this one", shown(own.host), own.name);
        format!("hosts: {own}, {}", others.join(", "))
    })
}

/// A host as people see it.
fn shown(host: HostId) -> String {
    match host.is_named() {
        true => host.to_string(),
        false => "the first host".to_owned(),
    }
}
