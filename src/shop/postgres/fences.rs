//! Fences, as the functions of every database know them (`src/postgres/common.sql`).

use super::Columns;
use crate::base::ids::{Incarnation, Life};
use crate::postgres::{Call, PostgresStore, Row};
use crate::shop::contract::{Fence, StorageError};
use crate::store::Admission;

/// The incarnation, slot and epoch that name a fence; slot -1 stands for every life of earlier incarnations.
pub(in crate::shop) fn key(fence: Fence) -> (i64, i32, i64) {
    match fence {
        Fence::Life(life) => life_key(life),
        Fence::Before(incarnation) => (number(incarnation), -1, 0),
    }
}

fn life_key(life: Life) -> (i64, i32, i64) {
    let slot = i32::from(life.slot.0);
    (number(life.incarnation), slot, i64::from(life.epoch.0))
}

fn number(incarnation: Incarnation) -> i64 {
    i64::try_from(incarnation.0).unwrap_or(i64::MAX)
}

/// Raises a fence.
pub(in crate::shop) async fn raise(store: &PostgresStore, fence: Fence) -> Result<(), StorageError> {
    let (incarnation, slot, epoch) = key(fence);
    let raise = Call::new("SELECT raise_fence_1($1, $2, $3)")
        .bind(incarnation)
        .bind(slot)
        .bind(epoch);
    store.write(Admission::Continue, raise).await?;
    Ok(())
}

/// Whether that life is fenced off.
pub(in crate::shop) async fn is_fenced(store: &PostgresStore, life: Life) -> Result<bool, StorageError> {
    says_fenced(&store.look_up(ask_whether_fenced(life)).await?)
}

/// Asks whether that life is fenced off.
pub(in crate::shop) fn ask_whether_fenced(life: Life) -> Call {
    let (incarnation, slot, epoch) = life_key(life);
    Call::new("SELECT is_fenced_1($1, $2, $3)")
        .bind(incarnation)
        .bind(slot)
        .bind(epoch)
}

/// What the answer to [`ask_whether_fenced`] says.
pub(in crate::shop) fn says_fenced(rows: &[Row]) -> Result<bool, StorageError> {
    rows.first().map_or(Ok(false), |row| Columns(row).get(0))
}

/// The highest incarnation that a fence knows of.
pub(in crate::shop) async fn newest_incarnation(store: &PostgresStore) -> Result<Incarnation, StorageError> {
    let newest = Call::new("SELECT coalesce(max(incarnation), 0) FROM fences");
    let rows = store.look_up(newest).await?;
    let newest = rows.first().map_or(Ok(0), |row| Columns(row).count(0))?;
    Ok(Incarnation(newest))
}
