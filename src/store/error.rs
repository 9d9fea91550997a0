//! What can go wrong with a store. Each message says what to do about it.

use std::path::PathBuf;

/// Why nothing is written although the disk is not full yet.
pub(super) const WAL_NEEDS_THE_DISK: &str = "the rest of the disk is kept, because it is needed to empty the \
     WAL; make room, or end the reader that keeps the WAL long";

/// Why a database takes no writes for now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct WriteStall {
    /// The kind of reason.
    pub cause: WriteStallCause,
    /// The reason in words, with the name of the database's file.
    pub reason: String,
}

/// The kinds of reasons why a database takes no writes. Each of them passes by itself or with this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteStallCause {
    /// The disk is full.
    DiskFull,
    /// The WAL is not emptied yet, and the rest of the disk is needed to empty it.
    WalKept,
    /// Another program has locked the database.
    OtherProgram,
    /// The last write failed in another way.
    Failed,
}

/// Why a write did not happen. Except for `Poisoned`, nothing of it is in the file.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// The job itself refused (or met an ordinary SQL error); it was rolled back alone.
    #[error("the write was refused: {0}")]
    Refused(E),
    /// Too many writes are waiting; try again later.
    #[error("too many writes are waiting for the store")]
    Busy,
    /// The disk is full; the whole batch was rolled back. Writes succeed again when there is space.
    #[error("the disk is full; nothing was written")]
    Full,
    /// The WAL is not emptied yet, and the rest of the disk is needed to empty it. Writes succeed again when
    /// there is room, or when the reader that keeps the WAL long has ended.
    #[error("{reason}; nothing was written", reason = WAL_NEEDS_THE_DISK)]
    WalKept,
    /// Another program has locked the database for long. Writes succeed again when it has finished.
    #[error("another program has locked the database; nothing was written")]
    OtherProgram,
    /// The transaction could not be carried out or committed (I/O error, out of memory); it was rolled back.
    #[error("failed to write ({0}); nothing was written")]
    Failed(String),
    /// The job panicked; it was rolled back alone.
    #[error("the write panicked ({0}); nothing was written")]
    Panicked(String),
    /// The file can no longer be trusted by this process; whether this write is in it is unknown. The process
    /// must exit.
    #[error("the store is out of service until this process is replaced: {0}")]
    Poisoned(String),
    /// The store was closed before the write ran.
    #[error("the store is closed")]
    Closed,
}

impl<E> WriteError<E> {
    /// Whether nothing was written for a reason that passes by itself or with this process: the same write,
    /// made again later, may well succeed.
    #[must_use]
    pub fn is_a_stall(&self) -> bool {
        match self {
            WriteError::Busy
            | WriteError::Full
            | WriteError::WalKept
            | WriteError::OtherProgram
            | WriteError::Failed(_)
            | WriteError::Poisoned(_)
            | WriteError::Closed => true,
            WriteError::Refused(_) | WriteError::Panicked(_) => false,
        }
    }

    pub(super) fn stall_cause(&self) -> WriteStallCause {
        match self {
            WriteError::Full => WriteStallCause::DiskFull,
            WriteError::WalKept => WriteStallCause::WalKept,
            WriteError::OtherProgram => WriteStallCause::OtherProgram,
            WriteError::Busy
            | WriteError::Failed(_)
            | WriteError::Poisoned(_)
            | WriteError::Closed
            | WriteError::Refused(_)
            | WriteError::Panicked(_) => WriteStallCause::Failed,
        }
    }
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// SQLite's own error.
    #[error("failed to read: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Too many reads are waiting; try again later.
    #[error("too many reads are waiting for the store")]
    Busy,
    /// The job panicked.
    #[error("the read panicked ({0})")]
    Panicked(String),
    /// The store was closed, or its reader could not be started.
    #[error("the store is closed")]
    Closed,
}

