//! The data and the run directory: created if absent, checked if present, locked against a second master.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::sys::lock::{FileLock, LockError};
use crate::sys::private_file;
use crate::sys::process::Credentials;

/// Both directories, with the locks that keep a second master out while this value exists.
#[derive(Debug)]
pub(in crate::master) struct Directories {
    pub(in crate::master) data: PathBuf,
    pub(in crate::master) run: PathBuf,
    locks: Vec<FileLock>,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another master uses it.
    #[error("another master uses the directory {path} ({holder}); stop it first, or choose another {flag}")]
    Taken {
        /// The directory.
        path: PathBuf,
        /// What the other master wrote about itself.
        holder: String,
        /// The flag that chooses the directory.
        flag: &'static str,
    },
    /// Another user could change it.
    #[error("the directory {path} cannot be trusted: {reason}")]
    Untrusted {
        /// The directory.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The operating system refused.
    #[error("failed to use the directory {path}: {source}; it must exist or be creatable, and be writable")]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl Directories {
    /// Creates and checks both directories, and takes their locks.
    ///
    /// # Errors
    /// [`DirectoryError::Taken`] names the master that uses a directory already.
    pub(in crate::master) fn open(
        data: &Path,
        run: &Path,
        workers: Option<&Credentials>,
    ) -> Result<Directories, DirectoryError> {
        let data = prepare(data)?;
        if let Some(credentials) = workers {
            share_with_workers(&data, credentials)?;
        }
        let run = prepare(run)?;
        check_private(&run)?;
        let mut locks = vec![lock(&data, "--data-dir")?];
        if run != data {
            locks.push(lock(&run, "--run-dir")?);
        }
        Ok(Directories { data, run, locks })
    }

    /// The directories of the master before this binary, in this process.
    pub(in crate::master) fn restored(data: PathBuf, run: PathBuf, locks: Vec<FileLock>) -> Directories {
        Directories { data, run, locks }
    }

    /// The locks of both directories.
    pub(in crate::master) fn locks(&self) -> impl Iterator<Item = &FileLock> {
        self.locks.iter()
    }

    /// Writes this text into the lock files, for a second master that finds them locked.
    pub(in crate::master) fn describe_owner(&mut self, text: &str) -> io::Result<()> {
        self.locks.iter_mut().try_for_each(|lock| lock.sign(text))
    }
}

fn prepare(path: &Path) -> Result<PathBuf, DirectoryError> {
    let failed = |source| DirectoryError::Io {
        path: path.to_owned(),
        source,
    };
    private_file::create_directories(path).map_err(failed)?;
    let path = fs::canonicalize(path).map_err(failed)?;
    let probe = path.join(".cluster-write-probe");
    let failed = |source| DirectoryError::Io {
        path: path.clone(),
        source,
    };
    private_file::create(&probe)
        .and_then(|_| fs::remove_file(&probe))
        .map_err(failed)?;
    Ok(path)
}

/// Workers of another user create their databases in the data directory. The sticky bit keeps them from
/// renaming or removing the master's files there: its locks, its counter and the run directory.
fn share_with_workers(path: &Path, credentials: &Credentials) -> Result<(), DirectoryError> {
    let failed = |source: io::Error| DirectoryError::Io {
        path: path.to_owned(),
        source,
    };
    std::os::unix::fs::chown(path, None, Some(credentials.gid)).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o1770)).map_err(failed)
}

/// The control socket lies in this directory: no other user may write there, or even read it.
fn check_private(path: &Path) -> Result<(), DirectoryError> {
    let untrusted = |reason: String| DirectoryError::Untrusted {
        path: path.to_owned(),
        reason,
    };
    let found: Metadata = fs::symlink_metadata(path).map_err(|source| DirectoryError::Io {
        path: path.to_owned(),
        source,
    })?;
    let own = nix::unistd::geteuid().as_raw();
    if found.uid() != own {
        return Err(untrusted(format!(
            "it belongs to user {}, and the master runs as user {own}",
            found.uid()
        )));
    }
    if found.mode() & 0o077 != 0 {
        let mode = found.mode() & 0o7777;
        return Err(untrusted(format!(
            "its mode is {mode:04o}; expected 0700 (chmod 0700 {})",
            path.display()
        )));
    }
    Ok(())
}

fn lock(directory: &Path, flag: &'static str) -> Result<FileLock, DirectoryError> {
    let path = directory.join("master.lock");
    FileLock::take(&path).map_err(|error| match error {
        LockError::Held(holder) => DirectoryError::Taken {
            path: directory.to_owned(),
            holder,
            flag,
        },
        LockError::Io(source) => DirectoryError::Io { path, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_a_used_directory_names_its_flag() {
        let [data, other, run] = [(); 3].map(|()| tempfile::tempdir().expect("a directory"));
        let run = run.path().join("run");
        let _held = Directories::open(data.path(), &run, None).expect("both are free");
        for (path, flag) in [(data.path(), "--data-dir"), (other.path(), "--run-dir")] {
            let error = Directories::open(path, &run, None).expect_err("taken");
            assert!(error.to_string().ends_with(flag), "{error}");
        }
    }
}
