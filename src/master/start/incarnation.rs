//! The counter that makes every life unique: raised and synced once per start of a master, before its first fork.

use std::fs;
use std::io;
use std::path::Path;

use super::durable::{Sync, replace};
use crate::base::ids::Incarnation;

const FILE: &str = "incarnation";

/// Why there is no new incarnation.
#[derive(Debug, thiserror::Error)]
pub enum IncarnationError {
    /// The file holds something else.
    #[error(
        "{path} holds {found:?}, expected a whole number; if the file was damaged, write a number larger than any \
         incarnation in the logs into it"
    )]
    Damaged {
        /// Which file.
        path: String,
        /// What it holds.
        found: String,
    },
    /// The file cannot be read or replaced.
    #[error("failed to raise the incarnation counter {path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// The system's words.
        source: io::Error,
    },
}

/// Raises the counter of this data directory. When this returns, no later call will ever return the same number.
///
/// # Errors
/// When the counter is damaged or the disk does not take it.
pub(in crate::master) fn next(data: &Path) -> Result<Incarnation, IncarnationError> {
    let file = data.join(FILE);
    let path = file.display().to_string();
    let last = match fs::read_to_string(&file) {
        Ok(text) => match text.trim().parse() {
            Ok(number) => number,
            Err(_) => {
                return Err(IncarnationError::Damaged {
                    path,
                    found: text.chars().take(40).collect(),
                });
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(source) => return Err(IncarnationError::Io { path, source }),
    };
    let next = Incarnation(last).next();
    let content = format!("{next}\n");
    replace(&file, content.as_bytes(), Sync::ToDisk)
        .map_err(|source| IncarnationError::Io { path, source })?;
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_repeats_and_never_guesses() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(next(directory.path()).expect("first"), Incarnation(1));
        assert_eq!(next(directory.path()).expect("second"), Incarnation(2));
        fs::write(directory.path().join(FILE), "soon").expect("written");
        assert!(matches!(
            next(directory.path()),
            Err(IncarnationError::Damaged { .. })
        ));
    }
}
