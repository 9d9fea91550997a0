//! Whether the files of a data directory belong together: the four databases and the incarnation counter.
//! Looked at before a worker serves, because a file that was lost, or brought back alone from a backup, is
//! otherwise noticed by customers. Reads a bounded number of rows, and only what holds at any moment, so that
//! it never refuses files that others are writing.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};

use super::audit;
use crate::base::ids::{Epoch, Life};
use crate::shop::contract::OrderId;
use crate::shop::{inventory, orders, payments, sandbox};
use crate::store::{ReadError, Store};

/// The counter that the master raises, as it lies in the data directory.
pub(in crate::shop) const COUNTER: &str = "incarnation";
/// With a file of this name, what disagrees is told and served all the same: a person's decision.
pub(in crate::shop) const AS_IT_IS: &str = "serve-as-it-is";
/// Names the incarnation whose workers have found the files in accord.
const FOUND: &str = "accord";
/// Follows the number when one of them has doubted it since.
const DOUBTED: &str = "doubted";
/// So many of the newest rows of each file are looked for in the others.
const NEWEST: u32 = 100;

/// Why the files must not be served together.
#[derive(Debug, thiserror::Error)]
pub(in crate::shop) enum Inconsistent {
    #[error(
        "{missing} is missing while {witness} holds orders, and would be made anew without what it held: restore it (all four \
         databases from one backup), or remove all four with their -wal, -shm and .lock to begin anew"
    )]
    Lost { missing: PathBuf, witness: PathBuf },
    #[error(
        "{place} has no database any more, and this very cluster served them: restore all four from one backup; to begin anew instead, \
         start the cluster again"
    )]
    Emptied { place: String },
    #[error(
        "{path} says that {known} masters were started here, and the databases know of number {found}: write {found} into it, or \
         every worker would be taken for one that was replaced long ago"
    )]
    Counter { path: PathBuf, known: u64, found: u64 },
    #[error(
        "{order} {what}: one of the files is older than the others, or was damaged. `doctor --data-dir {place}` tells more; \
         restore all four databases from one backup; to serve them as they are, make an empty file {place}/{AS_IT_IS}"
    )]
    Mixed {
        order: OrderId,
        what: &'static str,
        place: String,
    },
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Before anything is opened, and so made: no file is gone that its siblings have orders of.
pub(in crate::shop) fn nothing_is_lost(data_dir: &Path) -> Result<(), Inconsistent> {
    let witnesses = [
        (orders::FILE, "SELECT 1 FROM orders LIMIT 1"),
        (inventory::FILE, "SELECT 1 FROM reservations LIMIT 1"),
        (payments::FILE, "SELECT 1 FROM payments LIMIT 1"),
    ];
    for file in [orders::FILE, inventory::FILE, payments::FILE, sandbox::FILE] {
        let missing = data_dir.join(file);
        if missing.exists() || was_locked(&missing) {
            continue;
        }
        let witness = witnesses
            .iter()
            .map(|(file, any)| (data_dir.join(file), any))
            .find(|(path, any)| path.exists() && holds(path, any));
        // Another worker may have made it since it was looked for, and taken the first order.
        if let Some((witness, _)) = witness.filter(|_| !missing.exists()) {
            return Err(Inconsistent::Lost { missing, witness });
        }
    }
    Ok(())
}

/// What replaces a worker makes no shop anew where its master's workers had one: the databases, or all that
/// was in the directory with the master's own counter, were taken away under it. Without the note the first
/// worker died before it had made all files.
pub(in crate::shop) fn nothing_is_emptied(data_dir: &Path, life: Life) -> Result<(), Inconsistent> {
    let is_there = |file: &str| data_dir.join(file).exists();
    let files = [orders::FILE, inventory::FILE, payments::FILE, sandbox::FILE];
    if life.epoch <= Epoch(1) || files.into_iter().any(is_there) {
        return Ok(());
    }
    if read_note(data_dir).is_some_and(|note| note.incarnation == life.incarnation.0) || !is_there(COUNTER) {
        return Err(Inconsistent::Emptied {
            place: data_dir.display().to_string(),
        });
    }
    Ok(())
}

/// Its lock file knows of it, and whoever opens it refuses to make it anew.
fn was_locked(database: &Path) -> bool {
    let lock = database.with_extension("db.lock");
    lock.metadata().is_ok_and(|lock| lock.len() > 0)
}

/// What cannot be read here is told better by whoever opens it.
fn holds(path: &Path, any: &str) -> bool {
    audit::open_any(path).is_ok_and(|connection| {
        connection
            .query_row(any, [], |_| Ok(()))
            .optional()
            .is_ok_and(|row| row.is_some())
    })
}

/// What a worker noted of the files.
struct ConsistencyNote {
    /// Whose workers served them.
    incarnation: u64,
    /// One of these could no longer trust a file.
    is_doubted: bool,
}

fn read_note(data_dir: &Path) -> Option<ConsistencyNote> {
    let text = std::fs::read_to_string(data_dir.join(FOUND)).ok()?;
    let mut words = text.split_whitespace();
    Some(ConsistencyNote {
        incarnation: words.next()?.parse().ok()?,
        is_doubted: words.next().is_some(),
    })
}

/// Whether a worker of that master has found the files in accord, and none has doubted them since.
pub(in crate::shop) fn was_consistent(data_dir: &Path, incarnation: u64) -> bool {
    read_note(data_dir).is_some_and(|note| note.incarnation == incarnation && !note.is_doubted)
}

/// Leaves a note for the workers to come. Without it they only look again.
pub(in crate::shop) fn note(data_dir: &Path, incarnation: u64) {
    let _ = std::fs::write(data_dir.join(FOUND), incarnation.to_string());
}

