//! The pid file: written when the master has its locks, removed when the master ends, unless another program
//! has written its pid there meanwhile.

use std::io;
use std::path::{Path, PathBuf};

use super::durable::{Durability, replace_file};

/// The pid file, which is removed when this value is dropped.
#[derive(Debug)]
pub(in crate::master) struct PidFile {
    path: PathBuf,
}

/// The pid file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the pid file {path}: {source}; its directory must exist and be writable")]
pub struct PidFileError {
    /// The path of the pid file.
    path: PathBuf,
    /// The error of the operating system.
    pub source: io::Error,
}

impl PidFile {
    /// Writes the pid file, if `path` names one.
    pub(in crate::master) fn write(path: Option<&Path>) -> Result<Option<PidFile>, PidFileError> {
        let Some(path) = path else { return Ok(None) };
        match replace_file(path, content().as_bytes(), Durability::ProcessExit) {
            Ok(()) => Ok(Some(PidFile {
                path: path.to_owned(),
            })),
            Err(source) => Err(PidFileError {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// The pid file that the master before this binary wrote, with the same pid.
    pub(in crate::master) fn restored(path: PathBuf) -> PidFile {
        PidFile { path }
    }

    /// The path of the pid file.
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
    fn the_file_is_removed_unless_it_holds_another_pid() {
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
