//! Why a transaction of a repository failed, whatever database is behind it, and who uses a database.

use std::time::Duration;

use crate::base::ids::Incarnation;

/// Why a transaction failed. Except for [`StorageError::Unknown`], nothing of it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// Too many transactions are waiting. A later try may succeed.
    #[error("too many transactions are waiting for the store")]
    Busy,
    /// There is no room on the disk. A later try succeeds once there is room.
    #[error("{0}")]
    Full(String),
    /// What was written cannot be put in its place yet, and the rest of the disk is kept for that. A later
    /// try succeeds once there is room, or once the reader that is in the way has ended.
    #[error("{0}")]
    KeptByReader(String),
    /// Another program has locked the database. A later try succeeds once it has finished.
    #[error("{0}")]
    Locked(String),
    /// The database takes no writes for another reason that may pass. The store has logged it.
    #[error("{0}")]
    Stalled(String),
    /// The store is out of service or closed. A later try, or another worker, may succeed.
    #[error("{0}")]
    Unavailable(String),
    /// The store went out of service during the transaction, and nobody knows whether it was committed.
    #[error("the store is out of service until this process is replaced: {0}")]
    Unknown(String),
    /// This user may not read the database, or not enter its directory.
    #[error("{0}")]
    NotPermitted(String),
    /// The disk failed while something was read or written.
    #[error("{0}")]
    DiskFailed(String),
    /// The database is damaged, of another program, or of a version that this program does not know. A person
    /// must act.
    #[error("{0}")]
    Unusable(String),
    /// The statement failed: a fault of this program or of a record.
    #[error("{0}")]
    Failed(String),
}

impl StorageError {
    /// Whether the same transaction may well succeed later, without anybody mending this program or a record.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            StorageError::Busy
            | StorageError::Full(_)
            | StorageError::KeptByReader(_)
            | StorageError::Locked(_)
            | StorageError::Stalled(_)
            | StorageError::Unavailable(_)
            | StorageError::Unknown(_) => true,
            StorageError::NotPermitted(_)
            | StorageError::DiskFailed(_)
            | StorageError::Unusable(_)
            | StorageError::Failed(_) => false,
        }
    }
}

/// The newest master whose workers use a database, as the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::shop) struct LastUser {
    /// Who it is.
    pub(in crate::shop) user: DatabaseUser,
    /// The name of its host, for people.
    pub(in crate::shop) host: String,
    /// When it last renewed its lease, while the lease runs. A file has no leases.
    pub(in crate::shop) renewed_ago: Option<Duration>,
}

/// A master whose workers use a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shop) struct DatabaseUser {
    /// Its incarnation.
    pub(in crate::shop) incarnation: Incarnation,
    /// A hash of its name, which tells it from another master of the same incarnation.
    pub(in crate::shop) master: i64,
}
