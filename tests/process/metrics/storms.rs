//! Kills, reloads and scaling under load: nothing goes backwards, and nothing is lost but what the victims
//! had open.

use nix::sys::signal::Signal;

use super::load::{Counted, Load, Watched};
use crate::common::{Cluster, Plan, Scrape, admin, watched};

const ROUTE: &str = "/inventory";

/// Four workers that may die as often as they like.
fn sturdy() -> Plan {
    watched().replace("workers = 2", "workers = 4").with(
        "[cluster]",
        "early_death = \"10ms\"\nrestart_limit = 10000\nbackoff_first = \"1ms\"",
    )
}

fn never_fell(watched: &Watched, may_fail: usize) {
    assert!(watched.fallen.is_empty(), "{:#?}", watched.fallen);
    assert!(watched.scrapes > 0, "nobody scraped");
    assert!(watched.failed.len() <= may_fail, "{:#?}", watched.failed);
}

fn settled(cluster: &Cluster, counted: Counted) {
    let scrape = Scrape::of(admin(cluster));
    let result = scrape.answers(ROUTE, "GET", "2xx");
    assert!(
        (counted.answered..=counted.answered + counted.failed).contains(&result),
        "told {result}, {counted:?}"
    );
}

#[test]
fn ten_kills_lose_nothing_but_what_the_victims_had_open() {
    let cluster = sturdy().start();
    let load = Load::begin(&cluster, admin(&cluster), "/inventory?limit=1");
    for kill in 0..10 {
        let mark = cluster.mark();
        cluster.signal_worker(kill % 4, Signal::SIGKILL);
        cluster.wait_from(mark, "worker ready");
    }
    let (counted, watched) = load.end();
    // Whoever was answering the scraper when it was killed did not.
    never_fell(&watched, 10);
    settled(&cluster, counted);
    let scrape = Scrape::of(admin(&cluster));
    assert_eq!(scrape.value("cluster_worker_exits_total{cause=\"signal\"}"), 10.0);
    assert!(cluster.stop().success());
}

#[test]
fn reloads_and_scaling_lose_nothing_at_all() {
    let cluster = sturdy().start();
    let load = Load::begin(&cluster, admin(&cluster), "/inventory?limit=1");
    for _ in 0..3 {
        let mark = cluster.mark();
        cluster.signal(Signal::SIGHUP);
        cluster.wait_from(mark, "reload done");
    }
    for workers in [1, 4] {
        let (signal, done) = match workers {
            1 => (Signal::SIGTTOU, "worker gone"),
            _ => (Signal::SIGTTIN, "worker ready"),
        };
        let mark = cluster.mark();
        for _ in 0..3 {
            let mark = cluster.mark();
            cluster.signal(signal);
            cluster.wait_from(mark, "scaled");
        }
        cluster.wait_for_many(mark, done, 3);
    }
    let (counted, watched) = load.end();
    never_fell(&watched, 0);
    assert_eq!(counted.failed, 0.0);
    settled(&cluster, counted);
    let scrape = Scrape::of(admin(&cluster));
    assert_eq!(scrape.value("cluster_generation"), 4.0);
    assert_eq!(
        scrape.value("cluster_worker_exits_total{cause=\"scale_down\"}"),
        3.0
    );
    assert!(cluster.stop().success());
}

#[test]
fn what_the_dead_counted_outlives_the_master_that_buried_them() {
    let cluster = sturdy().start();
    let load = Load::begin(&cluster, admin(&cluster), "/inventory?limit=1");
    for slot in 0..3 {
        let mark = cluster.mark();
        cluster.signal_worker(slot, Signal::SIGKILL);
        cluster.wait_from(mark, "worker ready");
        let mark = cluster.mark();
        cluster.signal(Signal::SIGUSR2);
        cluster.wait_from(mark, "upgrade done");
    }
    let (counted, watched) = load.end();
    never_fell(&watched, 3);
    settled(&cluster, counted);
    let scrape = Scrape::of(admin(&cluster));
    assert_eq!(scrape.value("cluster_worker_exits_total{cause=\"signal\"}"), 3.0);
    assert!(cluster.stop().success());
}
