//! What the outboxes of all services have in common. The number of an event holds the number of the
//! transaction that wrote it (`(xid << 20) + base + place`), and nobody reads behind the oldest transaction
//! that is under way on the server: one that commits late is never skipped. So numbers ascend and have gaps.

use std::time::Duration;

use super::{Columns, row_count};
use crate::postgres::{Call, PostgresStore, Row};
use crate::shop::contract::{EventsAfter, HeldEvent, KnownStream, StorageError, StoredEvent, StreamId};
use crate::store::Admission;

/// Events that are committed and not to be read yet are waited for so often, so long each time.
const LOOKS: u32 = 100;
const BETWEEN: Duration = Duration::from_millis(5);
/// Between two looks while a transaction that is open on the server holds events back.
const HALTED: Duration = Duration::from_millis(100);
/// Events that are removed in one transaction at most, so that no order waits long for it.
const TRIMMED_AT_ONCE: i64 = 500;

/// The ends of the outbox: the number of the last event that was removed, of the newest that may be read, and
/// of the newest that is committed.
const ENDS: &str = "SELECT (SELECT coalesce(max(removed_number), 0) FROM event_stream),
    (SELECT coalesce(max(number), 0) FROM outbox WHERE number < events_end_1()),
    (SELECT coalesce(max(number), 0) FROM outbox)";

/// The line as it is recorded, and the newest number that may be read.
pub(in crate::shop) const KNOWN: &str = "SELECT id,
    (SELECT coalesce(max(number), 0) FROM outbox WHERE number < events_end_1()) FROM event_stream";

/// The line of the events. Begins a new one if the database is not the one that the old line belongs to, or
/// is behind what is known of it.
pub(in crate::shop) async fn current(
    store: &PostgresStore,
    known: Option<KnownStream>,
) -> Result<StreamId, StorageError> {
    let newest = Call::new("SELECT coalesce(max(number), 0) FROM outbox");
    let newest: i64 = Columns(store.look_up(newest).await?.first().ok_or_else(no_row)?).get(0)?;
    let line = Call::new("SELECT event_line_1($1, $2, $3, $4)")
        .bind(known.map(|known| known.id.0.cast_signed()))
        .bind(known.map(|known| known.newest.cast_signed()))
        .bind(newest)
        .bind((fastrand::u64(1..) >> 1).cast_signed());
    let rows = store.write(Admission::Continue, line).await?;
    let id: i64 = Columns(rows.first().ok_or_else(no_row)?).get(0)?;
    Ok(StreamId(id.cast_unsigned()))
}

/// The line as it is recorded, and the newest number that may be read.
pub(in crate::shop) async fn known(store: &PostgresStore) -> Result<Option<KnownStream>, StorageError> {
    known_in(&store.look_up(Call::new(KNOWN)).await?)
}

/// What the answer to [`KNOWN`] says.
pub(in crate::shop) fn known_in(rows: &[Row]) -> Result<Option<KnownStream>, StorageError> {
    let known = rows.first().map(|row| {
        let id: i64 = Columns(row).get(0)?;
        Ok(KnownStream {
            id: StreamId(id.cast_unsigned()),
            newest: Columns(row).count(1)?,
        })
    });
    known.transpose()
}

/// The ends of an outbox.
#[derive(Clone, Copy, Debug)]
pub(in crate::shop) struct OutboxEnds {
    /// The number that the oldest event may have that is kept.
    pub(in crate::shop) oldest: u64,
    /// The number of the newest event that may be read.
    pub(in crate::shop) newest: u64,
}

/// The ends of the outbox. Waits a moment for what is committed and may not be read yet.
pub(in crate::shop) async fn ends(store: &PostgresStore) -> Result<OutboxEnds, StorageError> {
    for look in 1.. {
        let rows = store.list(Call::new(ENDS)).await?;
        let row = Columns(rows.first().ok_or_else(no_row)?);
        let (removed, newest, committed) = (row.count(0)?, row.count(1)?, row.count(2)?);
        if committed > newest && look < LOOKS {
            tokio::time::sleep(BETWEEN).await;
            continue;
        }
        if committed > newest {
            // A transaction has been open on the server for long. Whoever waits is told to look again.
            tracing::debug!("events wait for a transaction that is open on the server");
            store.signal_later(HALTED);
        }
        return Ok(OutboxEnds {
            oldest: removed + 1,
            newest,
        });
    }
    Err(no_row())
}

