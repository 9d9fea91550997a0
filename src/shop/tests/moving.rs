//! A shop moves from files to PostgreSQL and back, is killed on the way, and nobody who reads or writes
//! notices. Where there is no server (`tests/postgres/run` starts one), these tests say so.

use std::collections::BTreeSet;
use std::path::Path;

use tempfile::TempDir;

use super::postgres::{is_skipped, remake_databases, use_server};
use super::test_shop::{TestShop, default_settings, life, order_of};
use crate::base::ids::{Generation, HostId};
use crate::config::Settings;
use crate::postgres::{BulkConnection, DatabaseContent, PostgresOptions, PostgresStore, WriterIdentity};
use crate::shop::boot::open_with_stores;
use crate::shop::contract::StorageError;
use crate::shop::engine::{MoveTarget, PostgresPlace, SERVICES, StoreEngine, StoreFile, cluster_id};
use crate::shop::moving::{self, MoveError, MoveOrder, MoveProgress};
use crate::shop::orders;
use crate::shop::settings::PostgresSettings;
use crate::store::Store;
use crate::sys::lock::FileLock;
use crate::worker::{Identity, Worker};

/// A directory with a shop that can be served by both engines, one after the other.
struct MovingShop {
    sqlite: Settings,
    postgres: Settings,
    place: PostgresPlace,
}

impl MovingShop {
    async fn new(dir: &Path) -> MovingShop {
        let mut sqlite = default_settings();
        sqlite.cluster.data_dir = dir.to_owned();
        let mut postgres = sqlite.clone();
        use_server(&mut postgres).await;
        let named: PostgresSettings = postgres.app["postgres"].clone().try_into().unwrap();
        let place = named.place(cluster_id(dir).unwrap(), HostId::UNNAMED).unwrap();
        MovingShop {
            sqlite,
            postgres,
            place,
        }
    }

    async fn serve(&self, dir: TempDir, with: MoveTarget) -> TestShop {
        let settings = match with {
            MoveTarget::Sqlite => &self.sqlite,
            MoveTarget::Postgres => &self.postgres,
        };
        TestShop::open_as(dir, settings.clone(), |_| {}).await
    }

    fn order(&self, dir: &Path, to: MoveTarget) -> MoveOrder {
        MoveOrder {
            data_dir: dir.to_owned(),
            to,
            place: (to == MoveTarget::Postgres).then(|| self.place.clone()),
        }
    }

    /// Moves, and is killed when it has told of so many steps; the steps.
    async fn move_until(
        &self,
        dir: &Path,
        to: MoveTarget,
        killed_after: usize,
    ) -> (Vec<MoveProgress>, Result<(), MoveError>) {
        let (order, mut steps) = (self.order(dir, to), Vec::new());
        let mut tell = |step: &MoveProgress| {
            steps.push(step.clone());
            match steps.len() > killed_after {
                true => Err(MoveError::Killed),
                false => Ok(()),
            }
        };
        let moved = moving::run(&order, &mut tell).await;
        (steps, moved)
    }

    /// Moves, and is killed after one step, after two, and so on, until the move is over. Once everything is
    /// copied, the counting begins anew.
    async fn move_with_kills(&self, dir: &Path, to: MoveTarget) {
        let (mut kills, mut killed_after) = (0, 0);
        loop {
            let (steps, moved) = self.move_until(dir, to, killed_after).await;
            match moved {
                Err(MoveError::Killed) if matches!(steps.last(), Some(MoveProgress::Over { .. })) => return,
                Err(MoveError::Killed) => {}
                Ok(()) => return assert!(kills >= 8, "it was killed {kills} times: {steps:?}"),
                ended @ Err(_) => panic!("{ended:?} after {steps:?}"),
            }
            kills += 1;
            killed_after = match steps.last() {
                Some(MoveProgress::AllIsCopied) => 0,
                _ => killed_after + 1,
            };
            let refused = StoreEngine::of(dir).expect_err("nothing else uses the databases");
            assert!(refused.to_string().contains("cluster move --to"), "{refused}");
        }
    }
}

/// A shop in files that has one order, at rest.
async fn shop_with_an_order() -> (MovingShop, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let moving = MovingShop::new(dir.path()).await;
    let shop = moving.serve(dir, MoveTarget::Sqlite).await;
    place(&shop, "pm_card_visa", "a").await;
    (moving, rest(shop).await)
}

async fn rest(shop: TestShop) -> TempDir {
    shop.state.orders.settled().await;
    shop.streams.record().await;
    shop.stores.iter().for_each(Store::close);
    shop.customers.close();
    shop.dir
}

/// Places an order, or asks for it again; its id.
async fn place(shop: &TestShop, method: &str, key: &str) -> String {
    let answer = shop
        .place_with_key(&order_of("espresso-cup", 1, method), key)
        .await;
    let id = match answer.status.as_u16() {
        200 | 201 => "id",
        402 => "order_id",
        _ => panic!("{answer:?}"),
    };
    answer.json()[id].as_str().unwrap().to_owned()
}

