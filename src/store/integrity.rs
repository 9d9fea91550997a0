//! What is known of a database beside the database, in its lock file: that there is one, what its schema was like, whether it was
//! found broken. So a file that is gone is not silently made anew, a lost table is seen before anything is served, and a broken
//! page is looked for once instead of being met again and again. Knows neither tables nor pages.

use std::io;
use std::path::Path;

use super::lock::OfdLock;
use super::open::beside;

/// One line in the lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    /// SQLite's `schema_version`, which every change of the schema raises.
    pub(super) cookie: i64,
    /// Every page has to be looked at before the file is used again.
    pub(super) suspect: bool,
}

impl Seal {
    /// What was written last; `None` when nothing (legible) was.
    pub(super) fn read(lock: &OfdLock) -> Option<Seal> {
        Seal::parse(&lock.note().ok()?)
    }

    fn parse(text: &str) -> Option<Seal> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let ["database", "schema", cookie, state] = words[..] else {
            return None;
        };
        Some(Seal {
            cookie: cookie.parse().ok()?,
            suspect: state == "suspect",
        })
    }

    /// Writes it down. A disk that does not take it costs the next opening a closer look, and nothing else.
    pub(super) fn write(self, lock: &OfdLock) -> io::Result<()> {
        let state = if self.suspect { "suspect" } else { "sound" };
        lock.write_note(&format!("database schema {} {state}\n", self.cookie))
    }

    /// Has whoever opens the database next look at every page.
    pub(super) fn break_for(database: &Path) {
        let Ok(lock) = OfdLock::open(&beside(database, ".lock")) else {
            return;
        };
        let known = Seal::read(&lock).unwrap_or(Seal {
            cookie: 0,
            suspect: true,
        });
        let suspect = Seal {
            suspect: true,
            ..known
        };
        if let Err(error) = suspect.write(&lock) {
            tracing::warn!(%error, "the lock file does not take a note about its database");
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
        assert_eq!(Seal::read(&lock), None);
        let seal = Seal {
            cookie: 12,
            suspect: false,
        };
        seal.write(&lock).unwrap();
        assert_eq!(Seal::read(&lock), Some(seal));
        Seal::break_for(&dir.path().join("a.db"));
        assert_eq!(
            Seal::read(&lock),
            Some(Seal {
                suspect: true,
                ..seal
            })
        );
        assert_eq!(Seal::parse("database schema 1"), None);
        assert_eq!(Seal::parse("pid 7"), None);
    }
}
