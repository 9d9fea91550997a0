//! What the outboxes of all services have in common: which line their numbers belong to, and how they are
//! trimmed. Each service has its own outbox with columns of its own.
//!
//! The line of numbers ends when a file is not what it was: a copy or a backup was put in its place, or it
//! lost its newest rows. That is seen at the boot of a worker by the file's inode and time of birth, and by
//! the highest number that was known outside of the file (`streams.json`).

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use rusqlite::{Connection, OptionalExtension, Row};

use super::row_count;
use crate::shop::contract::{EventsAfter, KnownStream, StorageError, StoredEvent, StreamId};
use crate::store::{Admission, Store, Tx};

/// The table that names the line, the same in every file with an outbox. `removed_ms` is the time of the
/// newest event that was removed.
pub(in crate::shop) const TABLE: &str = "
-- The line of numbers that the events of this file have, and the file that it belongs to.
CREATE TABLE event_stream (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    id         INTEGER NOT NULL,
    inode      INTEGER NOT NULL,
    born_ns    INTEGER NOT NULL,
    removed_ms INTEGER NOT NULL DEFAULT 0 -- of the newest event that is no longer kept
) STRICT;
";

/// What a move from PostgreSQL leaves behind.
pub(in crate::shop) const GAPS: &str = "
-- Events up to this number were moved here with their numbers, which have gaps. Behind it is no gap.
ALTER TABLE event_stream ADD COLUMN gaps_until INTEGER NOT NULL DEFAULT 0;
-- Of the newest event that is no longer kept.
ALTER TABLE event_stream ADD COLUMN removed_seq INTEGER NOT NULL DEFAULT 0;
";

/// Events that are removed in one transaction at most, so that no order waits long for it.
const TRIMMED_AT_ONCE: i64 = 500;

/// What tells a file from a copy of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileBirth {
    inode: i64,
    born_ns: i64,
}

impl FileBirth {
    /// Of the file at that path. The time of birth is 0 where the file system does not keep it.
    fn of(path: &Path) -> std::io::Result<FileBirth> {
        let found = std::fs::metadata(path)?;
        let born = found.created().ok();
        let born = born.and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        Ok(FileBirth {
            inode: found.ino().cast_signed(),
            born_ns: born.map_or(0, |born| i64::try_from(born.as_nanos()).unwrap_or(i64::MAX)),
        })
    }
}

/// The line of the store's events. Begins a new one if the file is not the one that the old line belongs to,
/// or is behind what is known of it.
pub(in crate::shop) async fn current(
    store: &Store,
    known: Option<KnownStream>,
) -> Result<StreamId, StorageError> {
    let birth = FileBirth::of(store.path())
        .map_err(|error| StorageError::Unavailable(format!("{}: {error}", store.path().display())))?;
    if let Some(id) = store.peek(|connection| continued(connection, birth, known))? {
        return Ok(id);
    }
    let new = fastrand::u64(1..) >> 1;
    let job = move |tx: &Tx<'_>| begin(tx, birth, known, StreamId(new));
    Ok(store.write(Admission::Continue, job).await?)
}

fn continued(
    connection: &Connection,
    birth: FileBirth,
    known: Option<KnownStream>,
) -> rusqlite::Result<Option<StreamId>> {
    let row = connection
        .prepare_cached("SELECT id, inode, born_ns FROM event_stream")?
        .query_row([], |row| {
            let (inode, born_ns) = (row.get(1)?, row.get(2)?);
            Ok((stream_id(row.get(0)?), FileBirth { inode, born_ns }))
        })
        .optional()?;
    let Some((id, _)) = row.filter(|(_, of)| *of == birth) else {
        return Ok(None);
    };
    let newest = newest(connection)?;
    let is_behind = known.is_some_and(|known| known.id == id && known.newest > newest);
    Ok((!is_behind).then_some(id))
}

