//! Whether the files behind an open database are still the files at its path. A database that was removed or
//! replaced while it was open would take writes that nobody can find. This module compares names and inodes
//! only.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::filesystem::beside;

/// Between two looks at the files beside the database. The database itself is looked at before every batch
/// (one stat).
const BESIDE_INTERVAL: Duration = Duration::from_secs(1);

type DeviceAndInode = (u64, u64);

/// The database, its WAL, its WAL index and its lock file as they were when they were opened.
pub(super) struct KnownFiles {
    database: (PathBuf, Option<DeviceAndInode>),
    beside: Vec<(PathBuf, Option<DeviceAndInode>)>,
    looked: Instant,
}

impl KnownFiles {
    /// The files of a database that is open.
    pub(super) fn of(database: &Path) -> KnownFiles {
        let known = |path: PathBuf| {
            let identity = identity(&path);
            (path, identity)
        };
        let beside = ["-wal", "-shm", ".lock"].map(|suffix| known(beside(database, suffix)));
        KnownFiles {
            database: known(database.to_owned()),
            beside: beside.to_vec(),
            looked: Instant::now(),
        }
    }

    /// Which file is not the one that was opened, in words for the person who has to mend it.
    pub(super) fn changed(&mut self) -> Option<String> {
        let mut changed = moved(&self.database);
        if changed.is_none() && self.looked.elapsed() >= BESIDE_INTERVAL {
            self.looked = Instant::now();
            for file in &mut self.beside {
                // SQLite makes the WAL and its index when they are first needed, and keeps them while any
                // process has the database open.
                file.1 = file.1.or_else(|| identity(&file.0));
                changed = changed.or_else(|| moved(file));
            }
        }
        changed.map(|(path, how)| {
            format!(
                "{path:?} was {how} while it was open; what this process writes would be lost: stop the \
                 cluster before files of its data directory are touched, and restore them from a backup"
            )
        })
    }
}

fn identity(path: &Path) -> Option<DeviceAndInode> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

fn moved((path, known): &(PathBuf, Option<DeviceAndInode>)) -> Option<(PathBuf, &'static str)> {
    let known = (*known)?;
    match identity(path) {
        Some(found) if found == known => None,
        Some(_) => Some((path.clone(), "replaced")),
        None => Some((path.clone(), "removed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_removed_or_replaced_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        std::fs::write(&path, "a").unwrap();
        let mut files = KnownFiles::of(&path);
        assert_eq!(files.changed(), None);
        std::fs::write(dir.path().join("b"), "b").unwrap();
        std::fs::rename(dir.path().join("b"), &path).unwrap();
        assert!(files.changed().unwrap().contains("was replaced"));
        std::fs::remove_file(&path).unwrap();
        assert!(files.changed().unwrap().contains("was removed"));
    }
}
