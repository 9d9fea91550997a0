//! A lock on a file of its own that the kernel frees when its holder dies, and grants in about the order it
//! was asked for. Knows nothing of SQLite: its busy handler polls with sleeps and is unfair, which is why
//! writers queue here first.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::sys::lock::open_lock_file;

/// An open file description that can hold an exclusive OFD lock. One holder at a time, across processes and
/// threads, as long as each has opened its own.
#[derive(Debug)]
pub struct OfdLock {
    file: File,
}

impl OfdLock {
    /// Opens (creates, mode 0600) the file to be locked.
    ///
    /// # Errors
    /// The system's, when it cannot be created or opened.
    pub fn open(path: &Path) -> io::Result<OfdLock> {
        let file = open_lock_file(path, 0)?;
        Ok(OfdLock { file })
    }

    /// The descriptor of the lock file, by which the kernel names the holder.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Takes the lock if it is free, and returns whether it was.
    ///
    /// # Errors
    /// The system's, which is a lack of memory or a file system without locks.
    pub fn try_take(&self) -> io::Result<bool> {
        match fcntl(&self.file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits for the lock and takes it.
    ///
    /// # Errors
    /// As [`OfdLock::try_take`].
    pub fn take(&self) -> io::Result<()> {
        loop {
            match fcntl(&self.file, FcntlArg::F_OFD_SETLKW(&whole_file(libc::F_WRLCK))) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => (),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Takes the lock of one byte if it is free, and returns whether it was. The byte may lie behind the end
    /// of the file.
    ///
    /// # Errors
    /// As [`OfdLock::try_take`].
    pub fn try_take_byte(&self, at: i64) -> io::Result<bool> {
        match fcntl(&self.file, FcntlArg::F_OFD_SETLK(&one_byte(libc::F_WRLCK, at))) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether another descriptor holds the lock of that byte. Takes no lock.
    ///
    /// # Errors
    /// The system's, as when the file system has no locks.
    pub fn is_byte_taken(&self, at: i64) -> io::Result<bool> {
        let mut asked = one_byte(libc::F_WRLCK, at);
        fcntl(&self.file, FcntlArg::F_OFD_GETLK(&mut asked))?;
        Ok(i32::from(asked.l_type) != libc::F_UNLCK)
    }

    /// Whether another descriptor holds the lock of any byte. Takes no lock.
    ///
    /// # Errors
    /// As [`OfdLock::is_byte_taken`].
    pub fn is_any_byte_taken(&self) -> io::Result<bool> {
        let mut asked = whole_file(libc::F_WRLCK);
        fcntl(&self.file, FcntlArg::F_OFD_GETLK(&mut asked))?;
        Ok(i32::from(asked.l_type) != libc::F_UNLCK)
    }

    /// Whether the file that was opened is the one that lies at `path` now.
    ///
    /// # Errors
    /// The system's, when nothing lies at `path`.
    pub fn is_at(&self, path: &Path) -> io::Result<bool> {
        let (own, there) = (self.file.metadata()?, path.metadata()?);
        Ok((own.dev(), own.ino()) == (there.dev(), there.ino()))
    }

    /// The note in the file, up to 128 bytes.
    ///
    /// # Errors
    /// The system's; also when the content is no text.
    pub fn note(&self) -> io::Result<String> {
        let mut bytes = [0; 128];
        let length = self.file.read_at(&mut bytes, 0)?;
        std::str::from_utf8(&bytes[..length])
            .map(str::to_owned)
            .map_err(io::Error::other)
    }

    /// Writes a note of at most 128 bytes for the next process that opens the file.
    ///
    /// # Errors
    /// The system's, as when the disk is full.
    pub fn write_note(&self, note: &str) -> io::Result<()> {
        self.file.write_all_at(note.as_bytes(), 0)?;
        self.file.set_len(u64::try_from(note.len()).unwrap_or(u64::MAX))
    }

    /// Releases the lock.
    ///
    /// # Errors
    /// The system's.
    pub fn release(&self) -> io::Result<()> {
        fcntl(&self.file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_UNLCK)))?;
        Ok(())
    }
}

fn one_byte(kind: libc::c_int, at: i64) -> libc::flock {
    libc::flock {
        l_start: at,
        l_len: 1,
        ..whole_file(kind)
    }
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: 0,
        l_len: 0,
        // Must be zero for an OFD lock.
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_description_holds_the_lock_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let (first, second) = (OfdLock::open(&path).unwrap(), OfdLock::open(&path).unwrap());
        assert!(first.try_take().unwrap());
        assert!(!second.try_take().unwrap());
        first.release().unwrap();
        assert!(second.try_take().unwrap());
    }

    #[test]
    fn bytes_are_locked_each_for_itself_however_far_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let (first, second) = (OfdLock::open(&path).unwrap(), OfdLock::open(&path).unwrap());
        assert!(first.try_take_byte(0).unwrap() && first.try_take_byte(i64::MAX).unwrap());
        assert!(second.try_take_byte(1).unwrap() && !second.try_take_byte(i64::MAX).unwrap());
        let taken = |at| second.is_byte_taken(at).unwrap();
        assert_eq!([0, 1, 2, i64::MAX].map(taken), [true, false, false, true]);
        drop(first);
        assert_eq!(
            [0, i64::MAX].map(|at| second.is_byte_taken(at).unwrap()),
            [false; 2]
        );
    }

    #[test]
    fn a_closed_description_frees_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let second = OfdLock::open(&path).unwrap();
        let first = OfdLock::open(&path).unwrap();
        first.take().unwrap();
        let waiter = std::thread::spawn(move || second.take());
        drop(first);
        waiter.join().unwrap().unwrap();
    }

    #[test]
    fn the_kernel_tells_the_holder_from_the_waiting_process() {
        use std::os::fd::AsRawFd;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let (first, second) = (OfdLock::open(&path).unwrap(), OfdLock::open(&path).unwrap());
        let pid = nix::unistd::getpid().as_raw();
        let has = |lock: &OfdLock| crate::sys::procfs::has_lock(pid, lock.as_fd().as_raw_fd());
        assert_eq!((has(&first), has(&second)), (Some(false), Some(false)));
        first.take().unwrap();
        assert_eq!((has(&first), has(&second)), (Some(true), Some(false)));
        first.release().unwrap();
        assert_eq!(has(&first), Some(false));
        assert_eq!(crate::sys::procfs::has_lock(pid, 1_000_000), None);
    }
}
