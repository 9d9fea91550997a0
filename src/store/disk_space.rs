//! Whether a database can be written: what the last batches met, and how much space the file system has left.
//! This module knows sizes only.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::statvfs::statvfs;

/// Bytes that must be free after the disk was full before new work is accepted (or an eighth of a small
/// disk). So the work under way gets the first of the space, and the next order does not fill the disk again.
const HEADROOM: u64 = 4 << 20;

/// What the writer thread learns about the disk, and callers ask.
pub(super) struct DiskSpace {
    name: &'static str,
    path: PathBuf,
    stalled: AtomicBool,
}

impl DiskSpace {
    pub(super) fn new(name: &'static str, path: PathBuf) -> DiskSpace {
        DiskSpace {
            name,
            path,
            stalled: AtomicBool::new(false),
        }
    }

    /// A batch could not be written.
    pub(super) fn write_failed(&self, why: &str) {
        if !self.stalled.swap(true, Ordering::AcqRel) {
            tracing::error!(
                store = self.name,
                why,
                "a database takes no writes; work under way waits, new orders are refused until it does"
            );
        }
    }

    /// A batch was written.
    pub(super) fn write_succeeded(&self) {
        if self.stalled.load(Ordering::Acquire) && self.has_headroom() {
            self.stalled.store(false, Ordering::Release);
            tracing::info!(store = self.name, "a database takes writes again");
        }
    }

    /// Whether the last batches failed.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    /// Whether the file system has [`HEADROOM`] left. One that does not answer counts as having it.
    pub(super) fn has_headroom(&self) -> bool {
        statvfs(&self.path).map_or(true, |disk| {
            let block = disk.fragment_size();
            let (free, all) = (disk.blocks_available() * block, disk.blocks() * block);
            free >= HEADROOM.min(all / 8)
        })
    }
}
