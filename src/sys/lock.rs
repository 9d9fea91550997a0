//! A lock on a file that is freed when its holder dies. It keeps two masters from one directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

/// An exclusive lock, held until this is dropped. The descriptor is CLOEXEC, so no child keeps the lock.
#[derive(Debug)]
pub struct FileLock {
    file: Flock<File>,
}

/// Why a lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds the lock and wrote this text into the file.
    #[error("it is held by another process ({0})")]
    Held(String),
    /// The file cannot be created or locked.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl FileLock {
    /// Takes the lock, or says which process has it. The file is created with mode 0600 and never removed,
    /// because a removed lock file locks no process out.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process has the lock.
    pub fn take(path: &Path) -> Result<FileLock, LockError> {
        let file = open_lock_file(path, libc::O_NOFOLLOW)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(FileLock { file }),
            Err((file, nix::errno::Errno::EWOULDBLOCK)) => Err(LockError::Held(words_in(file))),
            Err((_, errno)) => Err(LockError::Io(errno.into())),
        }
    }

    /// Takes over the lock that an open file has held since before exec.
    ///
    /// # Errors
    /// When another process holds the lock: then the file was not the one that held it.
    pub fn keep(file: OwnedFd) -> io::Result<FileLock> {
        let file =
            Flock::lock(File::from(file), FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)?;
        Ok(FileLock { file })
    }

    /// Writes a text into the file, for processes that find the lock held.
    ///
    /// # Errors
    /// When the text cannot be written.
    pub fn sign(&mut self, words: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(words.as_bytes())
    }
}

/// Opens a file for locking and creates it with mode 0600 if there is none. Its content is kept. `flags` are
/// flags of `open(2)`, such as `O_NOFOLLOW`.
///
/// # Errors
/// When the file cannot be created or opened.
pub fn open_lock_file(path: &Path, flags: i32) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)
}

impl AsFd for FileLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn words_in(file: File) -> String {
    let mut words = String::new();
    match file.take(256).read_to_string(&mut words) {
        Ok(_) if !words.trim().is_empty() => words.trim().to_owned(),
        Ok(_) | Err(_) => "it has not said who it is".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lock");
        let mut first = FileLock::take(&path).expect("free");
        first.sign("pid 7").expect("signed");
        assert!(matches!(FileLock::take(&path), Err(LockError::Held(words)) if words == "pid 7"));
        drop(first);
        FileLock::take(&path).expect("free again");
    }
}
