//! The orders of a database to be read only, for the audit, an order's report and operators.

use super::{lists, row};
use crate::base::ids::{HostId, Incarnation, Life};
use crate::postgres::{Call, DatabaseSnapshot};
use crate::shop::contract::{CustomerId, CustomerTotals, OrderId, OrdersMark, StorageError};
use crate::shop::engine::PostgresPlace;
use crate::shop::orders::records::{
    AttemptRecord, AuditedOrder, BadKey, EventRecord, ForeignEvent, InterventionRecord, ListedOrder,
    ListedOrdersQuery, OrderDetails, OrderStanding, OrdersAudit, RetentionRange, StatusFilter,
};
use crate::shop::orders::repository::TakeoverRecord;
use crate::shop::postgres::{Columns, DatabaseReader, each_row, event_streams, fences, order_ids};

/// Orders that are read at once for the audit.
const AT_ONCE: i64 = 5_000;

/// The columns that [`standing`] reads, in its order.
macro_rules! standing_columns {
    () => {
        "status, owner, claim_no, version, changed_ms, reason, given_up IS NOT NULL"
    };
}

/// The orders as they are stored, for readers that change nothing. One method is one transaction.
pub(in crate::shop) struct PostgresOrdersReader(DatabaseReader, HostId);

impl PostgresOrdersReader {
    /// Of the database of that place, which is looked at once to see whether it can be read.
    pub(in crate::shop) async fn open(place: &PostgresPlace) -> Result<PostgresOrdersReader, StorageError> {
        let reader = DatabaseReader::open(place, &super::POSTGRES_SCHEMA).await?;
        Ok(PostgresOrdersReader(reader, place.host))
    }

    pub(in crate::shop) async fn missing_objects(&self) -> Result<Vec<String>, StorageError> {
        self.0.missing_objects().await
    }

    pub(in crate::shop) async fn check_pages(&self) -> Result<String, StorageError> {
        self.0.check_pages().await
    }

