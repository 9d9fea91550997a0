//! What is written about a database in its lock file: that the database exists, which schema it had, and
//! whether a broken page was found in it. So a database that was removed is not silently made anew, a lost
//! table is found before the database is used, and a broken page leads to one check of all pages instead of
//! being met again and again. This module knows neither tables nor pages.

use std::io;
use std::path::Path;

use super::filesystem::beside;
use super::lock::OfdLock;

/// The one line in the lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IntegrityMark {
    /// SQLite's `schema_version`, which every change of the schema raises.
    pub(super) schema_cookie: i64,
    /// Every page has to be checked before the database is used again.
    pub(super) suspect: bool,
}

impl IntegrityMark {
    /// The mark that was written last; `None` when there is none that can be read.
    pub(super) fn read(lock: &OfdLock) -> Option<IntegrityMark> {
        IntegrityMark::parse(&lock.note().ok()?)
    }

    fn parse(text: &str) -> Option<IntegrityMark> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let ["database", "schema", cookie, state] = words[..] else {
            return None;
        };
        Some(IntegrityMark {
            schema_cookie: cookie.parse().ok()?,
            suspect: state == "suspect",
        })
    }

    /// Writes the mark into the lock file. When the disk does not take it, the next opening checks the schema
    /// again; nothing else is lost.
    pub(super) fn write(self, lock: &OfdLock) -> io::Result<()> {
        let state = if self.suspect { "suspect" } else { "sound" };
        lock.write_note(&format!("database schema {} {state}\n", self.schema_cookie))
    }

    /// Makes the next process that opens the database check every page.
    pub(super) fn mark_suspect(database: &Path) {
        let Ok(lock) = OfdLock::open(&beside(database, ".lock")) else {
            return;
        };
        let known = IntegrityMark::read(&lock).unwrap_or(IntegrityMark {
            schema_cookie: 0,
            suspect: true,
        });
        let suspect = IntegrityMark {
            suspect: true,
            ..known
        };
        if let Err(error) = suspect.write(&lock) {
            tracing::warn!(%error, "failed to write into the lock file that its database is suspect");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_a_torn_line_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let lock = OfdLock::open(&dir.path().join("a.db.lock")).unwrap();
        assert_eq!(IntegrityMark::read(&lock), None);
        let mark = IntegrityMark {
            schema_cookie: 12,
            suspect: false,
        };
        mark.write(&lock).unwrap();
        assert_eq!(IntegrityMark::read(&lock), Some(mark));
        IntegrityMark::mark_suspect(&dir.path().join("a.db"));
        let suspect = IntegrityMark {
            suspect: true,
            ..mark
        };
        assert_eq!(IntegrityMark::read(&lock), Some(suspect));
        assert_eq!(IntegrityMark::parse("database schema 1"), None);
        assert_eq!(IntegrityMark::parse("pid 7"), None);
    }
}