/// Why a file is not opened. Each message is one paragraph: what was found, what was expected, what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The SQLite in this binary has the WAL corruption of 3.7.0 to 3.51.2.
    #[error(
        "this binary holds SQLite {found}, in which several processes can corrupt a shared WAL; expected \
         3.51.3 or newer: build it with rusqlite's bundled SQLite"
    )]
    OldSqlite {
        /// The version that is linked.
        found: &'static str,
    },
    /// The directory is missing, or files cannot be made in it.
    #[error(
        "cannot create files in {directory:?} ({reason}); the database, its WAL and its lock live there: \
         create the directory or give this user write permission, or choose another with --data-dir"
    )]
    Directory {
        /// The directory of the database.
        directory: PathBuf,
        /// The system's error.
        reason: std::io::Error,
    },
    /// The file cannot be written.
    #[error(
        "{path:?} is read-only for this user; the store writes it: give write permission to the file and \
         its directory (chown/chmod), or remount the file system read-write"
    )]
    ReadOnly {
        /// The database.
        path: PathBuf,
    },
    /// The file lies on a file system whose locks and shared memory cannot be relied on.
    #[error(
        "{path:?} lies on a network or user-space file system ({kind}), where the locks that keep several \
         writers apart cannot be relied on: choose a --data-dir on a local disk (ext4, xfs, btrfs)"
    )]
    NetworkFileSystem {
        /// The database.
        path: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },
    /// The file is no SQLite database.
    #[error(
        "{path:?} is not an SQLite database; expected the {name} database or no file at all: move it away, \
         and restore the newest backup (all databases of the directory together, without any -wal and -shm \
         beside them)"
    )]
    NotADatabase {
        /// The database.
        path: PathBuf,
        /// The schema's name.
        name: &'static str,
    },
    /// An SQLite file of another program.
    #[error(
        "{path:?} is a database of another program (application_id {found:#x}); expected the {name} \
         database ({expected:#x}): move it away or choose another --data-dir; nothing was changed"
    )]
    Foreign {
        /// The database.
        path: PathBuf,
        /// The schema's name.
        name: &'static str,
        /// The `application_id` of the file.
        found: i32,
        /// The `application_id` of our database.
        expected: i32,
    },
    /// Written by a newer version of this program.
    #[error(
        "{path:?} has schema version {found}, and this binary knows versions up to {known}: start the newer \
         binary again, or restore a backup from before the upgrade; nothing was changed"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The `user_version` of the file.
        found: i64,
        /// The newest version that this binary knows.
        known: i64,
    },
    /// Pages of the file contradict each other.
    #[error(
        "{path:?} is corrupt ({reason}): stop the cluster, look at all files with `doctor`, keep a copy of \
         them with their -wal and -shm, and restore the newest backup (all databases of the directory \
         together, with no -wal and -shm left beside them), or salvage this one with `sqlite3 {path:?} \
         .recover`"
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// The first faults that were found.
        reason: String,
    },
    /// There was a database, and now the file is missing or empty.
    #[error(
        "{path:?} is {how}, and {lock:?} says that it was in use: restore the newest backup (all databases \
         of the directory together, without any -wal and -shm beside them), or remove the lock file to \
         begin with an empty one; nothing was changed"
    )]
    Missing {
        /// The database.
        path: PathBuf,
        /// The lock file of the database.
        lock: PathBuf,
        /// "missing" or "empty".
        how: &'static str,
    },
    /// A directory, a pipe or a device where a file should be.
    #[error("{path:?} is {found}, expected a file or nothing at all: move it away; nothing was changed")]
    NotAFile {
        /// The path of the database or of its lock file.
        path: PathBuf,
        /// The kind of thing that lies there, such as "a directory".
        found: &'static str,
    },
    /// A table or index that its migrations made is gone.
    #[error(
        "{path:?} lacks {what}, which its schema version has: restore the newest backup (all databases of \
         the directory together, without any -wal and -shm beside them); nothing was changed"
    )]
    Incomplete {
        /// The database.
        path: PathBuf,
        /// The missing table or index.
        what: String,
    },
    /// A migration failed; it was rolled back.
    #[error(
        "failed to bring {path:?} from schema version {from} to {to}: {reason}; it was rolled back and the \
         file is as it was"
    )]
    Migration {
        /// The database.
        path: PathBuf,
        /// The `user_version` of the file.
        from: i64,
        /// The version that the migration should reach.
        to: i64,
        /// SQLite's error.
        reason: rusqlite::Error,
    },
    /// SQLite failed in another way.
    #[error("failed to open {path:?}: {reason}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// SQLite's error.
        reason: rusqlite::Error,
    },
    /// A lock file could not be opened, or a thread could not be started.
    #[error("failed to open {path:?}: {reason}")]
    Io {
        /// The file concerned.
        path: PathBuf,
        /// The system's error.
        reason: std::io::Error,
    },
}
