//! Whether the files of a data directory belong together: the four databases and the incarnation counter.
//! Checked before a worker serves, because otherwise customers would be the first to notice a file that was
//! lost, or restored alone from a backup. The check reads a bounded number of rows, and only facts that hold
//! at any moment, so that it never refuses files that other workers are writing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::base::ids::{Epoch, Incarnation, Life};
use crate::shop::contract::{DatabaseUser, LastUser, OrderId, StorageError};
use crate::shop::inventory::{self, InventoryRepository, SqliteInventoryReader};
use crate::shop::orders::{self, OrdersRepository, SqliteOrdersReader};
use crate::shop::payments::{self, PaymentsRepository, SqlitePaymentsReader};
use crate::shop::sandbox::{self, Sandbox};
use crate::sys::private_file;

/// The file of the counter that every master raises at its start.
pub(in crate::shop) const COUNTER: &str = "incarnation";
/// When a file of this name exists, inconsistent files are reported and served nevertheless: an operator's
/// decision.
pub(in crate::shop) const AS_IT_IS: &str = "serve-as-it-is";
/// The file that names the incarnation whose workers found the files consistent.
const NOTE_FILE: &str = "consistency";
/// The file that names the last master that used databases which hosts share, by a hash.
const MASTER: &str = "host.master";
/// Follows the number in that file when a worker has doubted the files since.
const DOUBTED: &str = "doubted";
/// How long a boot waits until the incarnation is noted.
const NOTED_WITHIN: Duration = Duration::from_secs(1);
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
        "{path} was removed or lowered: another master of incarnation {number} has used the databases, and records name their owners \
         by it: write {number} or a larger number into it, and start the cluster again"
    )]
    Repeated { path: PathBuf, number: Incarnation },
    #[error(
        "{order} {what}: one of the files is older than the others, or was damaged. `doctor --at-rest --data-dir {place}` tells more; \
         restore all four databases from one backup; to serve them as they are, make an empty file {place}/{AS_IT_IS}"
    )]
    Mixed {
        order: OrderId,
        what: &'static str,
        place: String,
    },
    #[error(
        "another data directory is served as this host ({name}, {ago_ms} ms ago): if this one is a \
         copy of it, remove host.id and store.json here"
    )]
    TwoHosts { name: String, ago_ms: u128 },
    #[error(transparent)]
    Read(#[from] StorageError),
}

/// Checks that no file is missing whose orders other files know of. Must run before any file is opened,
/// because opening creates it.
pub(in crate::shop) async fn check_nothing_lost(data_dir: &Path) -> Result<(), Inconsistent> {
    for file in [orders::FILE, inventory::FILE, payments::FILE, sandbox::FILE] {
        let missing = data_dir.join(file);
        if missing.exists() || was_locked(&missing) {
            continue;
        }
        let witness = witness(data_dir).await;
        // Another worker may have created the file meanwhile, and taken the first order.
        if let Some(witness) = witness.filter(|_| !missing.exists()) {
            let witness = data_dir.join(witness);
            return Err(Inconsistent::Lost { missing, witness });
        }
    }
    Ok(())
}

/// A file that holds records of orders. A file that cannot be read here is reported better when the store
/// opens it.
async fn witness(data_dir: &Path) -> Option<&'static str> {
    if SqliteOrdersReader::holds_any(data_dir).await {
        Some(orders::FILE)
    } else if SqliteInventoryReader::holds_any(data_dir).await {
        Some(inventory::FILE)
    } else if SqlitePaymentsReader::holds_any(data_dir).await {
        Some(payments::FILE)
    } else {
        None
    }
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
    write_note(data_dir, &incarnation.to_string());
}

/// Writes down that a file can no longer be trusted: the next worker checks again, and still knows which
/// master served the files.
pub(in crate::shop) fn mark_doubted(data_dir: &Path, incarnation: u64) {
    write_note(data_dir, &format!("{incarnation} {DOUBTED}"));
}

fn write_note(data_dir: &Path, text: &str) {
    let _ = private_file::write(&data_dir.join(NOTE_FILE), text.as_bytes());
}

/// Removes the note.
pub(in crate::shop) fn forget(data_dir: &Path) {
    let _ = std::fs::remove_file(data_dir.join(NOTE_FILE));
}

/// What the checks beside a running cluster read.
#[derive(Clone, Copy)]
pub(in crate::shop) struct Repositories<'a> {
    pub(in crate::shop) orders: &'a OrdersRepository,
    pub(in crate::shop) inventory: &'a InventoryRepository,
    pub(in crate::shop) payments: &'a PaymentsRepository,
    pub(in crate::shop) sandbox: &'a Sandbox,
}

