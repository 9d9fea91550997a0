//! Whether a database can be written: what the last batches met, and how much space the file system has left.
//! This module knows sizes only.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;

use super::error::WAL_NEEDS_THE_DISK;

/// Bytes that must be free before new work is accepted again after writes failed (or an eighth of a small
/// disk). So the work under way gets the first of the space, and the next order does not fill the disk again.
const HEADROOM: u64 = 4 << 20;

/// What the writer thread learns about the disk, and callers ask.
pub(super) struct DiskSpace {
    name: &'static str,
    path: PathBuf,
    stalled: AtomicBool,
    why: Mutex<String>,
    owed: AtomicU64,
}

impl DiskSpace {
    pub(super) fn new(name: &'static str, path: PathBuf) -> DiskSpace {
        DiskSpace {
            name,
            path,
            stalled: AtomicBool::new(false),
            why: Mutex::default(),
            owed: AtomicU64::new(0),
        }
    }

    /// A batch could not be written.
    pub(super) fn write_failed(&self, why: &str) {
        why.clone_into(&mut self.why.lock().unwrap_or_else(PoisonError::into_inner));
        if !self.stalled.swap(true, Ordering::AcqRel) {
            tracing::error!(
                store = self.name,
                reason = why,
                "a database takes no writes; work under way waits, new orders are refused until it does"
            );
        }
    }

    /// A batch was written.
    pub(super) fn write_succeeded(&self) {
        if self.is_stalled() && self.has_headroom() {
            self.stalled.store(false, Ordering::Release);
            tracing::info!(store = self.name, "a database takes writes again");
        }
    }

    /// The bytes by which the database must still be able to grow, because its WAL has to be copied into it
    /// and cannot be now; `None` when it can. New work is refused when the disk has little more than that.
    pub(super) fn set_owed(&self, bytes: Option<u64>) {
        // One byte more than nothing: that it is owed counts, also when the database need not grow.
        self.owed
            .store(bytes.map_or(0, |bytes| bytes.max(1)), Ordering::Release);
        if self.owes() && !self.has_headroom() {
            self.write_failed(WAL_NEEDS_THE_DISK);
        }
    }

    fn owes(&self) -> bool {
        self.owed.load(Ordering::Acquire) > 0
    }

    /// Whether the last batches failed.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    /// Why new work is refused, as text; `None` when it may be tried.
    pub(super) fn refusal(&self) -> Option<String> {
        if !self.is_stalled() || self.has_headroom() {
            return None;
        }
        let (free, wanted) = self.free_and_headroom()?;
        let why = self.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let kib = |bytes: u64| bytes / 1_024;
        Some(format!(
            "{why}; {} KiB are free, and new work is accepted from {} KiB on",
            kib(free),
            kib(wanted)
        ))
    }

    /// Whether the file system has enough space for new work: [`HEADROOM`], and what is owed.
    pub(super) fn has_headroom(&self) -> bool {
        self.free_and_headroom()
            .is_none_or(|(free, wanted)| free >= wanted)
    }

    /// Whether work under way may use the disk: always, unless something is owed; then what is owed and half
    /// of [`HEADROOM`] must be left.
    pub(super) fn has_reserve(&self) -> bool {
        let owed = self.owed.load(Ordering::Acquire);
        !self.owes()
            || self
                .free_and_headroom()
                .is_none_or(|(free, wanted)| free >= owed + (wanted - owed) / 2)
    }

    /// Whether the file system has that many bytes left.
    pub(super) fn has(&self, bytes: u64) -> bool {
        self.free_and_headroom().is_none_or(|(free, _)| free >= bytes)
    }

    /// In bytes; `None` when the file system does not answer, which counts as having enough.
    fn free_and_headroom(&self) -> Option<(u64, u64)> {
        let disk = statvfs(&self.path).ok()?;
        let block = disk.fragment_size();
        // Only root may write to the blocks that a file system keeps for root.
        let free = match geteuid().is_root() {
            true => disk.blocks_free() * block,
            false => disk.blocks_available() * block,
        };
        let all = disk.blocks() * block;
        Some((free, HEADROOM.min(all / 8) + self.owed.load(Ordering::Acquire)))
    }
}