    pub(in crate::shop) async fn newest_incarnation(&self) -> Result<Incarnation, StorageError> {
        let newest =
            "SELECT greatest((SELECT coalesce(max(incarnation_on_1($1, owner)), 0) FROM orders WHERE status < 20),
            (SELECT coalesce(max(incarnation), 0) FROM fences WHERE host = $1))";
        let rows = self.0.rows(Call::new(newest).bind(self.1.to_string())).await?;
        let newest = rows.first().map_or(Ok(0), |row| Columns(row).count(0))?;
        Ok(Incarnation(newest))
    }

    pub(in crate::shop) async fn audit(
        &self,
        mut visit: impl FnMut(AuditedOrder<'_>),
    ) -> Result<OrdersAudit, StorageError> {
        let snapshot = self.0.snapshot().await?;
        let page =
            "SELECT o.id, o.status, o.amount, o.currency, o.method, o.items, coalesce(e.events, 0), e.event,
                o.changed_ms <= (SELECT coalesce(max(removed_ms), 0) FROM event_stream)
            FROM (SELECT * FROM orders WHERE id > $1 ORDER BY id LIMIT $2) AS o
            LEFT JOIN LATERAL (SELECT count(*)::int4 AS events, min(event) AS event FROM outbox
                WHERE order_id = o.id) AS e ON true
            ORDER BY o.id";
        each_row(&snapshot, page, (i64::MIN, AT_ONCE), |row| {
            visit_order(row, &mut visit)
        })
        .await?;
        let events = snapshot.read(Call::new("SELECT count(*) FROM outbox")).await?;
        let events: i64 = events.first().map_or(Ok(0), |row| Columns(row).get(0))?;
        Ok(OrdersAudit {
            events,
            // The numbers of this database have gaps.
            event_numbers: events,
            foreign_events: foreign_events(&snapshot).await?,
            bad_keys: bad_keys(&snapshot).await?,
        })
    }

    pub(in crate::shop) async fn retention_range(&self) -> Result<RetentionRange, StorageError> {
        let range = "SELECT (SELECT coalesce(max(order_id), 0) FROM horizon),
            (SELECT coalesce(min(id), 0) FROM orders), (SELECT coalesce(max(id), 0) FROM orders)";
        let rows = self.0.rows(Call::new(range)).await?;
        let row = Columns(rows.first().ok_or_else(super::no_row)?);
        Ok(RetentionRange {
            horizon: row.order(0)?,
            oldest: row.order(1)?,
            newest: row.order(2)?,
        })
    }

    pub(in crate::shop) async fn takeovers(&self) -> Result<Vec<(OrderId, TakeoverRecord)>, StorageError> {
        let all = "SELECT order_id, claim_no, from_owner, to_owner, at_ms FROM takeovers";
        let rows = self.0.rows(Call::new(all)).await?;
        rows.iter()
            .map(|row| Ok((Columns(row).order(0)?, row::takeover(Columns(row), 1)?)))
            .collect()
    }

    pub(in crate::shop) async fn standing(
        &self,
        order: OrderId,
    ) -> Result<Option<OrderStanding>, StorageError> {
        let of = concat!("SELECT ", standing_columns!(), " FROM orders WHERE id = $1");
        let rows = self.0.rows(Call::new(of).bind(order.key())).await?;
        rows.first().map(|row| standing(Columns(row), 0)).transpose()
    }

    pub(in crate::shop) async fn records(
        &self,
        order: OrderId,
    ) -> Result<Option<OrderDetails>, StorageError> {
        let snapshot = self.0.snapshot().await?;
        let of = concat!(
            "SELECT customer_id, items, amount, currency, method, request_id, ",
            standing_columns!(),
            " FROM orders WHERE id = $1"
        );
        let rows = snapshot.read(Call::new(of).bind(order.key())).await?;
        let Some(row) = rows.first().map(Columns) else {
            return Ok(None);
        };
        Ok(Some(OrderDetails {
            customer: row.get(0)?,
            items: row.get(1)?,
            amount: row.get(2)?,
            currency: row.get(3)?,
            method: row.get(4)?,
            request_id: row.get(5)?,
            standing: standing(row, 6)?,
            takeovers: takeovers(&snapshot, order).await?,
            attempts: attempts(&snapshot, order).await?,
            interventions: interventions(&snapshot, order).await?,
            events: events(&snapshot, order).await?,
        }))
    }

    pub(in crate::shop) async fn newest_event(&self) -> Result<OrdersMark, StorageError> {
        let rows = self.0.rows(Call::new(event_streams::KNOWN)).await?;
        let known = event_streams::known_in(&rows)?;
        Ok(known.map_or(OrdersMark::NONE, OrdersMark::from))
    }

    pub(in crate::shop) async fn events_behind(&self, number: u64) -> Result<u64, StorageError> {
        let behind = Call::new("SELECT count(*) FROM outbox WHERE number > $1").bind(number.cast_signed());
        let rows = self.0.rows(behind).await?;
        rows.first().map_or(Ok(0), |row| Columns(row).count(0))
    }

    pub(in crate::shop) async fn totals_as_of(
        &self,
        number: u64,
        after: Option<CustomerId>,
        limit: usize,
    ) -> Result<Vec<CustomerTotals>, StorageError> {
        lists::totals_as_of((number, after, limit), |call| self.0.rows(call)).await
    }

    pub(in crate::shop) async fn is_fenced(&self, life: Life) -> Result<bool, StorageError> {
        fences::says_fenced(&self.0.rows(fences::ask_whether_fenced(life)).await?)
    }

    pub(in crate::shop) async fn parked(&self) -> Result<Vec<OrderId>, StorageError> {
        let rows = self
            .0
            .rows(Call::new("SELECT id FROM orders WHERE status = 11 ORDER BY id"))
            .await?;
        order_ids(&rows)
    }

    pub(in crate::shop) async fn list(
        &self,
        query: ListedOrdersQuery,
    ) -> Result<Vec<ListedOrder>, StorageError> {
        const LIST: &str = concat!(
            "SELECT id, customer_id, given_up, ",
            standing_columns!(),
            " FROM orders WHERE id > $1 AND id < $2 AND (CASE WHEN $3::smallint IS NULL THEN status < 20
                ELSE status = $3 END)
            AND ($4::text IS NULL OR customer_id = $4)
            AND ($5::text IS NULL OR owner = $5 OR left(owner, length($5) + 1) = $5 || '/')
            AND ($6::int IS NULL OR version = $6) ORDER BY id LIMIT $7"
        );
        let status = match query.status {
            StatusFilter::Unfinished => None,
            StatusFilter::Only(status) => Some(row::status_number(status)),
        };
        let call = Call::new(LIST)
            .bind(query.after.map_or(-1, OrderId::key))
            .bind(query.before.key())
            .bind(status)
            .bind(query.customer)
            .bind(query.owner)
            .bind(query.version.map(u32::cast_signed))
            .bind(i64::from(query.limit));
        let rows = self.0.rows(call).await?;
        let listed = rows.iter().map(Columns).map(|row| {
            Ok(ListedOrder {
                id: row.order(0)?,
                customer: row.get(1)?,
                given_up: row.get(2)?,
                standing: standing(row, 3)?,
            })
        });
        listed.collect()
    }
}

