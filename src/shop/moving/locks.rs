//! Nobody serves the data directory while its databases are moved.

use std::path::Path;

use super::move_error::MoveError;
use crate::shop::recovery::liveness;
use crate::store::OfdLock;
use crate::sys::lock::{FileLock, LockError};

/// Held as long as the move lasts: no master starts meanwhile, and no worker of one that has died lives.
pub(super) struct MoveLocks {
    _master: FileLock,
    _lives: Option<OfdLock>,
}

/// Takes the locks.
pub(super) fn take(data_dir: &Path) -> Result<MoveLocks, MoveError> {
    let served = |by: String| MoveError::Served {
        place: data_dir.display().to_string(),
        by,
    };
    let mut master = FileLock::take(&data_dir.join("master.lock")).map_err(|error| match error {
        LockError::Held(by) => served(by),
        LockError::Io(error) => MoveError::Io(error),
    })?;
    master.sign(&format!("a move of the databases, pid {}", std::process::id()))?;
    let lives = data_dir.join(liveness::FILE);
    // A file that this user made might be one that the workers' user cannot open.
    let lives = lives.exists().then(|| OfdLock::open(&lives)).transpose()?;
    if let Some(lives) = &lives
        && !lives.try_take()?
    {
        return Err(served("a worker whose master has died still lives".to_owned()));
    }
    Ok(MoveLocks {
        _master: master,
        _lives: lives,
    })
}
