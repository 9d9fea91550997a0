//! Who lives, in the kernel's own word: each life of a worker holds the lock of one byte of one file from
//! before it owns an order to the end of its process, and the kernel frees it with the process, however that
//! ends. A stopped process keeps it, a pid that is given out again means nothing, and a copy of the directory
//! holds nobody's locks. It knows nothing of orders.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::ids::Life;
use crate::store::OfdLock;

/// The file in the data directory. It stays empty, and one descriptor of it is all that a worker needs.
const FILE: &str = "lives.lock";

const EPOCH_BITS: u32 = 22;
const SLOT_BITS: u32 = 10;
const INCARNATION_BITS: u32 = 31;

/// This process among the living.
#[derive(Debug)]
pub(in crate::shop) struct LifeLock {
    path: PathBuf,
    own: Life,
    lock: Mutex<OfdLock>,
}

/// Why a worker cannot be counted among the living.
#[derive(Debug, thiserror::Error)]
pub(in crate::shop) enum LivenessError {
    /// Fences could not tell the two apart.
    #[error("another process that lives is life {0} over this data directory: end it")]
    Twice(Life),
    /// The file cannot be opened or locked.
    #[error("{FILE} cannot be locked: {0}")]
    Io(#[from] io::Error),
}

impl LifeLock {
    /// From now on this life is counted.
    ///
    /// # Errors
    /// [`LivenessError`]; then it must own nothing.
    pub(in crate::shop) fn enter(data_dir: &Path, own: Life) -> Result<LifeLock, LivenessError> {
        let path = data_dir.join(FILE);
        let lock = Mutex::new(locked(&path, own)?);
        Ok(LifeLock { path, own, lock })
    }

    /// Whether the file has been the same since the last look. When somebody removed it, or put another
    /// there, this life goes over to what lies there now, as all others do, and nobody's death can be told
    /// until they have.
    ///
    /// # Errors
    /// As [`LifeLock::enter`]; nobody's death can be told then, either.
    pub(in crate::shop) fn stay(&self) -> Result<bool, LivenessError> {
        let mut lock = self.lock();
        if lock.is_at(&self.path).unwrap_or(false) {
            return Ok(true);
        }
        *lock = locked(&self.path, self.own)?;
        Ok(false)
    }

    /// Whether that life's process has ended; of one that never was counted the same is said.
    pub(in crate::shop) fn is_dead(&self, life: Life) -> bool {
        life != self.own && matches!(self.lock().is_byte_taken(byte(life)), Ok(false))
    }

    fn lock(&self) -> MutexGuard<'_, OfdLock> {
        // Replaced as a whole or not at all.
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

/// Its byte. Two lives have the same only when thousands of millions of starts or millions of lives of one
/// slot lie between them; the earlier one is then taken to live for as long as the later one does, and its
/// orders wait for the master's word.
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
    fn a_life_is_dead_when_its_process_has_let_go_of_it_and_not_before() {
        let directory = tempfile::tempdir().unwrap();
        let enter = |life| LifeLock::enter(directory.path(), life).unwrap();
        let (first, second) = (enter(Life::of(7, 0, 1)), enter(Life::of(7, 1, 1)));
        assert!(!first.is_dead(Life::of(7, 1, 1)) && !second.is_dead(Life::of(7, 0, 1)));
        assert!(!first.is_dead(Life::of(7, 0, 1)), "itself");
        drop(second);
        assert!(first.is_dead(Life::of(7, 1, 1)));
        assert!(first.is_dead(Life::of(7, 0, 2)), "a life that never was");
    }

    #[test]
    fn no_two_processes_are_the_same_life() {
        let directory = tempfile::tempdir().unwrap();
        let _first = LifeLock::enter(directory.path(), Life::of(7, 0, 1)).unwrap();
        let second = LifeLock::enter(directory.path(), Life::of(7, 0, 1));
        assert!(matches!(second, Err(LivenessError::Twice(twice)) if twice == Life::of(7, 0, 1)));
    }

    #[test]
    fn a_file_that_was_removed_is_gone_over_to_and_nobody_is_declared_dead_meanwhile() {
        let directory = tempfile::tempdir().unwrap();
        let enter = |life| LifeLock::enter(directory.path(), life).unwrap();
        let (first, second) = (enter(Life::of(7, 0, 1)), enter(Life::of(7, 1, 1)));
        assert!(first.stay().unwrap());
        std::fs::remove_file(directory.path().join(FILE)).unwrap();
        assert!(!first.stay().unwrap() && !second.stay().unwrap());
        assert!(first.stay().unwrap() && second.stay().unwrap());
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
