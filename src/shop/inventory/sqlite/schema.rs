//! The tables of `inventory.db`.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::shop::inventory::reservation::ReservationState;
use crate::shop::sqlite::{event_streams, fences};
use crate::store::Schema;

/// The file's name in the data directory.
pub const FILE: &str = "inventory.db";

/// Stock and reservations.
pub const SCHEMA: Schema = Schema {
    name: "inventory",
    application_id: 0x436c_4956,
    migrations: &[
        VERSION_1,
        fences::TABLE,
        VERSION_3,
        VERSION_4,
        VERSION_5,
        event_streams::TABLE,
        VERSION_7,
        event_streams::GAPS,
    ],
};

/// A worker of a program that knows an older version than this one cannot use the file.
pub const OLDEST_COMPATIBLE: i64 = 4;

/// `received` is all that was ever put on the shelf, so that `received = on_hand + what was committed` can be
/// checked at any time. A reservation's `ended_ms` starts as its `reserved_ms` and its states have one byte
/// each, so that ending it overwrites the row in place instead of moving its page's neighbours. `ended_by` is
/// null when it is `reserved_by`.
const VERSION_1: &str = "
CREATE TABLE stock (
    sku      TEXT NOT NULL PRIMARY KEY,
    name     TEXT NOT NULL,
    amount   INTEGER NOT NULL CHECK (amount >= 0), -- unit price, minor units
    currency TEXT NOT NULL,
    on_hand  INTEGER NOT NULL CHECK (on_hand >= 0),
    reserved INTEGER NOT NULL CHECK (reserved >= 0 AND reserved <= on_hand),
    received INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE reservations (
    order_id    INTEGER PRIMARY KEY,
    state       INTEGER NOT NULL CHECK (state IN (10, 20, 30, 40, 50)), -- held, committed, released, refused, shut before it came
    claim_no    INTEGER NOT NULL,
    items       TEXT NOT NULL,    -- [[sku, quantity], ...]
    reserved_ms INTEGER NOT NULL,
    reserved_by TEXT NOT NULL,    -- the life of a worker
    ended_ms    INTEGER NOT NULL,
    ended_by    TEXT,
    reason      TEXT              -- of a refused one, as JSON
) STRICT;
-- The catalog is loaded once in the life of this file; its row here says that it was, and when.
CREATE TABLE loaded (what TEXT NOT NULL PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

/// The same check without a list, which SQLite makes a table of for each row (see the orders' schema).
const VERSION_3: &str = "
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
    SET sql = replace(sql, 'state IN (10, 20, 30, 40, 50)',
        'state = 10 OR state = 20 OR state = 30 OR state = 40 OR state = 50')
    WHERE type = 'table' AND name = 'reservations';
PRAGMA writable_schema = RESET;
";

/// The time of the last change of the state, and the life that changed it, were called the end of the
/// reservation, which they are for reservations that ended.
const VERSION_4: &str = "
ALTER TABLE reservations RENAME COLUMN ended_ms TO changed_ms;
ALTER TABLE reservations RENAME COLUMN ended_by TO changed_by;
";

/// An event when somebody creates or changes an article: the article as it was then.
const VERSION_5: &str = "
CREATE TABLE outbox (
    seq      INTEGER PRIMARY KEY,
    at_ms    INTEGER NOT NULL,
    sku      TEXT NOT NULL,
    name     TEXT NOT NULL,
    amount   INTEGER NOT NULL,
    currency TEXT NOT NULL,
    on_hand  INTEGER NOT NULL
) STRICT;
";

/// Articles can be taken off sale, know when they changed, and their adjustments have rows. Workers of the
/// version before go on: every column of theirs is as it was, and what they write has these defaults. A time
/// of 0 is unknown. `adjusted` is the sum of the rows that are kept, and a part of `received`.
const VERSION_7: &str = "
ALTER TABLE stock ADD COLUMN on_sale INTEGER NOT NULL DEFAULT 1 CHECK (on_sale = 0 OR on_sale = 1);
ALTER TABLE stock ADD COLUMN changed_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN on_sale INTEGER NOT NULL DEFAULT 1;
ALTER TABLE stock ADD COLUMN adjusted INTEGER NOT NULL DEFAULT 0;
CREATE TABLE adjustments (
    number  INTEGER PRIMARY KEY,
    sku     TEXT NOT NULL,
    delta   INTEGER NOT NULL CHECK (delta <> 0),
    reason  TEXT NOT NULL,
    on_hand INTEGER NOT NULL, -- right after it
    at_ms   INTEGER NOT NULL,
    key     TEXT NOT NULL UNIQUE
) STRICT;
CREATE INDEX adjustments_of_article ON adjustments (sku, number);
";

/// The number of a state in the column `reservations.state`.
fn number(state: ReservationState) -> i64 {
    match state {
        ReservationState::Held => 10,
        ReservationState::Committed => 20,
        ReservationState::Released => 30,
        ReservationState::Refused => 40,
        ReservationState::Tombstone => 50,
    }
}

impl ToSql for ReservationState {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(number(*self)))
    }
}

impl FromSql for ReservationState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<ReservationState> {
        let found = value.as_i64()?;
        let state = ReservationState::ALL
            .into_iter()
            .find(|state| number(*state) == found);
        state.ok_or(FromSqlError::OutOfRange(found))
    }
}