/// The events behind that number. `sql` selects them in the order of their numbers; its parameters are the
/// number, the newest number, and how many rows there are at most, and `event` reads a row.
pub(in crate::shop) async fn after(
    store: &PostgresStore,
    (number, limit): (u64, usize),
    sql: &'static str,
    event: fn(Columns<'_>) -> Result<StoredEvent, StorageError>,
) -> Result<EventsAfter, StorageError> {
    let OutboxEnds { oldest, newest } = ends(store).await?;
    let mut events = Vec::new();
    if number < newest {
        let read = Call::new(sql)
            .bind(number.cast_signed())
            .bind(newest.cast_signed())
            .bind(row_count(limit));
        let rows = store.list(read).await?;
        events = rows
            .iter()
            .map(|row: &Row| event(Columns(row)))
            .collect::<Result<_, _>>()?;
    }
    Ok(EventsAfter {
        events,
        oldest,
        newest,
    })
}

/// How many events there are between those numbers; no more than 10,000 are counted.
pub(in crate::shop) async fn behind(
    store: &PostgresStore,
    number: u64,
    newest: u64,
) -> Result<u64, StorageError> {
    if number >= newest {
        return Ok(0);
    }
    let behind = "SELECT count(*) FROM
        (SELECT 1 FROM outbox WHERE number > $1 AND number <= $2 LIMIT 10000) AS behind";
    let behind = Call::new(behind)
        .bind(number.cast_signed())
        .bind(newest.cast_signed());
    let rows = store.list(behind).await?;
    rows.first().map_or(Ok(0), |row| Columns(row).count(0))
}

/// The oldest event that is held back by a transaction on the server, if there is one, and who has that
/// transaction, as far as this role may see it.
const OLDEST_HELD: &str = "WITH ends AS MATERIALIZED (SELECT events_end_1() AS number),
        held AS (SELECT min(number) AS number FROM outbox WHERE number >= (SELECT number FROM ends))
    SELECT number, coalesce((SELECT 'process ' || pid || ' of ' || coalesce(usename, '?') || ', '
        || coalesce(nullif(application_name, ''), 'without a name') || ', begun '
        || coalesce(to_char(xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), '?')
        FROM pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY age(backend_xid) DESC LIMIT 1),
        'a prepared transaction, or one that this role may not see')
    FROM held WHERE number IS NOT NULL";

/// The oldest event that may not be read yet. It stays the same while one transaction is open; on a server
/// that is merely busy it is another one each time.
pub(in crate::shop) async fn oldest_held(store: &PostgresStore) -> Result<Option<HeldEvent>, StorageError> {
    let rows = store.look_up(Call::new(OLDEST_HELD)).await?;
    let held = rows.first().map(|row| {
        Ok(HeldEvent {
            number: Columns(row).count(0)?,
            holder: Columns(row).get(1)?,
        })
    });
    held.transpose()
}

/// Whether an event from before that time may be removed.
pub(in crate::shop) async fn is_any_older(
    store: &PostgresStore,
    before_ms: u64,
) -> Result<bool, StorageError> {
    let older = "SELECT EXISTS (SELECT 1 FROM outbox WHERE number = (SELECT min(number) FROM outbox)
        AND number < (SELECT max(number) FROM outbox) AND at_ms < $1)";
    let rows = store
        .look_up(Call::new(older).bind(before_ms.cast_signed()))
        .await?;
    rows.first().map_or(Ok(false), |row| Columns(row).get(0))
}

/// Removes some events from before that time. Writes nothing when there is none.
pub(in crate::shop) async fn trim(store: &PostgresStore, before_ms: u64) -> Result<(), StorageError> {
    if is_any_older(store, before_ms).await? {
        let trim = Call::new("SELECT trim_events_1($1, $2)")
            .bind(before_ms.cast_signed())
            .bind(TRIMMED_AT_ONCE);
        store.write(Admission::Continue, trim).await?;
    }
    Ok(())
}

fn no_row() -> StorageError {
    StorageError::Failed("a statement that always answers a row has answered none".to_owned())
}
