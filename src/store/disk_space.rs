//! Whether there is room to write: what the last batches met, and what the file system says. Knows sizes alone.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::statvfs::statvfs;

/// After a full disk, new work waits until this much is free (or an eighth of a small disk), so that what is under way has the
/// first of it and the next order does not fill it again.
const HEADROOM: u64 = 4 << 20;

/// What the writer learns and callers ask.
pub(super) struct Room {
    name: &'static str,
    path: PathBuf,
    stalled: AtomicBool,
}

impl Room {
    pub(super) fn new(name: &'static str, path: PathBuf) -> Room {
        Room {
            name,
            path,
            stalled: AtomicBool::new(false),
        }
    }

    /// A batch could not be written.
    pub(super) fn is_short(&self, why: &str) {
        if !self.stalled.swap(true, Ordering::AcqRel) {
            tracing::error!(
                store = self.name,
                why,
                "a database takes no writes; what is under way waits, new orders are refused until it does"
            );
        }
    }

    /// A batch was written.
    pub(super) fn was_there(&self) {
        if self.stalled.load(Ordering::Acquire) && self.has_headroom() {
            self.stalled.store(false, Ordering::Release);
            tracing::info!(store = self.name, "a database takes writes again");
        }
    }

    /// Whether the last batches failed.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    /// Whether the file system has more than a few pages to give. One that cannot say is believed to.
    pub(super) fn has_headroom(&self) -> bool {
        statvfs(&self.path).map_or(true, |disk| {
            let block = disk.fragment_size();
            let (free, all) = (disk.blocks_available() * block, disk.blocks() * block);
            free >= HEADROOM.min(all / 8)
        })
    }
}
