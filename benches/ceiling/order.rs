//! One order: six jobs on four files, the last two at the same time.

use std::path::Path;
use std::time::Instant;

use cluster::base::money::{Currency, Money};
use cluster::shop::payments::provider::{ChargeOutcome, ChargeRequest, Provider};
use cluster::store::{Admission, Store, Tx};
use rusqlite::params;
use uuid::Uuid;

use crate::run::{Engine, LeftBehind};
use crate::stores::{SKUS, Stores, sku};

const AT: &str = "2026-11-22T16:02:32.123456789Z";

impl Engine for Stores {
    const NAME: &'static str = "sqlite";

    async fn prepare(place: &str) -> Result<(), String> {
        Stores::open(Path::new(place))?.stock().await
    }

    async fn open(place: &str) -> Result<Stores, String> {
        Stores::open(Path::new(place))
    }

    async fn place_order(&self) -> Result<(), String> {
        place(self).await
    }

    fn commits(&self) -> u64 {
        Stores::commits(self)
    }

    fn left_behind(place: &str) -> Result<Option<LeftBehind>, String> {
        let dir = Path::new(place);
        let wal_bytes = largest_wal(dir);
        let began = Instant::now();
        let stores = Stores::open(dir)?;
        let reopen = began.elapsed();
        drop(stores);
        Ok(Some(LeftBehind { wal_bytes, reopen }))
    }
}

fn largest_wal(dir: &Path) -> u64 {
    let files = [
        "orders.db-wal",
        "inventory.db-wal",
        "payments.db-wal",
        "sandbox.db-wal",
    ];
    let length = |file: &&str| std::fs::metadata(dir.join(file)).map_or(0, |metadata| metadata.len());
    files.iter().map(length).max().unwrap_or(0)
}

async fn place(stores: &Stores) -> Result<(), String> {
    let id = Uuid::now_v7().to_string();
    let (item, quantity) = (sku(fastrand::u32(..SKUS)), fastrand::i64(1..=3));
    let total = 450 * quantity;
    accept(&stores.orders, &id, &item, total).await?;
    reserve(&stores.inventory, &id, &item, quantity).await?;
    let amount = Money {
        amount: total.unsigned_abs(),
        currency: Currency::USD,
    };
    let (order_id, method) = (id.clone(), "pm_card_visa".to_owned());
    let request = ChargeRequest {
        provider_key: format!("{id}/1"),
        order_id,
        amount,
        method,
    };
    match stores.sandbox.charge(&request).await {
        ChargeOutcome::Done(_) => (),
        outcome @ (ChargeOutcome::Refused(_) | ChargeOutcome::Unknown(_) | ChargeOutcome::Stalled(_)) => {
            return Err(format!("{outcome:?}"));
        }
    }
    record(&stores.payments, &id, total).await?;
    tokio::try_join!(
        commit(&stores.inventory, &id, &item, quantity),
        confirm(&stores.orders, &id)
    )?;
    Ok(())
}

async fn write(
    store: &Store,
    job: impl FnOnce(&Tx<'_>) -> rusqlite::Result<usize> + Send + 'static,
) -> Result<(), String> {
    match store.write(Admission::Continue, job).await {
        Ok(1) => Ok(()),
        Ok(rows) => Err(format!("{rows} rows changed where one was expected")),
        Err(error) => Err(error.to_string()),
    }
}

async fn accept(orders: &Store, id: &str, item: &str, total: i64) -> Result<(), String> {
    let id = id.to_owned();
    let items =
        format!(r#"[{{"sku":"{item}","quantity":1,"unit_price":{{"amount":450,"currency":"USD"}}}}]"#);
    write(orders, move |tx| {
        let customer = format!("c-{}", fastrand::u32(..10_000));
        tx.prepare_cached("INSERT INTO orders VALUES (?1, ?2, 'pending', ?3, ?4, 'USD', ?5)")?
            .execute(params![id, customer, items, total, AT])?;
        tx.prepare_cached("INSERT INTO idempotency VALUES (?1, ?2, ?1, 0)")?
            .execute(params![id, [0_u8; 32]])?;
        tx.prepare_cached("INSERT INTO saga VALUES (?1, '7/0/1', 1, 'started')")?
            .execute([id])
    })
    .await
}

async fn reserve(inventory: &Store, id: &str, item: &str, quantity: i64) -> Result<(), String> {
    let (id, item) = (id.to_owned(), item.to_owned());
    write(inventory, move |tx| {
        tx.prepare_cached("INSERT INTO reservation VALUES (?1, 1, 'reserved', ?2)")?
            .execute([&id, &item])?;
        tx.prepare_cached(
            "UPDATE item SET reserved = reserved + ?2 WHERE sku = ?1 AND on_hand - reserved >= ?2",
        )?
        .execute(params![item, quantity])
    })
    .await
}

async fn record(payments: &Store, id: &str, total: i64) -> Result<(), String> {
    let id = id.to_owned();
    write(payments, move |tx| {
        tx.prepare_cached("INSERT INTO charge VALUES (?1, ?1, 1, ?2, 'succeeded', ?3, 'USD', ?4)")?
            .execute(params![id, format!("{id}/1"), total, AT])
    })
    .await
}

async fn commit(inventory: &Store, id: &str, item: &str, quantity: i64) -> Result<(), String> {
    let (id, item) = (id.to_owned(), item.to_owned());
    write(inventory, move |tx| {
        tx.prepare_cached(
            "UPDATE reservation SET status = 'committed' WHERE order_id = ?1 AND claim_no <= 1",
        )?
        .execute([&id])?;
        tx.prepare_cached("UPDATE item SET on_hand = on_hand - ?2, reserved = reserved - ?2 WHERE sku = ?1")?
            .execute(params![item, quantity])
    })
    .await
}

async fn confirm(orders: &Store, id: &str) -> Result<(), String> {
    let id = id.to_owned();
    write(orders, move |tx| {
        tx.prepare_cached("UPDATE orders SET status = 'confirmed' WHERE id = ?1")?
            .execute([&id])?;
        tx.prepare_cached("INSERT INTO outbox (order_id, event, body) VALUES (?1, 'order.confirmed', '{}')")?
            .execute([&id])?;
        tx.prepare_cached("DELETE FROM saga WHERE id = ?1 AND owner = '7/0/1' AND claim_no = 1")?
            .execute([id])
    })
    .await
}