/// A file can no longer be trusted: whoever opens it next looks again, and still knows who served it.
pub(in crate::shop) fn mark_doubted(data_dir: &Path, incarnation: u64) {
    let _ = std::fs::write(data_dir.join(FOUND), format!("{incarnation} {DOUBTED}"));
}

/// Nothing is known of the files any more.
pub(in crate::shop) fn forget(data_dir: &Path) {
    let _ = std::fs::remove_file(data_dir.join(FOUND));
}

/// The counter is at least what the databases know of; `own` is the number of the master that asks.
pub(in crate::shop) fn counter_is_ahead(
    data_dir: &Path,
    own: u64,
    [orders, inventory, payments]: [&Store; 3],
) -> Result<(), Inconsistent> {
    let path = data_dir.join(COUNTER);
    let written = std::fs::read_to_string(&path)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let known = own.max(written.unwrap_or(0));
    let fences = "SELECT coalesce(max(incarnation), 0) FROM fences";
    // The life of an owner begins with its incarnation, which is all of it that the cast reads.
    let owners = "SELECT coalesce(max(CAST(owner AS INTEGER)), 0) FROM orders WHERE status < 20";
    for (store, newest) in [
        (orders, fences),
        (orders, owners),
        (inventory, fences),
        (payments, fences),
    ] {
        let found: i64 = store.peek(|connection| connection.query_row(newest, [], |row| row.get(0)))?;
        let found = found.unsigned_abs();
        if found > known {
            return Err(Inconsistent::Counter { path, known, found });
        }
    }
    Ok(())
}

/// What was sold was sent and paid, what is paid is in the provider's ledger, and what is reserved or paid is
/// for an order that there is.
pub(in crate::shop) fn files_agree(
    data_dir: &Path,
    [orders, inventory, payments, ledger]: [&Store; 4],
) -> Result<(), Inconsistent> {
    // Whatever a person had a hand in is the person's.
    let confirmed = format!(
        "SELECT id FROM (SELECT id, status FROM orders ORDER BY id DESC LIMIT {NEWEST})
         WHERE status = 20 AND id NOT IN (SELECT order_id FROM interventions)"
    );
    let sent = "SELECT 1 FROM reservations WHERE order_id = ?1 AND state = 20";
    let paid = "SELECT 1 FROM payments WHERE order_id = ?1 AND state = 10";
    let known = "SELECT 1 FROM orders WHERE id = ?1";
    let reserved = format!("SELECT order_id FROM reservations ORDER BY order_id DESC LIMIT {NEWEST}");
    let charged = format!("SELECT order_id FROM payments ORDER BY order_id DESC LIMIT {NEWEST}");
    let looks = [
        (
            orders,
            &confirmed,
            inventory,
            sent,
            "is confirmed and never left the shelf",
        ),
        (
            orders,
            &confirmed,
            payments,
            paid,
            "is confirmed and was never paid",
        ),
        (
            inventory,
            &reserved,
            orders,
            known,
            "has a reservation and is no order",
        ),
        (payments, &charged, orders, known, "has a payment and is no order"),
    ];
    for (from, newest, to, is_there, what) in looks {
        // Read in this order: what one file says last was in the other before.
        let newest = from.peek(|connection| keys(connection, newest))?;
        let lacking = to.peek(|connection| those_without(connection, is_there, &newest))?;
        // Read last: what was removed meanwhile is behind it.
        let horizon = orders.peek(|connection| {
            connection.query_row("SELECT coalesce(max(order_id), 0) FROM horizon", [], |row| {
                row.get::<_, i64>(0)
            })
        })?;
        if let Some(order) = lacking.into_iter().find(|order| *order >= horizon) {
            return Err(mixed(data_dir, order, what));
        }
    }
    match uncharged(payments, ledger)? {
        Some(order) => Err(mixed(
            data_dir,
            order,
            "is paid and the ledger has no such charge",
        )),
        None => Ok(()),
    }
}

fn mixed(data_dir: &Path, order: i64, what: &'static str) -> Inconsistent {
    Inconsistent::Mixed {
        order: OrderId::from_key(order),
        what,
        place: data_dir.display().to_string(),
    }
}

/// One of the newest payments that the ledger knows nothing of. The provider writes first and never removes,
/// so that it knows of every one, at any moment and whatever retention did.
fn uncharged(payments: &Store, ledger: &Store) -> Result<Option<i64>, ReadError> {
    let newest = format!(
        "SELECT order_id, receipt FROM (SELECT * FROM payments ORDER BY order_id DESC LIMIT {NEWEST}) WHERE \
         state = 10"
    );
    let receipts: Vec<(i64, String)> = payments.peek(|connection| {
        connection
            .prepare(&newest)?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    })?;
    ledger.peek(|connection| {
        let mut look = connection.prepare(
            "SELECT 1 FROM attempt WHERE 'ch_' || provider_key = ?1 AND provider_key = substr(?1, 4)
             AND kind = 'charge' AND outcome = 'succeeded'",
        )?;
        for (order, receipt) in receipts {
            if !look.exists([receipt])? {
                return Ok(Some(order));
            }
        }
        Ok(None)
    })
}

fn keys(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare(sql)?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Those of `keys` that are not there.
fn those_without(connection: &Connection, is_there: &str, keys: &[i64]) -> rusqlite::Result<Vec<i64>> {
    let mut look = connection.prepare(is_there)?;
    let mut lacking = Vec::new();
    for key in keys {
        if !look.exists([key])? {
            lacking.push(*key);
        }
    }
    Ok(lacking)
}
