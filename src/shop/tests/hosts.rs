//! Two hosts over the same databases: what one of them does when the other one dies, and what becomes of a
//! host that was only taken for dead. Where there is no server (`tests/postgres/run` starts one), these
//! tests say so.

use std::sync::Arc;
use std::time::Duration;

use super::crashes::{Fuse, new_order, orders_of_another, stopping};
use super::postgres::{is_skipped, orders_at_postgres, place_of};
use super::test_shop::{TestShop, default_settings, life, order_of};
use crate::base::ids::{Generation, HostId, Incarnation, Life};
use crate::shop::boot::open_with_stores;
use crate::shop::contract::{HostIdentity, HostState, OrderId};
use crate::shop::engine::HOST_ID;
use crate::shop::events::other_hosts;
use crate::shop::evidence::consistency::{self, Inconsistent};
use crate::shop::orders::{Order, OrderStatus, Placed, SagaOutcome};
use crate::shop::recovery::host_lease::HostLease;
use crate::shop::recovery::liveness::LifeLock;
use crate::worker::{Identity, Worker};

/// A lease for tests that wait for its end.
const LEASE: Duration = Duration::from_millis(600);
const HOUR: Duration = Duration::from_secs(3_600);
/// Longer than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A second host, with a data directory of its own and the databases of the first.
async fn second_host(first: &TestShop) -> TestShop {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = first.settings.clone();
    settings.cluster.data_dir = dir.path().to_owned();
    let postgres = settings.app["postgres"].as_table_mut().unwrap();
    postgres.insert("cluster".to_owned(), place_of(first).cluster.into());
    TestShop::open_as(dir, settings, |_| {}).await
}

