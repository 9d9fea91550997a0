//! The writer's side: the worker's own mapping of its ring. It must not read as if other processes wrote
//! there, because none does.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::fence;
use std::sync::{Arc, Mutex, PoisonError};

use super::layout::{self, line};
use super::mapping::{OutputRingError, map_checked, place};
use super::view::{OutputLines, OutputStream, read};
use crate::sys::memfd::{MapAccess, Mapping};

/// A worker's own ring: what its program prints is written here, and the master reads it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct OutputRing {
    inner: Arc<RingInner>,
}

#[derive(Debug)]
struct RingInner {
    mapping: Mapping,
    cursor: Mutex<RingCursor>,
}

/// Where the writer is. Kept here, so that a page that somebody spoiled cannot lead the writer astray.
#[derive(Debug, Default)]
struct RingCursor {
    next: u64,
    oldest: u64,
    end: u64,
    /// The number of words of each line that is whole, the oldest first.
    sizes: VecDeque<u16>,
}

impl RingCursor {
    /// Gives up the oldest lines until there is room for so many words.
    fn make_room(&mut self, words: usize) {
        while self.end - self.oldest + words as u64 > layout::DATA as u64 {
            let Some(size) = self.sizes.pop_front() else {
                return;
            };
            self.oldest += u64::from(size);
        }
    }
}

impl OutputRing {
    /// A new ring for a worker, sealed against shrinking, growing and resealing.
    ///
    /// # Errors
    /// The system's.
    pub fn create_fd(name: &str) -> io::Result<OwnedFd> {
        layout::HEADER.create(name)
    }

    /// Opens the ring that the master made for this life. Nothing was written there yet.
    ///
    /// # Errors
    /// When the file is not what [`OutputRing::create_fd`] makes, or cannot be mapped.
    pub fn open(fd: OwnedFd) -> Result<OutputRing, OutputRingError> {
        let mapping = map_checked(fd.as_fd(), MapAccess::Write)?;
        let cursor = Mutex::new(RingCursor::default());
        Ok(OutputRing {
            inner: Arc::new(RingInner { mapping, cursor }),
        })
    }

    /// The program runs with this process id.
    pub fn started(&self, pid: i32) {
        let pid = u64::try_from(pid).unwrap_or_default();
        self.words()[layout::PID_AT].store(pid, Relaxed);
    }

    /// Adds a line that was printed at this time of the wall clock. The oldest lines give way to it; what is
    /// longer than [`line::MAX_TEXT`] is cut.
    pub fn push(&self, stream: OutputStream, time_ms: u64, text: &[u8]) {
        let text = &text[..text.len().min(line::MAX_TEXT)];
        let size = line::words(text.len());
        let mut cursor = self.inner.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        cursor.make_room(size);
        let words = self.words();
        words[layout::OLDEST_AT].store(cursor.oldest, Relaxed);
        // Whoever reads a word that is written from here on sees the new oldest position, too.
        fence(Release);
        let head = [cursor.next, time_ms, text.len() as u64 + stream.bit()];
        let body = text.chunks(8).map(|chunk| {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            u64::from_ne_bytes(bytes)
        });
        for (position, word) in (cursor.end..).zip(head.into_iter().chain(body)) {
            words[place(position)].store(word, Relaxed);
        }
        cursor.sizes.push_back(u16::try_from(size).unwrap_or(u16::MAX));
        cursor.end += size as u64;
        cursor.next += 1;
        words[layout::NEXT_AT].store(cursor.next, Relaxed);
        words[layout::END_AT].store(cursor.end, Release);
    }

    /// The lines from this number on that are still there.
    #[must_use]
    pub fn lines_from(&self, number: u64) -> OutputLines {
        read(self.words(), number)
    }

    fn words(&self) -> &[AtomicU64] {
        self.inner.mapping.words()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_ring_is_refused() {
        let make = |bytes: &[u8], size| {
            crate::sys::memfd::create_sealed("test", bytes, size, false).expect("a memfd")
        };
        let whole = layout::BYTES as u64;
        let short = OutputRing::open(make(b"", 4096));
        assert!(matches!(short, Err(OutputRingError::Size(4096))), "{short:?}");
        let empty = OutputRing::open(make(b"", whole));
        assert!(matches!(empty, Err(OutputRingError::Magic(0))), "{empty:?}");
        let mut other = layout::HEADER.to_bytes();
        other[8] = 9;
        let other = OutputRing::open(make(&other, whole));
        assert!(matches!(other, Err(OutputRingError::Version(9))), "{other:?}");
    }

    #[test]
    fn a_new_ring_has_no_lines() {
        let ring = OutputRing::open(OutputRing::create_fd("test").expect("a memfd")).expect("a ring");
        assert_eq!(ring.lines_from(0), OutputLines::default());
    }
}
