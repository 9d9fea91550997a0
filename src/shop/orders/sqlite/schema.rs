//! The tables of `orders.db`.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::shop::orders::domain::OrderStatus;
use crate::shop::sqlite::{event_streams, fences};
use crate::store::Schema;

/// The file's name in the data directory.
pub const FILE: &str = "orders.db";

/// Orders, their sagas, the outbox, idempotency keys.
pub const SCHEMA: Schema = Schema {
    name: "orders",
    application_id: 0x436c_4f52,
    migrations: &[
        VERSION_1,
        fences::TABLE,
        VERSION_3,
        VERSION_4,
        VERSION_5,
        VERSION_6,
        VERSION_7,
        VERSION_8,
        VERSION_9,
        event_streams::TABLE,
        event_streams::GAPS,
    ],
};

/// A worker of a program that knows an older version than this one cannot use the file.
pub const OLDEST_COMPATIBLE: i64 = 7;

/// A saga is a part of its order's row: while `status` is below 20 it is unfinished and in the partial index
/// that recovery reads, and the statement that ends the order takes it out. When an order was made is in its
/// id; `ended_ms` starts as that time and every status has one byte, so that ending an order overwrites its
/// row in place.
const VERSION_1: &str = "
CREATE TABLE orders (
    id          INTEGER PRIMARY KEY,
    status      INTEGER NOT NULL CHECK (status IN (10, 11, 20, 30)), -- pending, parked, confirmed, rejected
    customer_id TEXT NOT NULL,
    items       TEXT NOT NULL,    -- [[sku, quantity, unit price], ...]
    amount      INTEGER NOT NULL CHECK (amount >= 0), -- the total, minor units
    currency    TEXT NOT NULL,    -- of the total and of every unit price
    method      TEXT NOT NULL,    -- the provider's name of the means of payment
    version     INTEGER NOT NULL, -- of the saga's definition
    owner       TEXT NOT NULL,    -- the life of the worker that drives the saga, or that ended it
    claim_no    INTEGER NOT NULL, -- how often it was claimed
    ended_ms    INTEGER NOT NULL,
    reason      TEXT              -- of a rejected or parked one, as JSON
) STRICT;
CREATE INDEX orders_unfinished ON orders (owner) WHERE status < 20;
CREATE INDEX orders_of_customer ON orders (customer_id);
-- Every claim but the first: who took the saga from whom, and when.
CREATE TABLE takeovers (
    order_id   INTEGER NOT NULL,
    claim_no   INTEGER NOT NULL,
    from_owner TEXT NOT NULL,
    to_owner   TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    PRIMARY KEY (order_id, claim_no)
) STRICT, WITHOUT ROWID;
-- Exactly one terminal event per order, written with the change it tells of. Its text is derived from the order, which never
-- changes after it.
CREATE TABLE outbox (
    seq      INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL,
    event    TEXT NOT NULL CHECK (event IN ('order.confirmed', 'order.rejected')),
    at_ms    INTEGER NOT NULL
) STRICT;
-- Idempotency keys of clients. The answer is derived from the order; retention goes by the order's time.
CREATE TABLE idempotency_keys (
    order_id  INTEGER PRIMARY KEY,
    key       TEXT NOT NULL UNIQUE,
    body_hash BLOB NOT NULL       -- SHA-256 of the request as it was understood
) STRICT;
";

const VERSION_3: &str = "
-- What a person did about an order, and why.
CREATE TABLE interventions (
    order_id INTEGER NOT NULL,
    at_ms    INTEGER NOT NULL,
    act      TEXT NOT NULL CHECK (act IN ('retry', 'confirm', 'reject')),
    who      TEXT NOT NULL,
    reason   TEXT NOT NULL,
    PRIMARY KEY (order_id, at_ms)
) STRICT, WITHOUT ROWID;
-- Ended orders before this id are removed, here and in the other files.
CREATE TABLE horizon (one INTEGER PRIMARY KEY CHECK (one = 1), order_id INTEGER NOT NULL) STRICT;
";

