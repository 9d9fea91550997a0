//! How long the writer has waited for its lock, and a word about who has it when that is too long: a holder that is stopped
//! (Ctrl-Z) keeps every writer waiting, and without a word that would look like a hang of ours. Costs nothing while nobody
//! waits: it is looked at by whoever brings the next job.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sys::procfs;

/// Nobody of ours holds the lock for so long: a batch takes some milliseconds.
const LONG: Duration = Duration::from_secs(2);

/// The wait of one writer.
pub(super) struct Patience {
    lock: PathBuf,
    since: Mutex<Option<Instant>>,
}

impl Patience {
    /// For the lock file of this path.
    pub(super) fn new(lock: PathBuf) -> Patience {
        let since = Mutex::new(None);
        Patience { lock, since }
    }

    /// The writer waits from now on, or no longer.
    pub(super) fn waits(&self, since: Option<Instant>) {
        *self
            .since
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = since;
    }

    /// Tells of a wait that is too long, once.
    pub(super) fn look(&self) {
        let mut since = self
            .since
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if since.take_if(|since| since.elapsed() >= LONG).is_none() {
            return;
        }
        drop(since);
        let lock = self.lock.clone();
        // Not here: it reads what every process has open.
        let teller = std::thread::Builder::new().name("lock-holder".to_owned());
        if let Err(error) = teller.spawn(move || tell(&lock)) {
            tracing::warn!(%error, "writes wait for a lock, and nobody could be sent to see who has it");
        }
    }
}

fn tell(lock: &std::path::Path) {
    let path = lock.display();
    match procfs::lock_holder(lock) {
        Some(pid) => {
            let state = procfs::stat(pid).map_or('?', |stat| stat.state);
            let command = procfs::command_line(pid);
            tracing::error!(%path, pid, %state, command,
                "writes have waited for 2 s for a lock that another process holds (state T: it is stopped; continue it with kill \
                 -CONT, or end it)");
        }
        None => tracing::error!(%path,
            "writes have waited for 2 s for a lock whose holder this user cannot see: look as root for the process that has the \
             file open (fuser)"),
    }
}
