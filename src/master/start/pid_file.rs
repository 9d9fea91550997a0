//! The file that tells other programs the master's pid: written when the master has its locks, removed when it ends, if it is still its own.

use std::io;
use std::path::{Path, PathBuf};

use super::durable::{Sync, replace};

/// Removes the file when dropped, unless another program has written its pid there meanwhile.
#[derive(Debug)]
pub(in crate::master) struct PidFile {
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
    pub(in crate::master) fn write(path: Option<&Path>) -> Result<Option<PidFile>, PidFileError> {
        let Some(path) = path else { return Ok(None) };
        match replace(path, content().as_bytes(), Sync::Lazily) {
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
    pub(in crate::master) fn kept(path: PathBuf) -> PidFile {
        PidFile { path }
    }

    /// Where it is.
    pub(in crate::master) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if std::fs::read(&self.path).is_ok_and(|found| found == content().as_bytes()) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn content() -> String {
    format!("{}\n", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_removed_with_the_own_pid_and_not_with_anothers() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pid");
        drop(PidFile::write(Some(&path)).expect("written"));
        assert!(!path.exists());
        let file = PidFile::write(Some(&path)).expect("written");
        std::fs::write(&path, "1\n").expect("replaced");
        drop(file);
        assert!(path.exists(), "it was another's");
    }
}
