//! `orders.db` opened to be read only, for the audit, an order's report and operators.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::schema::{FILE, SCHEMA};
use super::{claims, history, totals};
use crate::base::ids::{Incarnation, Life};
use crate::shop::contract::{CustomerId, CustomerTotals, OrderId, OrdersMark, StorageError};
use crate::shop::orders::domain::OrderStatus;
use crate::shop::orders::records::{
    AttemptRecord, AuditedOrder, BadKey, EventRecord, ForeignEvent, InterventionRecord, ListedOrder,
    ListedOrdersQuery, OrderDetails, OrderStanding, OrdersAudit, RetentionRange, StatusFilter,
};
use crate::shop::orders::repository::TakeoverRecord;
use crate::shop::sqlite::read_only::{ReadOnlyDatabase, holds_any};
use crate::shop::sqlite::{StoredLife, event_streams, fences};

/// The columns that [`standing`] reads, in its order.
macro_rules! standing_columns {
    () => {
        "status, owner, claim_no, version, changed_ms, reason, given_up IS NOT NULL"
    };
}

/// The orders as they are stored, for readers that change nothing. One method is one transaction.
pub(in crate::shop) struct SqliteOrdersReader(ReadOnlyDatabase);

impl SqliteOrdersReader {
    /// Opens the orders under `data_dir`.
    pub(in crate::shop) async fn open(data_dir: &Path) -> Result<SqliteOrdersReader, StorageError> {
        ReadOnlyDatabase::open(data_dir, FILE, &SCHEMA).map(SqliteOrdersReader)
    }

    /// Whether there is any order under `data_dir`; `false` when that cannot be read.
    pub(in crate::shop) async fn holds_any(data_dir: &Path) -> bool {
        holds_any(&data_dir.join(FILE), "orders")
    }

    /// The tables, indexes, views and triggers that are gone, as text.
    pub(in crate::shop) async fn missing_objects(&self) -> Result<Vec<String>, StorageError> {
        self.0.missing_objects()
    }

    /// Checks every page: `ok`, or what is broken.
    pub(in crate::shop) async fn check_pages(&self) -> Result<String, StorageError> {
        self.0.check_pages()
    }

    /// The highest incarnation that the orders know of.
    pub(in crate::shop) async fn newest_incarnation(&self) -> Result<Incarnation, StorageError> {
        Ok(claims::newest_incarnation(self.0.connection())?)
    }

