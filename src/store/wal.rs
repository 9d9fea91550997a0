//! What can be seen of a WAL from outside, without opening the database: its length, and who keeps it long.

use std::path::Path;

use super::filesystem::beside;
use crate::sys::procfs;

/// A WAL of this many bytes is unusual: a checkpoint truncates one of half the length, unless a reader keeps
/// it.
pub const LONG_WAL_BYTES: u64 = 64 << 20;
/// The bytes of the WAL index that readers lock, by SQLite's file format.
const READ_LOCKS: std::ops::RangeInclusive<u64> = 123..=127;

/// The length of the database's WAL in bytes; 0 when there is none.
#[must_use]
pub fn wal_bytes(database: &Path) -> u64 {
    beside(database, "-wal").metadata().map_or(0, |wal| wal.len())
}

/// The processes that read the database in this moment, and so keep its WAL from being emptied. A process of
/// another container is 0.
#[must_use]
pub fn wal_readers(database: &Path) -> Vec<i32> {
    procfs::read_lock_holders(&beside(database, "-shm"), READ_LOCKS)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn a_reader_is_seen_for_as_long_as_its_transaction_lasts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let writer = Connection::open(&path).unwrap();
        writer
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE a (b); INSERT INTO a VALUES (1)")
            .unwrap();
        assert!(wal_bytes(&path) > 0);
        let reader = Connection::open(&path).unwrap();
        assert_eq!(wal_readers(&path), Vec::<i32>::new());
        let snapshot = reader.unchecked_transaction().unwrap();
        snapshot.query_row("SELECT b FROM a", [], |_| Ok(())).unwrap();
        assert_eq!(wal_readers(&path), [nix::unistd::getpid().as_raw()]);
        drop(snapshot);
        assert_eq!(wal_readers(&path), Vec::<i32>::new());
    }
}