const VERSION_4: &str = "
-- Why a person gave the order up; whoever drives its saga then undoes what was done.
ALTER TABLE orders ADD COLUMN given_up TEXT;
-- Claims up to this one are forgiven: past a number of claims since then, a saga that none of its owners survived is parked.
ALTER TABLE orders ADD COLUMN fresh_from INTEGER NOT NULL DEFAULT 0;
-- What stayed unknown under a claim: how often it was tried, what was said last, and what follows when.
CREATE TABLE tries (
    order_id INTEGER NOT NULL,
    claim_no INTEGER NOT NULL,
    step     TEXT NOT NULL,
    worker   TEXT NOT NULL,
    tries    INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms  INTEGER NOT NULL,
    next_ms  INTEGER NOT NULL, -- when it is tried again
    until_ms INTEGER NOT NULL, -- when that ends: it is settled then, or parked
    says     TEXT NOT NULL,
    PRIMARY KEY (order_id, claim_no, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE interventions_4 (
    order_id INTEGER NOT NULL,
    at_ms    INTEGER NOT NULL,
    act      TEXT NOT NULL CHECK (act IN ('retry', 'compensate', 'confirm', 'reject')),
    who      TEXT NOT NULL,
    reason   TEXT NOT NULL,
    PRIMARY KEY (order_id, at_ms)
) STRICT, WITHOUT ROWID;
INSERT INTO interventions_4 SELECT * FROM interventions;
DROP TABLE interventions;
ALTER TABLE interventions_4 RENAME TO interventions;
";

const VERSION_5: &str = "
-- How long a command was under way under a claim without a known outcome, by the owner's monotonic clock; the next owner has what
-- that leaves of its budget. RecordOutcome once it takes a second, or is tried again.
CREATE TABLE spent (
    order_id INTEGER NOT NULL,
    claim_no INTEGER NOT NULL,
    step     TEXT NOT NULL,
    ms       INTEGER NOT NULL CHECK (ms >= 0),
    PRIMARY KEY (order_id, claim_no, step)
) STRICT, WITHOUT ROWID;
";

/// For a list of three or more, SQLite makes a table of its own (with a pager, a page cache and a tree) each
/// time a row is checked: seven for each order, over all files. Compared one by one they cost nothing. Only
/// the words of the schema change, as SQLite describes it for checks (lang_altertable.html, section 8); no
/// row is touched.
const VERSION_6: &str = "
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
    SET sql = replace(sql, 'status IN (10, 11, 20, 30)', 'status = 10 OR status = 11 OR status = 20 OR status = 30')
    WHERE type = 'table' AND name = 'orders';
PRAGMA writable_schema = RESET;
";

/// The time of the last change of the status was called `ended_ms`, which it was for orders that had ended.
/// The views name what the numbers of the status mean to a query.
const VERSION_7: &str = "
ALTER TABLE orders RENAME COLUMN ended_ms TO changed_ms;
CREATE VIEW unfinished_orders AS SELECT * FROM orders WHERE status < 20; -- pending or parked
CREATE VIEW ended_orders AS SELECT * FROM orders WHERE status >= 20;     -- confirmed or rejected
ALTER TABLE tries RENAME TO attempts;
ALTER TABLE attempts RENAME COLUMN tries TO attempts;
ALTER TABLE attempts RENAME COLUMN says TO reason;
ALTER TABLE spent RENAME TO budget_used;
ALTER TABLE budget_used RENAME COLUMN ms TO used_ms;
";

/// The request that placed an order. Orders of before, and of older programs, have none.
const VERSION_8: &str = "
ALTER TABLE orders ADD COLUMN request_id TEXT;
ALTER TABLE orders ADD COLUMN traceparent TEXT; -- of that request, if it had one (W3C Trace Context)
";

/// What an event says stands in its own row, so that events and orders are kept for times of their own. A
/// program of the version before leaves the new columns empty; the order then says it. The totals of removed
/// orders are what a read model of all orders begins with.
const VERSION_9: &str = "
ALTER TABLE outbox ADD COLUMN customer_id TEXT;
ALTER TABLE outbox ADD COLUMN items TEXT;
ALTER TABLE outbox ADD COLUMN amount INTEGER;
ALTER TABLE outbox ADD COLUMN currency TEXT;
ALTER TABLE outbox ADD COLUMN reason TEXT;
ALTER TABLE outbox ADD COLUMN request_id TEXT;
ALTER TABLE outbox ADD COLUMN traceparent TEXT;
-- What retention removed, by customer: confirmed orders and what they cost.
CREATE TABLE removed_totals (
    customer_id TEXT NOT NULL,
    currency    TEXT NOT NULL,
    orders      INTEGER NOT NULL,
    amount      INTEGER NOT NULL,
    before_ms   INTEGER NOT NULL, -- the newest of them ended then
    PRIMARY KEY (customer_id, currency)
) STRICT, WITHOUT ROWID;
";

/// The number of a status in the column `orders.status`.
fn number(status: OrderStatus) -> i64 {
    match status {
        OrderStatus::Pending => 10,
        OrderStatus::Parked => 11,
        OrderStatus::Confirmed => 20,
        OrderStatus::Rejected => 30,
    }
}

impl ToSql for OrderStatus {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(number(*self)))
    }
}

impl FromSql for OrderStatus {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<OrderStatus> {
        let found = value.as_i64()?;
        let status = OrderStatus::ALL
            .into_iter()
            .find(|status| number(*status) == found);
        status.ok_or(FromSqlError::OutOfRange(found))
    }
}