    /// Shows every order to `visit`, and reads the events and keys in the same snapshot.
    pub(in crate::shop) async fn audit(
        &self,
        mut visit: impl FnMut(AuditedOrder<'_>),
    ) -> Result<OrdersAudit, StorageError> {
        let snapshot = self.0.connection().unchecked_transaction()?;
        visit_orders(&snapshot, &mut visit)?;
        let (event_numbers, events) = event_streams::numbers_and_events(&snapshot)?;
        Ok(OrdersAudit {
            events,
            event_numbers,
            foreign_events: foreign_events(&snapshot)?,
            bad_keys: bad_keys(&snapshot)?,
        })
    }

    /// How far retention has come.
    pub(in crate::shop) async fn retention_range(&self) -> Result<RetentionRange, StorageError> {
        let range = "SELECT (SELECT coalesce(max(order_id), 0) FROM horizon),
            (SELECT coalesce(min(id), 0) FROM orders), (SELECT coalesce(max(id), 0) FROM orders)";
        Ok(self.0.connection().query_row(range, [], |row| {
            let order = |column: usize| row.get(column).map(OrderId::from_key);
            Ok(RetentionRange {
                horizon: order(0)?,
                oldest: order(1)?,
                newest: order(2)?,
            })
        })?)
    }

    /// Every claim of a saga after its first.
    pub(in crate::shop) async fn takeovers(&self) -> Result<Vec<(OrderId, TakeoverRecord)>, StorageError> {
        Ok(history::all_takeovers(self.0.connection())?)
    }

    /// Where the order stands.
    pub(in crate::shop) async fn standing(
        &self,
        order: OrderId,
    ) -> Result<Option<OrderStanding>, StorageError> {
        let standing_of = concat!("SELECT ", standing_columns!(), " FROM orders WHERE id = ?1");
        let mut statement = self.0.connection().prepare_cached(standing_of)?;
        Ok(statement
            .query_row([order.key()], |row| standing(row, 0))
            .optional()?)
    }

    /// Everything that is stored about the order, read in one snapshot.
    pub(in crate::shop) async fn records(
        &self,
        order: OrderId,
    ) -> Result<Option<OrderDetails>, StorageError> {
        let snapshot = self.0.connection().unchecked_transaction()?;
        Ok(records(&snapshot, order)?)
    }

    /// The newest event.
    pub(in crate::shop) async fn newest_event(&self) -> Result<OrdersMark, StorageError> {
        let known = event_streams::known(self.0.connection())?;
        Ok(known.map_or(OrdersMark::NONE, OrdersMark::from))
    }

    /// How many events there are behind that number.
    pub(in crate::shop) async fn events_behind(&self, number: u64) -> Result<u64, StorageError> {
        Ok(event_streams::behind(self.0.connection(), number)?)
    }

    /// The totals of the next customers after that one, as of the event of that number.
    pub(in crate::shop) async fn totals_as_of(
        &self,
        number: u64,
        after: Option<CustomerId>,
        limit: usize,
    ) -> Result<Vec<CustomerTotals>, StorageError> {
        Ok(totals::as_of(self.0.connection(), number, after.as_ref(), limit)?)
    }

    /// Whether that life is fenced off.
    pub(in crate::shop) async fn is_fenced(&self, life: Life) -> Result<bool, StorageError> {
        Ok(fences::is_fenced(self.0.connection(), life)?)
    }

    /// The orders that are parked, the oldest first.
    pub(in crate::shop) async fn parked(&self) -> Result<Vec<OrderId>, StorageError> {
        let parked = "SELECT id FROM unfinished_orders WHERE status = ?1 ORDER BY id";
        let mut statement = self.0.connection().prepare(parked)?;
        let ids = statement.query_map([OrderStatus::Parked], |row| Ok(OrderId::from_key(row.get(0)?)))?;
        Ok(ids.collect::<rusqlite::Result<_>>()?)
    }

    /// The orders that an operator wants to see, the oldest first.
    pub(in crate::shop) async fn list(
        &self,
        query: ListedOrdersQuery,
    ) -> Result<Vec<ListedOrder>, StorageError> {
        Ok(list(self.0.connection(), &query)?)
    }
}

fn visit_orders(snapshot: &Connection, visit: &mut impl FnMut(AuditedOrder<'_>)) -> rusqlite::Result<()> {
    let mut orders = snapshot.prepare(
        "SELECT id, status, amount, currency, method, items, coalesce(events, 0), event,
            changed_ms <= (SELECT coalesce(max(removed_ms), 0) FROM event_stream) FROM orders
         LEFT JOIN (SELECT order_id, count(*) AS events, min(event) AS event FROM outbox GROUP BY order_id)
         ON order_id = id",
    )?;
    let mut rows = orders.query([])?;
    while let Some(row) = rows.next()? {
        visit(AuditedOrder {
            id: OrderId::from_key(row.get(0)?),
            status: row.get(1)?,
            amount: row.get(2)?,
            currency: row.get_ref(3)?.as_str()?,
            method: row.get_ref(4)?.as_str()?,
            items: row.get_ref(5)?.as_str()?,
            events: row.get(6)?,
            first_event: row.get_ref(7)?.as_str_or_null()?,
            may_lack_event: row.get(8)?,
        });
    }
    Ok(())
}

fn foreign_events(snapshot: &Connection) -> rusqlite::Result<Vec<ForeignEvent>> {
    snapshot
        .prepare(
            "SELECT seq, event, order_id FROM outbox LEFT JOIN orders ON id = order_id
             WHERE id IS NULL AND NOT (outbox.customer_id IS NOT NULL
                AND order_id < (SELECT coalesce(max(order_id), 0) FROM horizon)) ORDER BY seq",
        )?
        .query_map([], |row| {
            Ok(ForeignEvent {
                seq: row.get(0)?,
                event: row.get(1)?,
                order: OrderId::from_key(row.get(2)?),
            })
        })?
        .collect()
}

fn bad_keys(snapshot: &Connection) -> rusqlite::Result<Vec<BadKey>> {
    snapshot
        .prepare(
            "SELECT key, order_id, id IS NULL, length(body_hash) FROM idempotency_keys
             LEFT JOIN orders ON id = order_id
             WHERE id IS NULL OR length(body_hash) <> 32 ORDER BY order_id",
        )?
        .query_map([], |row| {
            Ok(BadKey {
                key: row.get(0)?,
                order: OrderId::from_key(row.get(1)?),
                is_foreign: row.get(2)?,
                hash_bytes: row.get(3)?,
            })
        })?
        .collect()
}

fn records(snapshot: &Connection, order: OrderId) -> rusqlite::Result<Option<OrderDetails>> {
    let columns = concat!(
        "SELECT customer_id, items, amount, currency, method, request_id, ",
        standing_columns!(),
        " FROM orders WHERE id = ?1"
    );
    let found = snapshot.query_row(columns, [order.key()], |row| {
        Ok(OrderDetails {
            customer: row.get(0)?,
            items: row.get(1)?,
            amount: row.get(2)?,
            currency: row.get(3)?,
            method: row.get(4)?,
            request_id: row.get(5)?,
            standing: standing(row, 6)?,
            takeovers: Vec::new(),
            attempts: Vec::new(),
            interventions: Vec::new(),
            events: Vec::new(),
        })
    });
    let Some(found) = found.optional()? else {
        return Ok(None);
    };
    Ok(Some(OrderDetails {
        takeovers: history::takeovers(snapshot, order)?,
        attempts: attempts(snapshot, order)?,
        interventions: interventions(snapshot, order)?,
        events: events(snapshot, order)?,
        ..found
    }))
}

/// The standing in the columns from `from` on.
fn standing(row: &Row<'_>, from: usize) -> rusqlite::Result<OrderStanding> {
    let StoredLife(owner) = row.get(from + 1)?;
    Ok(OrderStanding {
        status: row.get(from)?,
        owner,
        claim_no: row.get(from + 2)?,
        version: row.get(from + 3)?,
        changed_ms: millis(row, from + 4)?,
        reason: row.get(from + 5)?,
        is_given_up: row.get(from + 6)?,
    })
}

fn attempts(snapshot: &Connection, order: OrderId) -> rusqlite::Result<Vec<AttemptRecord>> {
    snapshot
        .prepare(
            "SELECT step, claim_no, worker, attempts, first_ms, last_ms, next_ms, until_ms, reason FROM attempts
             WHERE order_id = ?1",
        )?
        .query_map([order.key()], |row| {
            let StoredLife(worker) = row.get(2)?;
            Ok(AttemptRecord {
                step: row.get(0)?,
                claim_no: row.get(1)?,
                worker,
                attempts: row.get(3)?,
                first_ms: millis(row, 4)?,
                last_ms: millis(row, 5)?,
                next_ms: millis(row, 6)?,
                until_ms: millis(row, 7)?,
                reason: row.get(8)?,
            })
        })?
        .collect()
}

fn interventions(snapshot: &Connection, order: OrderId) -> rusqlite::Result<Vec<InterventionRecord>> {
    snapshot
        .prepare("SELECT at_ms, act, who, reason FROM interventions WHERE order_id = ?1")?
        .query_map([order.key()], |row| {
            Ok(InterventionRecord {
                at_ms: millis(row, 0)?,
                act: row.get(1)?,
                who: row.get(2)?,
                reason: row.get(3)?,
            })
        })?
        .collect()
}

fn events(snapshot: &Connection, order: OrderId) -> rusqlite::Result<Vec<EventRecord>> {
    snapshot
        .prepare("SELECT seq, event, at_ms FROM outbox WHERE order_id = ?1")?
        .query_map([order.key()], |row| {
            Ok(EventRecord {
                seq: row.get(0)?,
                event: row.get(1)?,
                at_ms: millis(row, 2)?,
            })
        })?
        .collect()
}

fn list(connection: &Connection, query: &ListedOrdersQuery) -> rusqlite::Result<Vec<ListedOrder>> {
    let (from, status) = match query.status {
        StatusFilter::Unfinished => ("unfinished_orders WHERE :status IS NULL", None),
        StatusFilter::Only(status) if status.is_ended() => {
            ("ended_orders WHERE status = :status", Some(status))
        }
        StatusFilter::Only(status) => ("unfinished_orders WHERE status = :status", Some(status)),
    };
    let columns = standing_columns!();
    let sql = format!(
        "SELECT id, customer_id, given_up, {columns} FROM {from} AND id > :after AND id < :before
         AND (:customer IS NULL OR customer_id = :customer)
         AND (:owner IS NULL OR owner = :owner OR substr(owner, 1, length(:owner) + 1) = :owner || '/')
         AND (:version IS NULL OR version = :version) ORDER BY id LIMIT :limit"
    );
    let mut statement = connection.prepare(&sql)?;
    let parameters = named_params! {
        ":status": status,
        ":after": query.after.map_or(-1, OrderId::key),
        ":before": query.before.key(),
        ":customer": query.customer,
        ":owner": query.owner,
        ":version": query.version,
        ":limit": query.limit,
    };
    let listed = |row: &Row<'_>| {
        Ok(ListedOrder {
            id: OrderId::from_key(row.get(0)?),
            customer: row.get(1)?,
            given_up: row.get(2)?,
            standing: standing(row, 3)?,
        })
    };
    statement.query_map(parameters, listed)?.collect()
}

/// A column of milliseconds since 1970.
fn millis(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}
