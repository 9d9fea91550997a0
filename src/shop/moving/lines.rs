//! The line of the events of a service: its name and its ends, which stay what they are, so that whoever
//! reads events goes on from the position that it has.

use crate::postgres::{BulkConnection, PostgresFailure, RowValue};

/// The line of numbers that the events of a service have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventLine {
    /// The name of the line.
    pub(super) id: i64,
    /// The number of the newest event that is no longer kept; 0 when all are.
    pub(super) removed_number: i64,
    /// When that happened, in milliseconds since 1970.
    pub(super) removed_ms: i64,
}

/// Writes the line into a database whose events were written before. New events there have higher numbers.
pub(super) async fn write_at_postgres(
    database: &BulkConnection,
    line: EventLine,
) -> Result<(), PostgresFailure> {
    let write = "INSERT INTO event_stream (one, id, born, base, removed_number, removed_ms)
        VALUES (true, $1, birth_1(), base_above_1((SELECT coalesce(max(number), 0) FROM outbox)), $2, $3)";
    let values = [line.id, line.removed_number, line.removed_ms].map(RowValue::Integer);
    database.change(write, &values).await.map(drop)
}

/// The line of a database; `None` when it has none yet.
pub(super) async fn read_at_postgres(
    database: &BulkConnection,
) -> Result<Option<EventLine>, PostgresFailure> {
    let read = "SELECT ARRAY[id, removed_number, removed_ms] FROM event_stream";
    let line: Option<Vec<i64>> = database.value(read).await?;
    Ok(line.and_then(|line| match line[..] {
        [id, removed_number, removed_ms] => Some(EventLine {
            id,
            removed_number,
            removed_ms,
        }),
        _ => None,
    }))
}
