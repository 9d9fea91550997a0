//! The tables of `payments.db`.

use crate::shop::sqlite::{event_streams, fences};
use crate::store::Schema;

/// The file's name in the data directory.
pub const FILE: &str = "payments.db";

/// The tables of the payments service, and how an older file becomes one of today.
pub const SCHEMA: Schema = Schema {
    name: "payments",
    application_id: 0x436c_5059,
    migrations: &[
        VERSION_1,
        fences::TABLE,
        VERSION_3,
        VERSION_4,
        VERSION_5,
        event_streams::TABLE,
        event_streams::GAPS,
    ],
};

/// The column `payments.state`: the money was taken, and given back if there is a refund.
pub(super) const SUCCEEDED: i64 = 10;
/// The column `payments.state`: the provider refused the charge.
pub(super) const DECLINED: i64 = 20;
/// The column `payments.state`: no money was taken, and none will be.
pub(super) const CANCELLED: i64 = 30;

/// The column `outbox.state`: the money was given back. The others are those of a payment.
pub(super) const REFUNDED: i64 = 40;

/// One payment per order, so the order is the key and nothing needs an index of its own. Written once, when
/// it is decided.
const VERSION_1: &str = "
CREATE TABLE payments (
    order_id INTEGER PRIMARY KEY,
    state    INTEGER NOT NULL CHECK (state IN (10, 20, 30)), -- succeeded, declined, cancelled
    claim_no INTEGER NOT NULL,
    amount   INTEGER NOT NULL CHECK (amount >= 0),
    currency TEXT NOT NULL,
    method   TEXT NOT NULL,
    receipt  TEXT,              -- the provider's name of the charge
    code     TEXT,              -- why it was declined
    message  TEXT,
    at_ms    INTEGER NOT NULL,
    by       TEXT NOT NULL      -- the life of a worker
) STRICT;
";

/// The refund of a charge. Its columns are added to the payment's row, so that the charge stays recorded.
const VERSION_3: &str = "
ALTER TABLE payments ADD COLUMN refund TEXT;         -- the provider's name of the refund
ALTER TABLE payments ADD COLUMN refunded_ms INTEGER;
ALTER TABLE payments ADD COLUMN refunded_by TEXT;    -- the life of a worker
";

/// The same check without a list, which SQLite makes a table of for each row (see the orders' schema).
const VERSION_4: &str = "
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'state IN (10, 20, 30)', 'state = 10 OR state = 20 OR state = 30')
    WHERE type = 'table' AND name = 'payments';
PRAGMA writable_schema = RESET;
";

/// An event when a payment is decided, and one when it is refunded. The payment may be removed before its
/// events.
const VERSION_5: &str = "
CREATE TABLE outbox (
    seq      INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL,
    state    INTEGER NOT NULL, -- 10 succeeded, 20 declined, 30 cancelled, 40 refunded
    at_ms    INTEGER NOT NULL,
    amount   INTEGER NOT NULL,
    currency TEXT NOT NULL
) STRICT;
";
