//! What happens to the hosts, and what must be true afterwards.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::buyers::{Acknowledged, Buyers};
use crate::stage::{LEASE, ShopHost, Stage, TIMEOUT};

/// The longest time from the death of a host until others own its orders.
const LONGEST_TAKEOVER: Duration = LEASE.saturating_add(Duration::from_secs(2));
/// The longest time from the last fault until no order is under way.
const LONGEST_REST: Duration = LEASE.saturating_add(Duration::from_secs(5));
const BUYERS: usize = 8;

/// How often and how long everything is tried: `CLUSTER_HOSTS_TIMES` is what the short form is multiplied by.
fn times(short: u32) -> u32 {
    let times = std::env::var("CLUSTER_HOSTS_TIMES").ok();
    short * times.and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// Waits for so many more orders, in the short form.
fn wait_for_orders(buyers: &Buyers, short: u32) {
    let wanted = buyers.count() + times(short) as usize;
    Stage::wait_until("more orders", || buyers.count() >= wanted);
}

/// Waits until no order is under way, and checks everything that was acknowledged.
fn finish(stage: &Stage, buyers: Buyers, last_fault: Instant) {
    let acknowledged = buyers.finish();
    Stage::wait_until("the rest", || stage.under_way(None) == 0);
    let rested = last_fault.elapsed();
    let placed = acknowledged.len();
    println!(
        "{placed} orders; at rest {} ms after the last fault",
        rested.as_millis()
    );
    check(stage, &acknowledged);
    for host in &stage.hosts {
        let doctor = format!(
            "{} doctor --at-rest --data-dir {}",
            env!("CARGO_BIN_EXE_cluster"),
            host.data_dir().display()
        );
        let verdict = host.run(&doctor);
        assert!(verdict.contains("all is well"), "{verdict}");
        host.stop();
    }
    assert!(
        rested <= LONGEST_REST,
        "at rest only {rested:?} after the last fault"
    );
}

/// Every acknowledged order is there, under its key and confirmed.
fn check(stage: &Stage, acknowledged: &Acknowledged) {
    let known: BTreeMap<String, (i64, i16)> = stage.ask("shop_orders", |client| {
        Box::pin(async move {
            let known = "SELECT k.key, o.id, o.status FROM idempotency_keys AS k
                JOIN orders AS o ON o.id = k.order_id";
            let rows = client.query(known, &[]).await?;
            rows.iter()
                .map(|row| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?))))
                .collect()
        })
    });
    for (key, id) in acknowledged {
        let Some((order, status)) = known.get(key) else {
            panic!("{id}, which was acknowledged under the key {key}, is gone");
        };
        let order = cluster::shop::contract::OrderId::from_key(*order).to_string();
        assert_eq!((order.as_str(), *status), (id.as_str(), 20), "{key}");
    }
    let twice = stage.ask("shop_sandbox", |client| {
        Box::pin(async move {
            let twice = "SELECT count(*) FROM (SELECT order_id FROM standing_charge
                GROUP BY order_id HAVING count(*) > 1) AS twice";
            client.query_one(twice, &[]).await?.try_get::<_, i64>(0)
        })
    });
    assert_eq!(twice, 0, "orders were charged twice");
}

/// A host dies under load: how long its orders were nobody's.
fn kill(stage: &Stage, host: &ShopHost) -> Duration {
    let died = Instant::now();
    host.die();
    Stage::wait_until("the takeover", || stage.under_way(Some(host)) == 0);
    died.elapsed()
}

pub(crate) fn deaths() {
    let stage = Stage::start();
    let buyers = Buyers::start(&stage, BUYERS);
    let mut takeovers = Vec::new();
    let mut last_fault = Instant::now();
    for death in 0..times(2) {
        wait_for_orders(&buyers, 200);
        let host = &stage.hosts[death as usize % 2];
        last_fault = Instant::now();
        takeovers.push(kill(&stage, host));
        wait_for_orders(&buyers, 20);
        stage.start_again(host);
    }
    takeovers.sort_unstable();
    println!(
        "takeovers in ms: {:?}",
        takeovers.iter().map(Duration::as_millis).collect::<Vec<_>>()
    );
    finish(&stage, buyers, last_fault);
    let slowest = takeovers.last().expect("at least one");
    assert!(*slowest <= LONGEST_TAKEOVER, "{takeovers:?}");
}

pub(crate) fn cuts() {
    let stage = Stage::start();
    let buyers = Buyers::start(&stage, BUYERS);
    let mut last_fault = Instant::now();
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..times(4) {
        wait_for_orders(&buyers, 100);
        let host = &stage.hosts[random.usize(0..2)];
        let server = "ip -4 -o addr show dev db | sed 's/.*peer //;s/.*inet //;s/\\.2\\/.*/.1/'";
        let (cut, heal) = match round % 4 {
            0 => ("ip link set db down".to_owned(), "ip link set db up".to_owned()),
            // One way: what the host says is lost, what it is told arrives.
            1 => (
                format!("ip route add blackhole $({server})/32"),
                format!("ip route del blackhole $({server})/32"),
            ),
            2 => (
                "tc qdisc add dev db root tbf rate 256kbit burst 4k latency 400ms".to_owned(),
                "tc qdisc del dev db root".to_owned(),
            ),
            _ => {
                let mode = ["fast", "immediate"][random.usize(0..2)];
                stage.restart_database(mode);
                last_fault = Instant::now();
                continue;
            }
        };
        host.run(&cut);
        std::thread::sleep(Duration::from_millis(random.u64(500..8_000)));
        host.run(&heal);
        last_fault = Instant::now();
    }
    wait_for_orders(&buyers, 100);
    finish(&stage, buyers, last_fault);
}

pub(crate) fn pauses() {
    let stage = Stage::start();
    let buyers = Buyers::start(&stage, BUYERS);
    let mut last_fault = Instant::now();
    for pause in 0..times(1) {
        wait_for_orders(&buyers, 200);
        let host = &stage.hosts[pause as usize % 2];
        host.signal_all(Signal::SIGSTOP);
        let stopped = Instant::now();
        Stage::wait_until("the takeover", || stage.under_way(Some(host)) == 0);
        println!(
            "the orders of a host that was stopped were taken over after {:?}",
            stopped.elapsed()
        );
        std::thread::sleep((3 * LEASE).saturating_sub(stopped.elapsed()));
        host.signal_all(Signal::SIGCONT);
        last_fault = Instant::now();
        Stage::wait_until("the host says so", || {
            host.log()
                .contains("it was taken for dead, and its orders were taken over")
        });
        wait_for_orders(&buyers, 100);
    }
    assert!(last_fault.elapsed() < TIMEOUT);
    finish(&stage, buyers, last_fault);
}
