//! The incarnation counter, which makes every life unique: it is raised and synced once per start of a
//! master, before the first fork.

use std::fs;
use std::io;
use std::path::Path;

use crate::base::ids::Incarnation;
use crate::sys::durable::{Durability, replace_file};

const FILE: &str = "incarnation";
/// The largest incarnation: databases keep it in a signed column of 64 bits.
const MAX: u64 = i64::MAX as u64;

/// Why there is no new incarnation.
#[derive(Debug, thiserror::Error)]
pub enum IncarnationError {
    /// The file does not hold a number.
    #[error(
        "{path} holds {found:?}, expected a whole number below {MAX}; if the file was damaged, write a number \
         larger than any incarnation in the logs into it"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What the file holds.
        found: String,
    },
    /// The file cannot be read or replaced.
    #[error("failed to raise the incarnation counter {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Raises the counter of this data directory. When this returns, no later call will ever return the same
/// number.
///
/// # Errors
/// When the counter is damaged or the disk does not take it.
pub(in crate::master) fn next(data: &Path) -> Result<Incarnation, IncarnationError> {
    let file = data.join(FILE);
    let path = file.display().to_string();
    let last = match fs::read_to_string(&file) {
        Ok(text) => match text.trim().parse() {
            Ok(number) if number < MAX => number,
            Ok(_) | Err(_) => {
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
    replace_file(&file, content.as_bytes(), Durability::PowerCut)
        .map_err(|source| IncarnationError::Io { path, source })?;
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_never_repeats_and_a_damaged_one_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(next(directory.path()).expect("first"), Incarnation(1));
        assert_eq!(next(directory.path()).expect("second"), Incarnation(2));
        let largest = u64::MAX.to_string();
        for damaged in ["soon", "-1", "", &MAX.to_string(), &largest] {
            fs::write(directory.path().join(FILE), damaged).expect("written");
            let refused = next(directory.path());
            assert!(
                matches!(refused, Err(IncarnationError::Damaged { .. })),
                "{damaged:?}"
            );
        }
    }
}
