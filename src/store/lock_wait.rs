//! How long the writer thread has waited for its lock, and a log line about the holder when that is too long:
//! a holder that is stopped (Ctrl-Z) keeps every writer waiting, which would otherwise look like a hang of
//! this program. Costs nothing while nobody waits: the caller that brings the next job looks at it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::sys::procfs;

/// A wait that is reported. No process of this program holds the lock for so long: a batch takes some
/// milliseconds.
const TOO_LONG: Duration = Duration::from_secs(2);
/// The lock may have just become free. The writer thread then has it within this time, unless it gets no CPU
/// time.
const MOMENT: Duration = Duration::from_millis(100);

/// The wait of one writer thread.
pub(super) struct LockWait {
    lock: PathBuf,
    wait: Mutex<Option<OngoingWait>>,
    ended: Notify,
}

/// A wait that has not ended.
struct OngoingWait {
    since: Instant,
    is_reported: bool,
}

impl LockWait {
    /// For the lock file of this path.
    pub(super) fn new(lock: PathBuf) -> LockWait {
        LockWait {
            lock,
            wait: Mutex::new(None),
            ended: Notify::new(),
        }
    }

    /// The writer thread waits from now on.
    pub(super) fn begin(&self) {
        *self.wait() = Some(OngoingWait {
            since: Instant::now(),
            is_reported: false,
        });
    }

    /// The writer thread waits no longer.
    pub(super) fn end(&self) {
        *self.wait() = None;
        self.ended.notify_waiters();
    }

    /// Whether the wait is too long and does not end in a moment.
    pub(super) async fn is_lasting(&self) -> bool {
        if !self.is_too_long() {
            return false;
        }
        let ended = self.ended.notified();
        // It may have ended before `ended` was there to be told.
        self.is_too_long() && tokio::time::timeout(MOMENT, ended).await.is_err()
    }

    /// Whether the wait is too long. Logs who holds the lock, once per wait.
    pub(super) fn is_too_long(&self) -> bool {
        let mut wait = self.wait();
        let Some(wait) = wait.as_mut().filter(|wait| wait.since.elapsed() >= TOO_LONG) else {
            return false;
        };
        if !std::mem::replace(&mut wait.is_reported, true) {
            self.report();
        }
        true
    }

    fn report(&self) {
        let lock = self.lock.clone();
        // In a thread of its own, because it reads the open files of every process.
        let thread = std::thread::Builder::new().name("lock-holder".to_owned());
        if let Err(error) = thread.spawn(move || report_holder(&lock)) {
            tracing::warn!(%error, "writes wait for a lock; no thread could be started to find its holder");
        }
    }

    fn wait(&self) -> MutexGuard<'_, Option<OngoingWait>> {
        self.wait.lock().unwrap_or_else(PoisonError::into_inner)
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
