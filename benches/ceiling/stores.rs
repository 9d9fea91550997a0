//! The four files of the shop, with tables of the shape the services have.

use std::path::Path;

use cluster::scoreboard::Board;
use cluster::shop::sandbox::{FILE, Sandbox};
use cluster::store::{Admission, Schema, Store, StoreOptions};

/// How many SKUs the stock has.
pub(crate) const SKUS: u32 = 1_000;

const ORDERS: Schema = Schema {
    name: "orders",
    application_id: 0x0bec_0001,
    migrations: &["
CREATE TABLE orders (
    id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, status TEXT NOT NULL, items TEXT NOT NULL,
    amount INTEGER NOT NULL, currency TEXT NOT NULL, created_at TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX orders_customer ON orders (customer_id, id);
CREATE TABLE saga (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, claim_no INTEGER NOT NULL, state TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE idempotency (
    key TEXT PRIMARY KEY, body_hash BLOB NOT NULL, order_id TEXT NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY, order_id TEXT NOT NULL, event TEXT NOT NULL, body TEXT NOT NULL) STRICT;
"],
};

const INVENTORY: Schema = Schema {
    name: "inventory",
    application_id: 0x0bec_0002,
    migrations: &["
CREATE TABLE item (
    sku TEXT PRIMARY KEY, name TEXT NOT NULL, amount INTEGER NOT NULL, currency TEXT NOT NULL,
    on_hand INTEGER NOT NULL CHECK (on_hand >= 0), reserved INTEGER NOT NULL CHECK (reserved >= 0)) STRICT, WITHOUT ROWID;
CREATE TABLE reservation (
    order_id TEXT PRIMARY KEY, claim_no INTEGER NOT NULL, status TEXT NOT NULL, lines TEXT NOT NULL) STRICT, WITHOUT ROWID;
"],
};

const PAYMENTS: Schema = Schema {
    name: "payments",
    application_id: 0x0bec_0003,
    migrations: &["
CREATE TABLE charge (
    id TEXT PRIMARY KEY, order_id TEXT NOT NULL UNIQUE, claim_no INTEGER NOT NULL, provider_key TEXT NOT NULL,
    status TEXT NOT NULL, amount INTEGER NOT NULL, currency TEXT NOT NULL, at TEXT NOT NULL) STRICT, WITHOUT ROWID;
"],
};

/// All of them, open.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) orders: Store,
    pub(crate) inventory: Store,
    pub(crate) payments: Store,
    pub(crate) sandbox: Sandbox,
    sandbox_store: Store,
}

impl Stores {
    /// Opens the four files under `dir`.
    pub(crate) fn open(dir: &Path) -> Result<Stores, String> {
        let board = Board::private();
        let open = |schema: &Schema, file: &str| {
            let cell = board.cell(schema.name).ok_or("the board has no free cell")?;
            Store::open(schema, StoreOptions::new(dir.join(file), cell)).map_err(|error| error.to_string())
        };
        let sandbox_store = open(Sandbox::schema(), FILE)?;
        Ok(Stores {
            orders: open(&ORDERS, "orders.db")?,
            inventory: open(&INVENTORY, "inventory.db")?,
            payments: open(&PAYMENTS, "payments.db")?,
            sandbox: Sandbox::new(sandbox_store.clone()),
            sandbox_store,
        })
    }

    /// Transactions committed by this process, over all files.
    pub(crate) fn commits(&self) -> u64 {
        [&self.orders, &self.inventory, &self.payments, &self.sandbox_store]
            .iter()
            .map(|store| store.commits())
            .sum()
    }

    /// A thousand items, of which there are plenty.
    pub(crate) async fn stock(&self) -> Result<(), String> {
        let fill = |tx: &cluster::store::Tx<'_>| -> rusqlite::Result<()> {
            let mut insert =
                tx.prepare("INSERT INTO item VALUES (?1, 'An espresso cup', 450, 'USD', 100000000, 0)")?;
            (0..SKUS).try_for_each(|number| insert.execute([sku(number)]).map(drop))
        };
        self.inventory
            .write(Admission::New, fill)
            .await
            .map_err(|error| error.to_string())
    }
}

/// The SKU of that number.
pub(crate) fn sku(number: u32) -> String {
    format!("sku-{number:04}")
}
