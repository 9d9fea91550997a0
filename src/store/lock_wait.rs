//! How long the writer thread has waited for its lock, and a log line about the holder when that is too long:
//! a holder that is stopped (Ctrl-Z) keeps every writer waiting, which would otherwise look like a hang of
//! this program. Costs nothing while nobody waits: the caller that brings the next job looks at it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::sys::procfs;

/// A wait that is reported. No process of this program holds the lock for so long: a batch takes some
/// milliseconds.
const TOO_LONG: Duration = Duration::from_secs(2);

/// The wait of one writer thread.
pub(super) struct LockWait {
    lock: PathBuf,
    since: Mutex<Option<Instant>>,
}

impl LockWait {
    /// For the lock file of this path.
    pub(super) fn new(lock: PathBuf) -> LockWait {
        let since = Mutex::new(None);
        LockWait { lock, since }
    }

    /// The writer thread waits from now on.
    pub(super) fn begin(&self) {
        *self.since() = Some(Instant::now());
    }

    /// The writer thread waits no longer.
    pub(super) fn end(&self) {
        *self.since() = None;
    }

    /// Logs who holds the lock when the wait is too long, once per wait.
    pub(super) fn report_if_too_long(&self) {
        let long = self.since().take_if(|since| since.elapsed() >= TOO_LONG);
        if long.is_none() {
            return;
        }
        let lock = self.lock.clone();
        // In a thread of its own, because it reads the open files of every process.
        let thread = std::thread::Builder::new().name("lock-holder".to_owned());
        if let Err(error) = thread.spawn(move || report_holder(&lock)) {
            tracing::warn!(%error, "writes wait for a lock; no thread could be started to find its holder");
        }
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn report_holder(lock: &Path) {
    let file = lock.display();
    match procfs::lock_holder(lock) {
        Some(pid) => {
            let state = procfs::stat(pid).map_or('?', |stat| stat.state);
            let command_line = procfs::command_line(pid);
            tracing::error!(%file, pid, %state, command_line,
                "writes have waited for 2 s for a lock that another process holds (state T means that it is \
                 stopped: continue it with kill -CONT, or end it)");
        }
        None => tracing::error!(%file,
            "writes have waited for 2 s for a lock whose holder this user cannot see: look as root for the \
             process that has the file open (fuser)"),
    }
}
