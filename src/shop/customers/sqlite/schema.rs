//! The tables of `customers.db`.

use crate::store::Schema;

/// The file's name in the data directory.
pub const FILE: &str = "customers.db";

/// The read model of customers.
pub const SCHEMA: Schema = Schema {
    name: "customers",
    application_id: 0x436c_4355,
    migrations: &[VERSION_1],
};

/// Rows of another generation than the one in use are those of a model that is being built, or was replaced.
const VERSION_1: &str = "
CREATE TABLE totals (
    generation        INTEGER NOT NULL,
    customer_id       TEXT NOT NULL,
    currency          TEXT NOT NULL,
    orders            INTEGER NOT NULL, -- confirmed ones
    amount            INTEGER NOT NULL, -- what they cost together, minor units
    opening_orders    INTEGER NOT NULL DEFAULT 0, -- the part that was removed when the model was built
    opening_amount    INTEGER NOT NULL DEFAULT 0,
    opening_before_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (generation, customer_id, currency)
) STRICT, WITHOUT ROWID;
-- How far the model has come, written with what it led to: the generation in use, and the last event of
-- orders that is in it.
CREATE TABLE inbox (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    generation INTEGER NOT NULL,
    stream     INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL
) STRICT;
";
