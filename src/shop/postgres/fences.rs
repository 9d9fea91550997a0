//! Fences, as the functions of every database know them (`src/postgres/common.sql`).

use super::Columns;
use crate::base::ids::{Incarnation, Life};
use crate::postgres::{Call, PostgresStore, Row};
use crate::shop::contract::{Fence, StorageError};
use crate::store::Admission;

/// Binds what names a fence: host, incarnation, slot and epoch. Slot -1 stands for every life of earlier
/// incarnations on that host.
pub(in crate::shop) fn bind(call: Call, fence: Fence) -> Call {
    let (host, incarnation, slot, epoch) = match fence {
        Fence::Life(life) => {
            let slot = i32::from(life.slot.0);
            (life.host, life.incarnation, slot, i64::from(life.epoch.0))
        }
        Fence::Before(host, incarnation) => (host, incarnation, -1, 0),
    };
    call.bind(host.to_string())
        .bind(number(incarnation))
        .bind(slot)
        .bind(epoch)
}

/// An incarnation as the database has it.
pub(in crate::shop) fn number(incarnation: Incarnation) -> i64 {
    i64::try_from(incarnation.0).unwrap_or(i64::MAX)
}

/// Raises a fence.
pub(in crate::shop) async fn raise(store: &PostgresStore, fence: Fence) -> Result<(), StorageError> {
    let raise = bind(Call::new("SELECT raise_fence_2($1, $2, $3, $4)"), fence);
    store.write(Admission::Continue, raise).await?;
    Ok(())
}

/// Whether that life is fenced off.
pub(in crate::shop) async fn is_fenced(store: &PostgresStore, life: Life) -> Result<bool, StorageError> {
    says_fenced(&store.look_up(ask_whether_fenced(life)).await?)
}

/// Asks whether that life is fenced off.
pub(in crate::shop) fn ask_whether_fenced(life: Life) -> Call {
    let fenced = Call::new("SELECT is_fenced_2($1, $2, $3, $4)");
    bind(fenced, Fence::Life(life))
}

/// What the answer to [`ask_whether_fenced`] says.
pub(in crate::shop) fn says_fenced(rows: &[Row]) -> Result<bool, StorageError> {
    rows.first().map_or(Ok(false), |row| Columns(row).get(0))
}

/// The highest incarnation of the writer's host that a fence knows of.
pub(in crate::shop) async fn newest_incarnation(store: &PostgresStore) -> Result<Incarnation, StorageError> {
    let newest = "SELECT coalesce(max(incarnation), 0) FROM fences WHERE host = $1";
    let newest = Call::new(newest).bind(store.host().to_string());
    let rows = store.look_up(newest).await?;
    let newest = rows.first().map_or(Ok(0), |row| Columns(row).count(0))?;
    Ok(Incarnation(newest))
}
