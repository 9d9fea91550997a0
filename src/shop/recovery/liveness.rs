//! Which workers are alive, as the kernel knows it. Each life of a worker holds the lock of one byte of one
//! file, from before it owns an order until its process ends, and the kernel frees the lock with the process,
//! however it ends. A stopped process keeps its lock, a reused pid means nothing, and a copy of the directory
//! holds no locks. This module knows nothing of orders.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::ids::Life;
use crate::store::OfdLock;

/// The file in the data directory. It stays empty, and a worker needs one descriptor of it.
pub(in crate::shop) const FILE: &str = "lives.lock";

const EPOCH_BITS: u32 = 22;
const SLOT_BITS: u32 = 10;
const INCARNATION_BITS: u32 = 31;

/// The lock of this process's life.
#[derive(Debug)]
pub(in crate::shop) struct LifeLock {
    path: PathBuf,
    own: Life,
    lock: Mutex<OfdLock>,
}

/// Why a worker cannot lock the byte of its life.
#[derive(Debug, thiserror::Error)]
pub(in crate::shop) enum LivenessError {
    /// A live process has the same identity; fences could not tell the two apart.
    #[error("another process that lives is life {0} over this data directory: end it")]
    Twice(Life),
    /// The file cannot be opened or locked.
    #[error("{FILE} cannot be locked: {0}")]
    Io(#[from] io::Error),
}

impl LifeLock {
    /// Takes the lock of this life.
    ///
    /// # Errors
    /// [`LivenessError`]; the worker must own no order then.
    pub(in crate::shop) fn take(data_dir: &Path, own: Life) -> Result<LifeLock, LivenessError> {
        let path = data_dir.join(FILE);
        let lock = Mutex::new(locked(&path, own)?);
        Ok(LifeLock { path, own, lock })
    }

    /// Whether the file is still the one that was locked. When the file was removed or replaced, this life
    /// takes its lock in the new file, as all other workers do, and no death can be told until they have.
    ///
    /// # Errors
    /// As [`LifeLock::take`]; no death can be told then, either.
    pub(in crate::shop) fn keep(&self) -> Result<bool, LivenessError> {
        let mut lock = self.lock();
        if lock.is_at(&self.path).unwrap_or(false) {
            return Ok(true);
        }
        *lock = locked(&self.path, self.own)?;
        Ok(false)
    }

    /// Lets the lock of this life go, because it writes nothing any more, and says whether no other life of
    /// this host holds one. Of lives that let go at the same time, at least one is told so.
    ///
    /// # Errors
    /// The system's.
    #[cfg(feature = "postgres")]
    pub(in crate::shop) fn let_go_as_the_last(&self) -> io::Result<bool> {
        let lock = self.lock();
        lock.release()?;
        Ok(!lock.is_any_byte_taken()?)
    }

    /// Whether the process of that life has ended, on this host. Also true of a life that never took its
    /// lock.
    pub(in crate::shop) fn is_dead(&self, life: Life) -> bool {
        life != self.own
            && life.host == self.own.host
            && matches!(self.lock().is_byte_taken(byte(life)), Ok(false))
    }

    fn lock(&self) -> MutexGuard<'_, OfdLock> {
        // The lock is replaced as a whole or not at all, so a poisoned mutex is whole.
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn locked(path: &Path, life: Life) -> Result<OfdLock, LivenessError> {
    let lock = OfdLock::open(path)?;
    if lock.try_take_byte(byte(life))? {
        Ok(lock)
    } else {
        Err(LivenessError::Twice(life))
    }
}

/// The byte of a life. Two lives share a byte only when thousands of millions of starts, or millions of lives
/// of one slot, lie between them. The earlier one then counts as alive for as long as the later one is, and
/// its orders wait until the master announces its death.
fn byte(life: Life) -> i64 {
    let low = |number: u64, bits: u32| number & ((1 << bits) - 1);
    let incarnation = low(life.incarnation.0, INCARNATION_BITS);
    let slot = low(u64::from(life.slot.0), SLOT_BITS);
    let epoch = low(u64::from(life.epoch.0), EPOCH_BITS);
    ((((incarnation << SLOT_BITS) | slot) << EPOCH_BITS) | epoch).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_dead_once_its_lock_is_released_and_not_before() {
        let directory = tempfile::tempdir().unwrap();
        let take = |life| LifeLock::take(directory.path(), life).unwrap();
        let (first, second) = (take(Life::of(7, 0, 1)), take(Life::of(7, 1, 1)));
        assert!(!first.is_dead(Life::of(7, 1, 1)) && !second.is_dead(Life::of(7, 0, 1)));
        assert!(!first.is_dead(Life::of(7, 0, 1)), "itself");
        drop(second);
        assert!(first.is_dead(Life::of(7, 1, 1)));
        assert!(first.is_dead(Life::of(7, 0, 2)), "a life that never was");
    }

    #[test]
    fn no_two_processes_have_the_same_life() {
        let directory = tempfile::tempdir().unwrap();
        let _first = LifeLock::take(directory.path(), Life::of(7, 0, 1)).unwrap();
        let second = LifeLock::take(directory.path(), Life::of(7, 0, 1));
        assert!(matches!(second, Err(LivenessError::Twice(twice)) if twice == Life::of(7, 0, 1)));
    }

    #[test]
    fn after_the_file_was_replaced_no_life_is_declared_dead_until_all_have_moved() {
        let directory = tempfile::tempdir().unwrap();
        let take = |life| LifeLock::take(directory.path(), life).unwrap();
        let (first, second) = (take(Life::of(7, 0, 1)), take(Life::of(7, 1, 1)));
        assert!(first.keep().unwrap());
        std::fs::remove_file(directory.path().join(FILE)).unwrap();
        assert!(!first.keep().unwrap() && !second.keep().unwrap());
        assert!(first.keep().unwrap() && second.keep().unwrap());
        assert!(!first.is_dead(Life::of(7, 1, 1)) && !second.is_dead(Life::of(7, 0, 1)));
    }

    #[test]
    fn different_lives_have_different_bytes() {
        let lives = [
            (1, 0, 1),
            (1, 0, 2),
            (1, 1, 1),
            (2, 0, 1),
            (1, 1023, 1),
            (1 << 30, 0, 1),
        ];
        let mut bytes: Vec<i64> = lives.iter().map(|&(i, s, e)| byte(Life::of(i, s, e))).collect();
        bytes.sort_unstable();
        bytes.dedup();
        assert_eq!(bytes.len(), lives.len());
        assert!(byte(Life::of(u64::MAX, u16::MAX, u32::MAX)) >= 0);
    }
}
