//! Whether a database can be written: what the last batches met, and how much space the file system has left.
//! This module knows causes and sizes only.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;

use super::error::{WAL_NEEDS_THE_DISK, WriteStall, WriteStallCause};

/// Bytes that must be free before new work is accepted again after writes failed (or an eighth of a small
/// disk). So the work under way gets the first of the space, and the next order does not fill the disk again.
const HEADROOM: u64 = 4 << 20;

/// What the writer thread learns about the disk, and callers ask.
pub(super) struct DiskSpace {
    name: &'static str,
    path: PathBuf,
    stalled: AtomicBool,
    stall: Mutex<Option<WriteStall>>,
    owed: AtomicU64,
}

impl DiskSpace {
    pub(super) fn new(name: &'static str, path: PathBuf) -> DiskSpace {
        DiskSpace {
            name,
            path,
            stalled: AtomicBool::new(false),
            stall: Mutex::default(),
            owed: AtomicU64::new(0),
        }
    }

    /// A batch could not be written.
    pub(super) fn write_failed(&self, stall: WriteStall) {
        let (cause, why) = (stall.cause, stall.reason.clone());
        let before = self.stall().replace(stall).map(|before| before.cause);
        let known = self.stalled.swap(true, Ordering::AcqRel) && before == Some(cause);
        if !known {
            tracing::error!(
                store = self.name,
                reason = why,
                "a database takes no writes; work under way waits, new orders are refused until it does"
            );
        }
    }

    /// A batch was written.
    pub(super) fn write_succeeded(&self) {
        if self.is_stalled() && (!self.wants_space() || self.has_headroom()) {
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
            self.write_failed(WriteStall {
                cause: WriteStallCause::WalKept,
                reason: WAL_NEEDS_THE_DISK.to_owned(),
            });
        }
    }

    fn owes(&self) -> bool {
        self.owed.load(Ordering::Acquire) > 0
    }

    /// Whether the last batches failed.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    /// Why new work is refused; `None` when it may be tried.
    pub(super) fn refusal(&self) -> Option<WriteStall> {
        if !self.is_stalled() || !self.wants_space() || self.has_headroom() {
            return None;
        }
        let (free, wanted) = self.free_and_headroom()?;
        let WriteStall { cause, reason } = self.stall().clone()?;
        let kib = |bytes: u64| bytes / 1_024;
        let reason = format!(
            "{reason}; {} KiB are free, and new work is accepted from {} KiB on",
            kib(free),
            kib(wanted)
        );
        Some(WriteStall { cause, reason })
    }

    /// Whether space would help. Another program that keeps the database locked has nothing to do with it.
    fn wants_space(&self) -> bool {
        let stall = self.stall();
        stall
            .as_ref()
            .is_some_and(|stall| stall.cause != WriteStallCause::OtherProgram)
    }

    fn stall(&self) -> MutexGuard<'_, Option<WriteStall>> {
        self.stall.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_needed_for_the_wal_is_blamed_on_nobody_and_takes_work_again_when_there_is_room() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("orders.db");
        std::fs::write(&path, "").unwrap();
        let space = DiskSpace::new("orders", path);
        space.set_owed(Some(u64::MAX / 2));
        let WriteStall { cause, reason } = space.refusal().expect("refused");
        assert_eq!(cause, WriteStallCause::WalKept);
        assert!(
            reason.contains("make room") && reason.contains("KiB are free"),
            "{reason}"
        );
        assert!(!reason.contains("a reader keeps"), "{reason}");
        space.set_owed(None);
        space.write_succeeded();
        assert!(!space.is_stalled());
    }
}