/// All events behind a position, at most three at once: their ids, and the position behind them.
async fn events_behind(shop: &TestShop, mut position: String) -> (Vec<String>, String) {
    let mut ids = Vec::new();
    loop {
        let page = shop.get(&format!("/events?after={position}&limit=3")).await;
        assert_eq!(page.status.as_u16(), 200, "{page:?}");
        let page = page.json();
        let items = page["items"].as_array().unwrap();
        ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        position = page["next"].as_str().unwrap().to_owned();
        if page["more"] == false {
            return (ids, position);
        }
    }
}

async fn oldest(shop: &TestShop) -> String {
    shop.get("/events?limit=1").await.json()["next"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_shop_moves_there_and_back_killed_at_every_step_and_nobody_notices() {
    if is_skipped("a_shop_moves_there_and_back_killed_at_every_step_and_nobody_notices") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let moving = MovingShop::new(&path).await;
    let mut shop = moving.serve(dir, MoveTarget::Sqlite).await;
    let from_the_beginning = oldest(&shop).await;
    let (mut position, mut seen) = (from_the_beginning.clone(), Vec::new());
    let mut placed = Vec::new();
    for (round, to) in [MoveTarget::Postgres, MoveTarget::Sqlite, MoveTarget::Postgres]
        .into_iter()
        .enumerate()
    {
        for number in 0..5 {
            let key = format!("{round}-{number}");
            let method = ["pm_card_visa", "pm_card_chargeDeclined"][usize::from(number == 3)];
            let order = place(&shop, method, &key).await;
            placed.push((key, method, order));
        }
        // What comes behind this position is read after the move.
        let (ids, behind) = events_behind(&shop, position.clone()).await;
        seen.extend(ids);
        position = behind;
        let (key, method) = (format!("{round}-late"), "pm_card_visa");
        let late = place(&shop, method, &key).await;
        placed.push((key, method, late));
        let before = shop.sound();
        let dir = rest(shop).await;
        if round == 2 {
            // The databases hold what was moved away from there.
            let (_, refused) = moving.move_until(&path, to, usize::MAX).await;
            let refused = refused.expect_err("refused").to_string();
            assert!(refused.contains("what was moved away"), "{refused}");
            remake_databases(&path).await;
        }
        moving.move_with_kills(&path, to).await;
        shop = moving.serve(dir, to).await;
        assert_eq!(shop.sound(), before);
        for (key, method, order) in &placed {
            assert_eq!(place(&shop, method, key).await, *order, "{key}");
        }
        assert_eq!(shop.sound(), before, "no key was used twice");
        let kept = kept_in(&path);
        assert_eq!(kept.len(), round + 1, "{kept:?}");
    }
    seen.extend(events_behind(&shop, position).await.0);
    let (all, _) = events_behind(&shop, from_the_beginning).await;
    assert_eq!(
        seen, all,
        "a follower that went on saw each event once, and in order"
    );
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    assert!(all.len() > placed.len());
    rest(shop).await;
}

fn kept_in(data_dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(data_dir).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("moved-")).collect()
}

#[tokio::test]
async fn the_old_side_is_kept_to_be_looked_at_and_not_to_be_served() {
    if is_skipped("the_old_side_is_kept_to_be_looked_at_and_not_to_be_served") {
        return;
    }
    let (moving, dir) = shop_with_an_order().await;
    let path = dir.path().to_owned();
    for to in [MoveTarget::Postgres, MoveTarget::Sqlite] {
        let (_, moved) = moving.move_until(&path, to, usize::MAX).await;
        moved.unwrap();
        let (steps, again) = moving.move_until(&path, to, usize::MAX).await;
        assert!(
            again.is_ok() && steps == [MoveProgress::AlreadyThere],
            "{steps:?}"
        );
    }
    let kept = kept_in(&path);
    assert_eq!(kept.len(), 2);
    for kept in kept {
        use crate::shop::evidence::audit::{Moment, check};
        let audit = check(&path.join(&kept), Moment::Rest).await.unwrap();
        assert_eq!((audit.confirmed, audit.violations), (1, vec![]), "{kept}");
        let mut settings = default_settings();
        settings.cluster.data_dir = path.join(&kept);
        let identity = Identity {
            life: life(1),
            generation: Generation(1),
        };
        let refused = open_with_stores(&Worker::detached(identity, settings)).await;
        let refused = refused.err().expect("refused").to_string();
        assert!(refused.contains("only kept to be looked at"), "{refused}");
    }
    // Whoever has the old configuration is told so.
    let place = moving.place.clone();
    StoreFile::Postgres(place.clone()).write(&path).unwrap();
    let target = place.target("orders").unwrap();
    let (schema, cluster) = (&orders::postgres::POSTGRES_SCHEMA, place.cluster_id());
    let (who, options) = (WriterIdentity::Operator, PostgresOptions::new());
    let opened = PostgresStore::open(target, schema, &cluster, who, options).await;
    let refused = opened.expect_err("refused").to_string();
    assert!(refused.contains("no longer in use"), "{refused}");
    drop(dir);
}

#[tokio::test]
async fn a_move_that_is_given_up_leaves_everything_as_it_was() {
    if is_skipped("a_move_that_is_given_up_leaves_everything_as_it_was") {
        return;
    }
    let (moving, mut dir) = shop_with_an_order().await;
    let path = dir.path().to_owned();
    for (to, back) in [
        (MoveTarget::Postgres, MoveTarget::Sqlite),
        (MoveTarget::Sqlite, MoveTarget::Postgres),
    ] {
        // Killed after the second service was copied.
        let (_, killed) = moving.move_until(&path, to, 2).await;
        assert!(matches!(killed, Err(MoveError::Killed)));
        assert!(matches!(StoreEngine::of(&path), Err(StorageError::Unusable(_))));
        let (steps, given_up) = moving.move_until(&path, back, usize::MAX).await;
        assert!(
            given_up.is_ok() && steps == [MoveProgress::GivenUp],
            "{steps:?}, {given_up:?}"
        );
        if to == MoveTarget::Postgres {
            for service in SERVICES {
                let database = BulkConnection::open(&moving.place.target(service).unwrap()).await;
                let content = database.unwrap().content().await.unwrap();
                assert_eq!(content, DatabaseContent::Nothing, "{service}");
            }
        }
        let shop = moving.serve(dir, back).await;
        assert_eq!(shop.sound().confirmed, 1);
        dir = rest(shop).await;
        let (_, moved) = moving.move_until(&path, to, usize::MAX).await;
        moved.unwrap();
    }
    assert_eq!(moving.serve(dir, MoveTarget::Sqlite).await.sound().confirmed, 1);
}

#[tokio::test]
async fn what_cannot_be_moved_is_refused_and_nothing_is_changed() {
    if is_skipped("what_cannot_be_moved_is_refused_and_nothing_is_changed") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let moving = MovingShop::new(&path).await;
    let refused = async || {
        let (_, moved) = moving.move_until(&path, MoveTarget::Postgres, usize::MAX).await;
        assert_eq!(StoreFile::read(&path), Ok(StoreFile::Sqlite));
        moved.expect_err("refused").to_string()
    };
    let empty = refused().await;
    assert!(empty.contains("has no databases"), "{empty}");
    let shop = moving.serve(dir, MoveTarget::Sqlite).await;
    place(&shop, "pm_card_visa", "a").await;
    let dir = rest(shop).await;
    {
        let _master = FileLock::take(&path.join("master.lock")).unwrap();
        let served = refused().await;
        assert!(
            served.contains("is served") && served.contains("stop the cluster"),
            "{served}"
        );
    }
    let target = moving.place.target("payments").unwrap();
    let foreign = BulkConnection::open(&target).await.unwrap();
    foreign.run("CREATE TABLE theirs (a int)").await.unwrap();
    let full = refused().await;
    assert!(
        full.contains("is not empty: it has tables of another program"),
        "{full}"
    );
    foreign.run("DROP TABLE theirs").await.unwrap();
    let database = rusqlite::Connection::open(path.join(orders::FILE)).unwrap();
    database
        .execute_batch("UPDATE orders SET amount = amount + 1")
        .unwrap();
    let unsound = refused().await;
    assert!(unsound.contains("not sound"), "{unsound}");
    database
        .execute_batch("UPDATE orders SET amount = amount - 1")
        .unwrap();
    drop(database);
    let (_, moved) = moving.move_until(&path, MoveTarget::Postgres, usize::MAX).await;
    moved.unwrap();
    drop(dir);
}

#[tokio::test]
async fn events_go_on_behind_numbers_that_are_higher_than_the_servers() {
    if is_skipped("events_go_on_behind_numbers_that_are_higher_than_the_servers") {
        return;
    }
    let (moving, dir) = shop_with_an_order().await;
    let path = dir.path().to_owned();
    for file in [orders::FILE, crate::shop::payments::FILE] {
        let database = rusqlite::Connection::open(path.join(file)).unwrap();
        database
            .execute_batch("UPDATE outbox SET seq = seq + (1 << 50)")
            .unwrap();
    }
    let shop = moving.serve(dir, MoveTarget::Sqlite).await;
    let position = oldest(&shop).await;
    let dir = rest(shop).await;
    let (_, moved) = moving.move_until(&path, MoveTarget::Postgres, usize::MAX).await;
    moved.unwrap();
    let shop = moving.serve(dir, MoveTarget::Postgres).await;
    let order = place(&shop, "pm_card_visa", "b").await;
    // Events wait for the transactions that other tests have open on the same server.
    let readable = async {
        while shop.state.orders.oldest_held_event().await.unwrap().is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(60), readable).await;
    waited.expect("the transactions of other tests end");
    let (ids, _) = events_behind(&shop, position).await;
    let of_order: Vec<bool> = ids.iter().map(|id| id.contains(&order)).collect();
    assert!(of_order.ends_with(&[true]), "{ids:?}");
    shop.sound();
}