/// Another worker may have begun the new line meanwhile.
fn begin(
    tx: &Connection,
    birth: FileBirth,
    known: Option<KnownStream>,
    new: StreamId,
) -> rusqlite::Result<StreamId> {
    if let Some(id) = continued(tx, birth, known)? {
        return Ok(id);
    }
    tx.execute(
        "INSERT INTO event_stream (one, id, inode, born_ns) VALUES (1, ?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET id = excluded.id, inode = excluded.inode, born_ns = excluded.born_ns",
        (new.0.cast_signed(), birth.inode, birth.born_ns),
    )?;
    Ok(new)
}

/// Writes the line of events that were moved into this file, with the numbers that they had.
#[cfg(feature = "postgres")]
pub(in crate::shop) async fn move_here(
    store: &Store,
    (id, removed_seq, removed_ms): (i64, i64, i64),
) -> Result<(), StorageError> {
    let birth = FileBirth::of(store.path())
        .map_err(|error| StorageError::Unavailable(format!("{}: {error}", store.path().display())))?;
    let job = move |tx: &Tx<'_>| {
        tx.execute(
            "INSERT INTO event_stream (one, id, inode, born_ns, removed_seq, removed_ms, gaps_until)
             VALUES (1, ?1, ?2, ?3, ?4, ?5, (SELECT coalesce(max(seq), 0) FROM outbox))",
            (id, birth.inode, birth.born_ns, removed_seq, removed_ms),
        )
    };
    store.write(Admission::Continue, job).await?;
    Ok(())
}

/// The line as it is recorded, and the newest number, for `streams.json`.
pub(in crate::shop) fn known(connection: &Connection) -> rusqlite::Result<Option<KnownStream>> {
    let id = connection
        .prepare_cached("SELECT id FROM event_stream")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let newest = newest(connection)?;
    Ok(id.map(|id| KnownStream {
        id: stream_id(id),
        newest,
    }))
}

fn stream_id(column: i64) -> StreamId {
    StreamId(column.cast_unsigned())
}

/// The number of the newest event; 0 if there was none yet.
fn newest(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM outbox")?
        .query_row([], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs()))
}

/// The number that the oldest event may have that is kept; of the next one if there was none yet.
fn oldest(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(
            "SELECT coalesce(
                (SELECT removed_seq + 1 FROM event_stream WHERE gaps_until >= (SELECT min(seq) FROM outbox)),
                (SELECT min(seq) FROM outbox), 1)",
        )?
        .query_row([], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs()))
}

/// The numbers of the oldest event that is kept and of the newest one.
pub(in crate::shop) fn ends(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    Ok((oldest(connection)?, newest(connection)?))
}

/// How many events are kept.
pub(in crate::shop) fn count(connection: &Connection) -> rusqlite::Result<u64> {
    let count = "WITH gaps AS (SELECT coalesce(max(gaps_until), 0) AS until FROM event_stream)
        SELECT (SELECT count(*) FROM outbox, gaps WHERE seq <= until)
            + coalesce((SELECT max(seq) FROM outbox)
                - max((SELECT until FROM gaps), (SELECT min(seq) FROM outbox) - 1), 0)";
    connection
        .prepare_cached(count)?
        .query_row([], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs()))
}

