//! The file that tells other programs the master's pid: written when the master has its locks, removed when it ends.

use std::io;
use std::path::{Path, PathBuf};

use super::durable::{Sync, replace};

/// Removes the file when dropped.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
}

/// It cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the pid file {path}: {source}; its directory must exist and be writable")]
pub struct PidFileError {
    /// Which.
    path: PathBuf,
    /// The system's words.
    pub source: io::Error,
}

impl PidFile {
    /// Writes it, if one is wanted.
    pub(super) fn write(path: Option<&Path>) -> Result<Option<PidFile>, PidFileError> {
        let Some(path) = path else { return Ok(None) };
        let content = format!("{}\n", std::process::id());
        match replace(path, content.as_bytes(), Sync::Lazily) {
            Ok(()) => Ok(Some(PidFile {
                path: path.to_owned(),
            })),
            Err(source) => Err(PidFileError {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// One that was written before this binary, with the same pid.
    pub(super) fn kept(path: PathBuf) -> PidFile {
        PidFile { path }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
