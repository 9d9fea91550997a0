//! A signal between processes by way of a file: who sends it reads one byte of the file, and the kernel tells
//! everybody who watches the file (inotify). So a signal that nobody waits for costs one system call and
//! touches no disk, and who waits uses no time. The end of a process that has the file open is a signal, too,
//! because the kernel closes the file then: a process that is killed between its work and its signal has
//! signalled.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::private_file;

/// Sends signals through one file.
#[derive(Debug)]
pub struct FileSignal {
    file: File,
}

impl FileSignal {
    /// Opens the file, and makes it if it is not there. Whoever watches it gets a signal when this is
    /// dropped, or when this process ends.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<FileSignal> {
        make(path)?;
        // A read that changes the time of the last access would be written to the disk.
        let quiet = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOATIME)
            .open(path);
        let file = quiet.or_else(|_| File::open(path))?;
        Ok(FileSignal { file })
    }

    /// Sends a signal. A file that cannot be read sends none.
    pub fn send(&self) {
        let _sent = self.file.read_at(&mut [0], 0);
    }
}

/// Makes the file with its one byte, for its owner alone.
fn make(path: &Path) -> io::Result<()> {
    if path.metadata().is_ok_and(|found| found.len() > 0) {
        return Ok(());
    }
    private_file::write(path, b"\n")
}

/// Waits for the signals of one file.
#[derive(Debug)]
pub struct FileSignalWatch {
    inotify: Inotify,
    path: PathBuf,
    /// The file that is watched.
    inode: u64,
}

impl FileSignalWatch {
    /// Watches the file, and makes it if it is not there. Signals from now on are seen.
    ///
    /// # Errors
    /// The system's; for a user who has too many inotify instances, too.
    pub fn open(path: &Path) -> io::Result<FileSignalWatch> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let mut watch = FileSignalWatch {
            inotify,
            path: path.to_owned(),
            inode: 0,
        };
        watch.watch()?;
        Ok(watch)
    }

    fn watch(&mut self) -> io::Result<()> {
        make(&self.path)?;
        let signals = AddWatchFlags::IN_ACCESS | AddWatchFlags::IN_CLOSE;
        // A file that is removed changes the number of its links.
        let changes = AddWatchFlags::IN_ATTRIB | AddWatchFlags::IN_MOVE_SELF;
        self.inotify.add_watch(&self.path, signals | changes)?;
        self.inode = self.path.metadata()?.ino();
        Ok(())
    }

    /// Takes all signals that came; whether there was any. A file that was removed or replaced is made or
    /// watched anew, and counts as a signal.
    ///
    /// # Errors
    /// The system's.
    pub fn take(&mut self) -> io::Result<bool> {
        let mut any = false;
        loop {
            match self.inotify.read_events() {
                Ok(_) => any = true,
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if any && self.path.metadata().map_or(0, |found| found.ino()) != self.inode {
            self.watch()?;
        }
        Ok(any)
    }
}

impl AsFd for FileSignalWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl AsRawFd for FileSignalWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.inotify.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn is_told(watch: &mut FileSignalWatch) -> bool {
        let mut fds = [PollFd::new(watch.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).expect("polled");
        watch.take().expect("read")
    }

    #[test]
    fn every_signal_is_seen_and_so_is_the_end_of_its_sender() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("signal");
        let sender = FileSignal::open(&path).expect("opened");
        let mut watch = FileSignalWatch::open(&path).expect("watched");
        watch.take().expect("read");
        assert!(!is_told(&mut watch), "nobody signalled");
        sender.send();
        assert!(is_told(&mut watch) && !is_told(&mut watch));
        drop(sender);
        assert!(is_told(&mut watch), "its end");
    }

    #[test]
    fn a_process_that_is_killed_has_signalled() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("signal");
        let mut watch = FileSignalWatch::open(&path).expect("watched");
        let file = File::open(&path).expect("opened");
        let mut child = std::process::Command::new("sleep")
            .arg("100")
            .stdin(file)
            .spawn()
            .expect("started");
        let _before = watch.take().expect("read");
        child.kill().expect("killed");
        child.wait().expect("reaped");
        assert!(is_told(&mut watch));
    }

    #[test]
    fn a_file_that_was_removed_is_made_anew_and_watched() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("signal");
        let mut watch = FileSignalWatch::open(&path).expect("watched");
        watch.take().expect("read");
        std::fs::remove_file(&path).expect("removed");
        assert!(is_told(&mut watch));
        let sender = FileSignal::open(&path).expect("opened");
        watch.take().expect("read");
        sender.send();
        assert!(is_told(&mut watch));
    }
}