/// How many numbers were given out among those of the kept events behind the gaps, and how many of these
/// events there are. The two differ when an event was lost.
pub(in crate::shop) fn numbers_and_events(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let both = "SELECT coalesce(max(seq) - min(seq) + 1, 0), count(*) FROM outbox
        WHERE seq > (SELECT coalesce(max(gaps_until), 0) FROM event_stream)";
    connection.query_row(both, [], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// How many events there are behind that number; no more than 10,000 are counted where numbers have gaps.
pub(in crate::shop) fn behind(connection: &Connection, number: u64) -> rusqlite::Result<u64> {
    let behind = "SELECT CASE WHEN ?1 >= (SELECT coalesce(max(gaps_until), 0) FROM event_stream)
        THEN max(0, (SELECT coalesce(max(seq), 0) FROM outbox) - ?1)
        ELSE (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE seq > ?1 LIMIT 10000)) END";
    connection
        .prepare_cached(behind)?
        .query_row([number.cast_signed()], |row| {
            Ok(row.get::<_, i64>(0)?.unsigned_abs())
        })
}

/// The number of the last of at most so many events behind that number; the number itself if there is none.
pub(in crate::shop) fn end_of(connection: &Connection, number: u64, limit: usize) -> rusqlite::Result<u64> {
    let last = "SELECT coalesce(max(seq), ?1) FROM
        (SELECT seq FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT ?2)";
    connection
        .prepare_cached(last)?
        .query_row((number.cast_signed(), row_count(limit)), |row| {
            Ok(row.get::<_, i64>(0)?.unsigned_abs())
        })
}

/// The events behind that number. `sql` selects them in the order of their numbers; its parameters are the
/// number and how many rows there are at most, and `event` reads a row.
pub(in crate::shop) fn after(
    connection: &Connection,
    (number, limit): (u64, usize),
    sql: &str,
    event: fn(&Row<'_>) -> rusqlite::Result<StoredEvent>,
) -> rusqlite::Result<EventsAfter> {
    let snapshot = connection.unchecked_transaction()?;
    let (oldest, newest) = ends(&snapshot)?;
    let events = snapshot
        .prepare_cached(sql)?
        .query_map((number.cast_signed(), row_count(limit)), event)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(EventsAfter {
        events,
        oldest,
        newest,
    })
}

/// Makes the copy of a database begin a line of its own once it is served, because the original goes on in
/// the old one. A copy of an older version has no line.
pub(in crate::shop) fn end_line_of_copy(copy: &Connection) -> rusqlite::Result<()> {
    let has_line = "SELECT 1 FROM sqlite_schema WHERE name = 'event_stream'";
    if copy.prepare(has_line)?.exists([])? {
        copy.execute("UPDATE event_stream SET inode = 0, born_ns = 0", [])?;
    }
    Ok(())
}

/// Removes some events of the store from before that time. Writes nothing when there is none.
pub(in crate::shop) async fn trim_in(store: &Store, before_ms: u64) -> Result<(), StorageError> {
    if store.peek(|connection| is_any_older(connection, before_ms))? {
        let job = move |tx: &Tx<'_>| trim(tx, before_ms);
        store.write(Admission::Continue, job).await?;
    }
    Ok(())
}

/// Whether an event from before that time may be removed.
pub(in crate::shop) fn is_any_older(connection: &Connection, before_ms: u64) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM outbox WHERE seq = (SELECT min(seq) FROM outbox)
             AND seq < (SELECT max(seq) FROM outbox) AND at_ms < ?1",
        )?
        .exists([before_ms.cast_signed()])
}

/// Removes some events from before that time from the front of the outbox, so that no gap comes to be; how
/// many. The newest event stays, so that no number is given out twice.
pub(in crate::shop) fn trim(tx: &Connection, before_ms: u64) -> rusqlite::Result<usize> {
    let before_ms = before_ms.cast_signed();
    let front: Vec<(i64, i64)> = tx
        .prepare_cached(
            "SELECT seq, at_ms FROM outbox WHERE seq < (SELECT max(seq) FROM outbox) ORDER BY seq LIMIT ?1",
        )?
        .query_map([TRIMMED_AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let old = front.iter().take_while(|(_, at_ms)| *at_ms < before_ms);
    let Some((last, newest_ms)) = old
        .copied()
        .reduce(|(_, newest), (seq, at_ms)| (seq, at_ms.max(newest)))
    else {
        return Ok(0);
    };
    tx.prepare_cached("UPDATE event_stream SET removed_ms = max(removed_ms, ?1), removed_seq = ?2")?
        .execute([newest_ms, last])?;
    tx.prepare_cached("DELETE FROM outbox WHERE seq <= ?1")?
        .execute([last])
}
