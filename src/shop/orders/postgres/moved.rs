//! The tables of the orders for whoever moves them.

use crate::shop::postgres::{FENCES, MovedTable};

/// All tables.
pub(in crate::shop) const MOVED: &[MovedTable] = &[
    MovedTable::same(
        "orders",
        "id, status, customer_id, items, amount, currency, method, version, owner, claim_no, changed_ms, \
         reason, given_up, fresh_from, request_id, traceparent",
        "id",
    ),
    MovedTable::same(
        "takeovers",
        "order_id, claim_no, from_owner, to_owner, at_ms",
        "order_id, claim_no",
    ),
    EVENTS,
    MovedTable::same("idempotency_keys", "order_id, key, body_hash", "order_id"),
    MovedTable::same(
        "interventions",
        "order_id, at_ms, act, who, reason",
        "order_id, at_ms",
    ),
    MovedTable::same(
        "attempts",
        "order_id, claim_no, step, worker, attempts, first_ms, last_ms, next_ms, until_ms, reason",
        "order_id, claim_no, step",
    ),
    MovedTable::same(
        "budget_used",
        "order_id, claim_no, step, used_ms",
        "order_id, claim_no, step",
    ),
    MovedTable::same("horizon", "one, order_id", "one"),
    MovedTable::same(
        "removed_totals",
        "customer_id, currency, orders, amount, before_ms",
        "customer_id, currency",
    ),
    FENCES,
    MovedTable::other(
        ("hosts", "incarnation, master", "incarnation"),
        "SELECT incarnation, epoch FROM fences WHERE slot = -2 ORDER BY incarnation DESC LIMIT 1",
        "INSERT INTO fences (slot, incarnation, epoch) VALUES (-2, ?1, ?2)",
    )
    .only("host = ''"),
];

/// What a program of an older version wrote has its content in the order alone.
const EVENTS: MovedTable = MovedTable::other(
    (
        "outbox",
        "number, order_id, event, at_ms, customer_id, items, amount, currency, reason, request_id, \
         traceparent",
        "number",
    ),
    "SELECT o.seq, o.order_id, o.event, o.at_ms, coalesce(o.customer_id, orders.customer_id),
        coalesce(o.items, orders.items), coalesce(o.amount, orders.amount),
        coalesce(o.currency, orders.currency), coalesce(o.reason, orders.reason),
        coalesce(o.request_id, orders.request_id), coalesce(o.traceparent, orders.traceparent)
     FROM outbox AS o LEFT JOIN orders ON o.customer_id IS NULL AND orders.id = o.order_id
     WHERE coalesce(o.customer_id, orders.customer_id) IS NOT NULL ORDER BY o.seq",
    "INSERT INTO outbox (seq, order_id, event, at_ms, customer_id, items, amount, currency, reason,
        request_id, traceparent) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
);