/// Checks that the counter is not behind the incarnations in the databases. `own` is the incarnation of this
/// worker's master.
pub(in crate::shop) async fn check_counter(
    data_dir: &Path,
    own: Incarnation,
    repositories: Repositories<'_>,
) -> Result<(), Inconsistent> {
    let path = data_dir.join(COUNTER);
    let known = own.0.max(written(&path));
    for newest in [
        repositories.orders.newest_incarnation().await?,
        repositories.inventory.newest_incarnation().await?,
        repositories.payments.newest_incarnation().await?,
    ] {
        let Incarnation(found) = newest;
        if found > known {
            return Err(Inconsistent::Counter { path, known, found });
        }
    }
    Ok(())
}

/// The number in the counter's file; 0 when there is none.
fn written(counter: &Path) -> u64 {
    let text = std::fs::read_to_string(counter).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// What is wrong with the counter of a data directory whose orders know of this incarnation.
pub(in crate::shop) fn counter_fault(data_dir: &Path, newest: Incarnation) -> Option<String> {
    let path = data_dir.join(COUNTER);
    let (known, Incarnation(found)) = (written(&path), newest);
    (found > known).then(|| Inconsistent::Counter { path, known, found }.to_string())
}

/// Checks that no other master of this incarnation has used the databases, and notes there that this one
/// does: the number repeats when the counter was removed or lowered. `master` is the name of this worker's
/// master.
pub(in crate::shop) async fn claim_incarnation(
    data_dir: &Path,
    own: Incarnation,
    master: &str,
    orders: &OrdersRepository,
) -> Result<(), Inconsistent> {
    let user = DatabaseUser {
        incarnation: own,
        master: short_hash(master),
    };
    match orders.last_user().await? {
        Some(last) if last.user == user => return Ok(()),
        // The master before this one, over this very directory, is known here.
        Some(LastUser {
            user: last,
            host: name,
            renewed_ago: Some(ago),
        }) if Some(last.master) != known_master(data_dir) => {
            let ago_ms = ago.as_millis();
            return Err(Inconsistent::TwoHosts { name, ago_ms });
        }
        Some(last) if last.user.incarnation > own => return Ok(()),
        Some(last) if last.user.incarnation == own => {
            let path = data_dir.join(COUNTER);
            return Err(Inconsistent::Repeated { path, number: own });
        }
        Some(_) | None => {}
    }
    // A full disk or a lock must not keep a worker from booting. A write that waits goes on after the
    // time-out, and is done before any order of this worker.
    let noted = tokio::time::timeout(NOTED_WITHIN, orders.note_user(user)).await;
    if let Ok(Err(error)) = noted {
        tracing::warn!(reason = %error, "the incarnation could not be noted in the databases");
    }
    if orders.is_shared() {
        let known = user.master.to_string();
        if let Err(error) = private_file::write(&data_dir.join(MASTER), known.as_bytes()) {
            tracing::warn!(%error, "failed to write {MASTER}: the next start may wait for a lease to end");
        }
    }
    Ok(())
}

/// The last master over this data directory whose workers used databases that hosts share.
fn known_master(data_dir: &Path) -> Option<i64> {
    let text = std::fs::read_to_string(data_dir.join(MASTER)).ok()?;
    text.trim().parse().ok()
}

/// A hash of a master's name.
pub(in crate::shop) fn short_hash(text: &str) -> i64 {
    let hash = Sha256::digest(text);
    hash.iter()
        .take(8)
        .fold(0, |short, byte| short << 8 | i64::from(*byte))
}

/// Checks the newest rows: a confirmed order was sent and paid, a payment is in the provider's ledger, and a
/// reservation or payment is for an order that exists.
pub(in crate::shop) async fn check_files_agree(
    data_dir: &Path,
    repositories: Repositories<'_>,
) -> Result<(), Inconsistent> {
    let Repositories {
        orders,
        inventory,
        payments,
        sandbox,
    } = repositories;
    let mixed = |order, what| Inconsistent::Mixed {
        order,
        what,
        place: data_dir.display().to_string(),
    };
    // Read in this order: a row of the first file was written after its counterpart in the second. Orders
    // that an operator decided about are excluded.
    let confirmed = orders.newest_confirmed(NEWEST).await?;
    let not_sent = inventory.not_committed(confirmed.clone()).await?;
    let not_paid = payments.not_charged(confirmed).await?;
    let reserved_only = orders.unknown(inventory.newest_orders(NEWEST).await?).await?;
    let paid_only = orders.unknown(payments.newest_orders(NEWEST).await?).await?;
    // The horizon is read last: orders that were removed meanwhile lie before it.
    let horizon = orders.horizon().await?;
    for (found, what) in [
        (not_sent, "is confirmed and never left the shelf"),
        (not_paid, "is confirmed and was never paid"),
        (reserved_only, "has a reservation and is no order"),
        (paid_only, "has a payment and is no order"),
    ] {
        if let Some(order) = found.into_iter().find(|order: &OrderId| *order >= horizon) {
            return Err(mixed(order, what));
        }
    }
    let receipts = payments.newest_receipts(NEWEST).await?;
    match sandbox.first_uncharged(receipts).await? {
        Some(order) => Err(mixed(order, "is paid and the ledger has no such charge")),
        None => Ok(()),
    }
}
