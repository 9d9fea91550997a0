//! Whether the files behind an open database are still those of its path. A database that was removed or replaced under its
//! writers would go on taking writes that nobody can find. Looks at names and inodes alone.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::open::beside;

/// The database is looked at before every batch (one stat), the files beside it this often.
const BESIDE_EVERY: Duration = Duration::from_secs(1);

type Identity = (u64, u64);

/// The files as they were when they were opened.
pub(super) struct Anchor {
    database: (PathBuf, Option<Identity>),
    beside: Vec<(PathBuf, Option<Identity>)>,
    looked: Instant,
}

impl Anchor {
    /// Of a database that is open.
    pub(super) fn drop_at(database: &Path) -> Anchor {
        let known = |path: PathBuf| {
            let identity = identity(&path);
            (path, identity)
        };
        let beside = ["-wal", "-shm", ".lock"].map(|suffix| known(beside(database, suffix)));
        Anchor {
            database: known(database.to_owned()),
            beside: beside.to_vec(),
            looked: Instant::now(),
        }
    }

    /// Which file is not the one that was opened, in words for whoever has to mend it.
    pub(super) fn torn(&mut self) -> Option<String> {
        let mut torn = moved(&self.database);
        if torn.is_none() && self.looked.elapsed() >= BESIDE_EVERY {
            self.looked = Instant::now();
            for file in &mut self.beside {
                // SQLite makes the WAL and its index with the first need of them, and keeps them while anyone has them open.
                file.1 = file.1.or_else(|| identity(&file.0));
                torn = torn.or_else(|| moved(file));
            }
        }
        torn.map(|(path, how)| {
            format!(
                "{path:?} was {how} while it was open; what this process writes would be lost: stop the cluster before files of \
                 its data directory are touched, and restore them from a backup"
            )
        })
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

fn moved((path, known): &(PathBuf, Option<Identity>)) -> Option<(PathBuf, &'static str)> {
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
        let mut anchor = Anchor::drop_at(&path);
        assert_eq!(anchor.torn(), None);
        std::fs::write(dir.path().join("b"), "b").unwrap();
        std::fs::rename(dir.path().join("b"), &path).unwrap();
        assert!(anchor.torn().unwrap().contains("was replaced"));
        std::fs::remove_file(&path).unwrap();
        assert!(anchor.torn().unwrap().contains("was removed"));
    }
}