fn visit_order(row: Columns<'_>, visit: &mut impl FnMut(AuditedOrder<'_>)) -> Result<(), StorageError> {
    let (currency, method, items): (String, String, String) = (row.get(3)?, row.get(4)?, row.get(5)?);
    let first_event: Option<String> = row.get(7)?;
    visit(AuditedOrder {
        id: row.order(0)?,
        status: row::status(row, 1)?,
        amount: row.get(2)?,
        currency: &currency,
        method: &method,
        items: &items,
        events: row.small(6)?,
        first_event: first_event.as_deref(),
        may_lack_event: row.get(8)?,
    });
    Ok(())
}

async fn foreign_events(snapshot: &DatabaseSnapshot) -> Result<Vec<ForeignEvent>, StorageError> {
    let foreign = "SELECT number, event, order_id FROM outbox WHERE NOT EXISTS (SELECT 1 FROM orders
            WHERE id = order_id) AND order_id >= (SELECT coalesce(max(h.order_id), 0) FROM horizon AS h)
        ORDER BY number";
    let rows = snapshot.read(Call::new(foreign)).await?;
    let events = rows.iter().map(Columns).map(|row| {
        Ok(ForeignEvent {
            seq: row.get(0)?,
            event: row.get(1)?,
            order: row.order(2)?,
        })
    });
    events.collect()
}

async fn bad_keys(snapshot: &DatabaseSnapshot) -> Result<Vec<BadKey>, StorageError> {
    let bad = "SELECT key, order_id, o.id IS NULL, length(body_hash)::bigint FROM idempotency_keys
        LEFT JOIN orders AS o ON o.id = order_id
        WHERE o.id IS NULL OR length(body_hash) <> 32 ORDER BY order_id";
    let rows = snapshot.read(Call::new(bad)).await?;
    let keys = rows.iter().map(Columns).map(|row| {
        Ok(BadKey {
            key: row.get(0)?,
            order: row.order(1)?,
            is_foreign: row.get(2)?,
            hash_bytes: row.get(3)?,
        })
    });
    keys.collect()
}

/// The standing in the columns from `from` on.
fn standing(row: Columns<'_>, from: usize) -> Result<OrderStanding, StorageError> {
    Ok(OrderStanding {
        status: row::status(row, from)?,
        owner: row.life(from + 1)?,
        claim_no: row.small(from + 2)?,
        version: row.small(from + 3)?,
        changed_ms: row.count(from + 4)?,
        reason: row.get(from + 5)?,
        is_given_up: row.get(from + 6)?,
    })
}

async fn takeovers(snapshot: &DatabaseSnapshot, order: OrderId) -> Result<Vec<TakeoverRecord>, StorageError> {
    let of =
        "SELECT claim_no, from_owner, to_owner, at_ms FROM takeovers WHERE order_id = $1 ORDER BY claim_no";
    let rows = snapshot.read(Call::new(of).bind(order.key())).await?;
    rows.iter().map(|row| row::takeover(Columns(row), 0)).collect()
}

async fn attempts(snapshot: &DatabaseSnapshot, order: OrderId) -> Result<Vec<AttemptRecord>, StorageError> {
    let of =
        "SELECT step, claim_no, worker, attempts, first_ms, last_ms, next_ms, until_ms, reason FROM attempts
        WHERE order_id = $1";
    let rows = snapshot.read(Call::new(of).bind(order.key())).await?;
    let attempts = rows.iter().map(Columns).map(|row| {
        Ok(AttemptRecord {
            step: row.get(0)?,
            claim_no: row.small(1)?,
            worker: row.life(2)?,
            attempts: row.small(3)?,
            first_ms: row.count(4)?,
            last_ms: row.count(5)?,
            next_ms: row.count(6)?,
            until_ms: row.count(7)?,
            reason: row.get(8)?,
        })
    });
    attempts.collect()
}

async fn interventions(
    snapshot: &DatabaseSnapshot,
    order: OrderId,
) -> Result<Vec<InterventionRecord>, StorageError> {
    let of = "SELECT at_ms, act, who, reason FROM interventions WHERE order_id = $1";
    let rows = snapshot.read(Call::new(of).bind(order.key())).await?;
    let interventions = rows.iter().map(Columns).map(|row| {
        Ok(InterventionRecord {
            at_ms: row.count(0)?,
            act: row.get(1)?,
            who: row.get(2)?,
            reason: row.get(3)?,
        })
    });
    interventions.collect()
}

async fn events(snapshot: &DatabaseSnapshot, order: OrderId) -> Result<Vec<EventRecord>, StorageError> {
    let of = "SELECT number, event, at_ms FROM outbox WHERE order_id = $1";
    let rows = snapshot.read(Call::new(of).bind(order.key())).await?;
    let events = rows.iter().map(Columns).map(|row| {
        Ok(EventRecord {
            seq: row.get(0)?,
            event: row.get(1)?,
            at_ms: row.count(2)?,
        })
    });
    events.collect()
}
