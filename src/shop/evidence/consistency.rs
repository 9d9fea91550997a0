//! Whether the files of a data directory belong together: the four databases and the incarnation counter.
//! Checked before a worker serves, because otherwise customers would be the first to notice a file that was
//! lost, or restored alone from a backup. The check reads a bounded number of rows, and only facts that hold
//! at any moment, so that it never refuses files that other workers are writing.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};

use super::audit;
use crate::base::ids::{Epoch, Life};
use crate::shop::contract::OrderId;
use crate::shop::{inventory, orders, payments, sandbox};
use crate::store::{ReadError, Store};

/// The file of the counter that every master raises at its start.
pub(in crate::shop) const COUNTER: &str = "incarnation";
/// When a file of this name exists, inconsistent files are reported and served nevertheless: an operator's
/// decision.
pub(in crate::shop) const AS_IT_IS: &str = "serve-as-it-is";
/// The file that names the incarnation whose workers found the files consistent.
const NOTE_FILE: &str = "consistency";
/// Follows the number in that file when a worker has doubted the files since.
const DOUBTED: &str = "doubted";
/// How many of the newest rows of each file are looked up in the other files.
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

/// Checks that no file is missing whose orders other files know of. Must run before any file is opened,
/// because opening creates it.
pub(in crate::shop) fn check_nothing_lost(data_dir: &Path) -> Result<(), Inconsistent> {
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
        // Another worker may have created the file meanwhile, and taken the first order.
        if let Some((witness, _)) = witness.filter(|_| !missing.exists()) {
            return Err(Inconsistent::Lost { missing, witness });
        }
    }
    Ok(())
}

/// Checks that a replacement worker does not create new databases where earlier workers of the same master
/// had some: then the databases, or the whole content of the directory, were removed under the master.
/// Without the note the first worker died before it had created all files.
pub(in crate::shop) fn check_not_emptied(data_dir: &Path, life: Life) -> Result<(), Inconsistent> {
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

/// Whether the lock file knows of the database; the store then refuses to create it anew.
fn was_locked(database: &Path) -> bool {
    let lock = database.with_extension("db.lock");
    lock.metadata().is_ok_and(|lock| lock.len() > 0)
}

/// A file that cannot be read here is reported better when the store opens it.
fn holds(path: &Path, any: &str) -> bool {
    audit::open_any(path).is_ok_and(|connection| {
        connection
            .query_row(any, [], |_| Ok(()))
            .optional()
            .is_ok_and(|row| row.is_some())
    })
}

/// What a worker wrote down about the files.
struct ConsistencyNote {
    /// The incarnation whose workers served the files.
    incarnation: u64,
    /// One of these workers could no longer trust a file.
    is_doubted: bool,
}

fn read_note(data_dir: &Path) -> Option<ConsistencyNote> {
    let text = std::fs::read_to_string(data_dir.join(NOTE_FILE)).ok()?;
    let mut words = text.split_whitespace();
    Some(ConsistencyNote {
        incarnation: words.next()?.parse().ok()?,
        is_doubted: words.next().is_some(),
    })
}

/// Whether a worker of that master found the files consistent, and no worker has doubted them since.
pub(in crate::shop) fn was_consistent(data_dir: &Path, incarnation: u64) -> bool {
    read_note(data_dir).is_some_and(|note| note.incarnation == incarnation && !note.is_doubted)
}

/// Writes down for later workers that the files are consistent. Without the note they only check again.
pub(in crate::shop) fn note(data_dir: &Path, incarnation: u64) {
    let _ = std::fs::write(data_dir.join(NOTE_FILE), incarnation.to_string());
}

/// Writes down that a file can no longer be trusted: the next worker checks again, and still knows which
/// master served the files.
pub(in crate::shop) fn mark_doubted(data_dir: &Path, incarnation: u64) {
    let _ = std::fs::write(data_dir.join(NOTE_FILE), format!("{incarnation} {DOUBTED}"));
}

/// Removes the note.
pub(in crate::shop) fn forget(data_dir: &Path) {
    let _ = std::fs::remove_file(data_dir.join(NOTE_FILE));
}

/// Checks that the counter is not behind the incarnations in the databases. `own` is the incarnation of this
/// worker's master.
pub(in crate::shop) fn check_counter(
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
    // The text of an owner's life begins with its incarnation; the cast reads that number alone.
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

/// Checks the newest rows: a confirmed order was sent and paid, a payment is in the provider's ledger, and a
/// reservation or payment is for an order that exists.
pub(in crate::shop) fn check_files_agree(
    data_dir: &Path,
    [orders, inventory, payments, ledger]: [&Store; 4],
) -> Result<(), Inconsistent> {
    // Orders that an operator decided about are excluded.
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
        // Read in this order: a row of the first file was written after its counterpart in the second.
        let newest = from.peek(|connection| keys(connection, newest))?;
        let lacking = to.peek(|connection| those_without(connection, is_there, &newest))?;
        // The horizon is read last: orders that were removed meanwhile lie before it.
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

/// One of the newest payments that is not in the ledger. The provider writes first and never removes, so the
/// ledger has every payment at any moment, whatever retention did.
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

/// Those of `keys` for which `is_there` finds no row.
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