async fn place(shop: &TestShop, key: &str) -> String {
    let order = order_of("espresso-cup", 1, "pm_card_visa");
    let answer = shop.place_with_key(&order, key).await;
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn known(shop: &TestShop, order: OrderId) -> Order {
    shop.state.orders.order(order).await.unwrap().unwrap()
}

async fn until_it_ends(shop: &TestShop, order: OrderId) {
    let ended = async {
        while known(shop, order).await.end().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, ended).await.expect("it ends");
}

fn identity(shop: &TestShop) -> HostIdentity {
    HostIdentity {
        host: shop.state.orders.life().host,
        name: "a name".to_owned(),
        incarnation: shop.state.orders.life().incarnation,
        master: 7,
    }
}

async fn lease(shop: &TestShop) -> HostLease {
    HostLease {
        repository: orders_at_postgres(shop, life(9).at(shop.state.orders.life().host)).await,
        own: identity(shop),
        lease: LEASE,
        clock: Arc::clone(&shop.clock),
        others: tokio::sync::watch::Sender::default(),
    }
}

/// The lease of that host, renewed once for an hour.
async fn lease_for_an_hour(shop: &TestShop) -> HostLease {
    let lease = lease(shop).await;
    let renewed = lease.repository.renew_lease(&lease.own, HOUR, Duration::ZERO);
    renewed.await.unwrap();
    lease
}

/// Runs the lease of that host in the background.
async fn keep_lease(shop: &TestShop) -> HostLease {
    let lease = lease(shop).await;
    let (orders, worker) = (shop.state.orders.clone(), shop.worker.clone());
    tokio::spawn(lease.clone().run(orders, worker));
    lease
}

#[tokio::test]
async fn two_hosts_are_one_shop() {
    if is_skipped("two_hosts_are_one_shop") {
        return;
    }
    let first = TestShop::open().await;
    let second = second_host(&first).await;
    let (here, there) = (first.state.orders.life(), second.state.orders.life());
    assert_eq!((here.host, there.host.is_named()), (HostId::UNNAMED, true));
    let written = std::fs::read_to_string(second.dir.path().join(HOST_ID)).unwrap();
    assert_eq!(written, there.host.to_string());
    let order = place(&first, "a").await;
    assert_eq!(
        place(&second, "a").await,
        order,
        "a key means the same everywhere"
    );
    let other = place(&second, "b").await;
    for shop in [&first, &second] {
        for (id, owner) in [(&order, here), (&other, there)] {
            let id: OrderId = id.parse().unwrap();
            let known = known(shop, id).await;
            assert_eq!((known.status, known.owner), (OrderStatus::Confirmed, owner));
        }
        assert_eq!(
            shop.get("/events").await.json(),
            first.get("/events").await.json()
        );
        assert_eq!(shop.sound().confirmed, 2);
    }
}

#[tokio::test]
async fn a_host_of_another_cluster_is_told_what_to_write() {
    if is_skipped("a_host_of_another_cluster_is_told_what_to_write") {
        return;
    }
    let first = TestShop::open().await;
    let dir = tempfile::tempdir().unwrap();
    let mut settings = default_settings();
    settings.app = first.settings.app.clone();
    settings.cluster.data_dir = dir.path().to_owned();
    let identity = Identity {
        life: life(1),
        generation: Generation(1),
    };
    let refused = open_with_stores(&Worker::detached(identity, settings)).await;
    let refused = refused.err().expect("refused").to_string();
    let remedy = format!("postgres.cluster = \"{}\" on each", place_of(&first).cluster);
    assert!(refused.contains(&remedy), "{refused}");
}

/// A host is cut off at that command of an order, before it or after it was carried out; another host takes
/// the order over; then the first one is there again.
async fn cut_off_take_over_and_heal(method: &str, command: u32, after: bool) -> (OrderStatus, SagaOutcome) {
    let first = TestShop::open().await;
    let second = second_host(&first).await;
    let fuse = Fuse::at(command, after);
    let (inventory, payments) = stopping(&second, &fuse);
    let gone = life(7).at(second.state.orders.life().host);
    let cut_off = orders_of_another(&second, inventory, payments, gone).await;
    let Placed::New(order, task) = cut_off.place(new_order(method), None).await.unwrap() else {
        panic!("not placed")
    };
    fuse.stopped.acquire().await.unwrap().forget();
    first
        .state
        .orders
        .take_over_dead(|life| life.host == gone.host)
        .await;
    until_it_ends(&first, order).await;
    let before = first.sound();
    fuse.woken.add_permits(1);
    let end = task.await.unwrap();
    assert_eq!(first.sound(), before, "nothing of what it wrote stands");
    let known = known(&first, order).await;
    assert_eq!((known.claim_no, known.owner), (2, first.state.orders.life()));
    let again = cut_off.place(new_order(method), None).await;
    assert!(
        matches!(again, Err(crate::shop::orders::PlaceError::Fenced)),
        "{again:?}"
    );
    (known.status, end)
}

#[tokio::test]
async fn a_host_that_was_only_cut_off_writes_nothing_for_what_was_taken_over() {
    if is_skipped("a_host_that_was_only_cut_off_writes_nothing_for_what_was_taken_over") {
        return;
    }
    for command in 1..=3 {
        for after in [false, true] {
            let (status, end) = cut_off_take_over_and_heal("pm_card_visa", command, after).await;
            assert_eq!(status, OrderStatus::Confirmed, "{command} {after}");
            assert_eq!(end, SagaOutcome::Lost, "{command} {after}");
        }
    }
    for command in 2..=3 {
        let (status, end) = cut_off_take_over_and_heal("pm_card_chargeDeclined", command, false).await;
        assert_eq!((status, end), (OrderStatus::Rejected, SagaOutcome::Lost));
    }
}

#[tokio::test]
async fn the_orders_of_a_host_are_taken_over_when_its_lease_is_over_and_not_before() {
    if is_skipped("the_orders_of_a_host_are_taken_over_when_its_lease_is_over_and_not_before") {
        return;
    }
    let first = TestShop::open().await;
    let second = second_host(&first).await;
    let fuse = Fuse::at(1, false);
    let (inventory, _) = stopping(&second, &fuse);
    let gone = life(7).at(second.state.orders.life().host);
    let orders = orders_of_another(&second, inventory, second.state.payments.clone(), gone).await;
    let Placed::New(order, _task) = orders.place(new_order("pm_card_visa"), None).await.unwrap() else {
        panic!("not placed")
    };
    fuse.stopped.acquire().await.unwrap().forget();
    let there = lease(&second).await;
    let renew = || there.repository.renew_lease(&there.own, LEASE, Duration::ZERO);
    renew().await.unwrap();
    let here = keep_lease(&first).await;
    let mut others = here.others.subscribe();
    for _ in 0..20 {
        renew().await.unwrap();
        tokio::time::sleep(LEASE / 10).await;
    }
    assert_eq!(known(&first, order).await.owner, gone, "the host lives");
    until_it_ends(&first, order).await;
    assert_eq!(known(&first, order).await.owner, first.state.orders.life());
    let is_silent = |others: &Vec<crate::shop::contract::OtherHost>| {
        others.iter().any(|other| other.state == HostState::Silent)
    };
    tokio::time::timeout(TIMEOUT, others.wait_for(is_silent))
        .await
        .unwrap()
        .unwrap();
    let note = here.note().expect("there is another host");
    assert!(note.contains("is this one") && note.contains("silent"), "{note}");
}

#[tokio::test]
async fn a_host_that_has_left_is_waited_for_no_longer() {
    if is_skipped("a_host_that_has_left_is_waited_for_no_longer") {
        return;
    }
    let first = TestShop::open().await;
    let second = second_host(&first).await;
    let there = lease_for_an_hour(&second).await;
    let here = keep_lease(&first).await;
    let mut others = here.others.subscribe();
    let in_state = |state: HostState| {
        move |others: &Vec<crate::shop::contract::OtherHost>| others.iter().any(|other| other.state == state)
    };
    let alive = others.wait_for(in_state(HostState::Alive));
    tokio::time::timeout(TIMEOUT, alive).await.unwrap().unwrap();
    let lives = |epoch| LifeLock::take(second.dir.path(), Life::of(1, 0, epoch).at(there.own.host)).unwrap();
    let (one, two) = (lives(1), lives(2));
    there.leave_as_the_last(&one).await;
    let still = there
        .repository
        .renew_lease(&there.own, HOUR, HOUR)
        .await
        .unwrap();
    assert!(
        still.hosts.iter().all(|record| !record.has_left),
        "another worker is left"
    );
    there.leave_as_the_last(&two).await;
    let left = others.wait_for(in_state(HostState::Left));
    tokio::time::timeout(TIMEOUT, left).await.unwrap().unwrap();
}

#[tokio::test]
async fn two_data_directories_are_not_served_as_one_host() {
    if is_skipped("two_data_directories_are_not_served_as_one_host") {
        return;
    }
    let first = TestShop::open().await;
    let copy = tempfile::tempdir().unwrap();
    let repository = first.orders_repository_of(life(9)).await;
    let claim = async |dir: &std::path::Path, incarnation, master| {
        consistency::claim_incarnation(dir, Incarnation(incarnation), master, &repository).await
    };
    claim(first.dir.path(), 4, "first").await.unwrap();
    let orders = orders_at_postgres(&first, life(8)).await;
    let own = HostIdentity {
        incarnation: Incarnation(4),
        master: consistency::short_hash("first"),
        ..identity(&first)
    };
    orders.renew_lease(&own, HOUR, Duration::ZERO).await.unwrap();
    for incarnation in [3, 4, 5] {
        let refused = claim(copy.path(), incarnation, "second").await;
        let refused = refused.expect_err("the first one is served");
        assert!(matches!(refused, Inconsistent::TwoHosts { .. }), "{refused}");
    }
    // The next master over the same directory is known by what the one before left there.
    claim(first.dir.path(), 5, "third").await.unwrap();
    orders
        .leave(&HostIdentity {
            incarnation: Incarnation(5),
            master: consistency::short_hash("third"),
            ..own.clone()
        })
        .await
        .unwrap();
    claim(copy.path(), 6, "second").await.unwrap();
}

#[tokio::test]
async fn a_worker_whose_host_has_another_master_elsewhere_ends() {
    if is_skipped("a_worker_whose_host_has_another_master_elsewhere_ends") {
        return;
    }
    let first = TestShop::open().await;
    let lease = keep_lease(&first).await;
    let displacing = HostIdentity {
        incarnation: Incarnation(2),
        master: 8,
        ..lease.own.clone()
    };
    let note = crate::shop::contract::DatabaseUser {
        incarnation: displacing.incarnation,
        master: displacing.master,
    };
    lease.repository.note_user(note).await.unwrap();
    let failed = async {
        while !first.worker.has_failed() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, failed).await.expect("it ends");
}

#[tokio::test]
async fn readers_hear_of_what_another_host_writes() {
    if is_skipped("readers_hear_of_what_another_host_writes") {
        return;
    }
    let first = TestShop::open().await;
    let second = second_host(&first).await;
    lease_for_an_hour(&second).await;
    let here = keep_lease(&first).await;
    let others = here.others.subscribe();
    let streams = Arc::clone(&first.streams);
    tokio::spawn(other_hosts::wake_readers(
        first.state.events.clone(),
        streams,
        others,
    ));
    let mut wakes = first.state.events.wakes();
    let order = place(&second, "a").await;
    let woken = async {
        loop {
            wakes.changed().await.unwrap();
            let page = first.get("/events?types=shop.order.confirmed.v1").await.json();
            if page["items"].to_string().contains(&order) {
                return;
            }
        }
    };
    let woken = tokio::time::timeout(TIMEOUT, woken).await;
    let held = first.state.orders.oldest_held_event().await;
    let page = first.get("/events?types=shop.order.confirmed.v1").await.json();
    woken.unwrap_or_else(|_| panic!("the readers were not woken for {order}: {held:?}, {page}"));
}
