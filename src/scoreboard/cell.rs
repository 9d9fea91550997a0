//! A cell: the words in which one thread beats. It must not decide when a beat is late.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, Release};

use super::board::Board;
use super::layout::{self, cell};
use crate::base::time::Monotonic;
use crate::sys::clock;

/// The cell in which one thread beats: it vouches for the work that this thread does. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cell {
    owner: Arc<CellOwner>,
}

/// Frees the cell when the last clone of its handle is dropped.
#[derive(Debug)]
struct CellOwner {
    board: Board,
    index: usize,
}

impl Board {
    /// Registers one more thread that beats for itself; `None` when all cells are taken. The first to
    /// register is the runtime, whose cell is never idle. The cell is free again when its last clone is
    /// dropped.
    #[must_use]
    pub fn cell(&self, name: &str) -> Option<Cell> {
        (0..layout::CELLS)
            .find(|&index| self.take_cell(index))
            .map(|index| Cell::new(self.clone(), index, name))
    }
}

impl Cell {
    /// A cell that was just taken. Names longer than [`cell::NAME_BYTES`] are cut.
    pub(super) fn new(board: Board, index: usize, name: &str) -> Cell {
        let owner = CellOwner { board, index };
        let mut bytes = [0; cell::NAME_BYTES];
        let length = name.floor_char_boundary(cell::NAME_BYTES);
        bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
        for (at, chunk) in bytes.chunks_exact(8).enumerate() {
            let word = u64::from_ne_bytes(chunk.try_into().expect("chunks of eight have eight bytes"));
            owner.words()[cell::NAME_AT + at].store(word, Relaxed);
        }
        Cell {
            owner: Arc::new(owner),
        }
    }

    /// Stamps a beat: this thread is alive now.
    pub fn stamp(&self) {
        self.owner.words()[cell::BEAT_AT].store(clock::now().0, Release);
    }

    /// Stamps a beat of an earlier time: this thread was alive then. A later beat stays.
    pub fn stamp_at(&self, time: Monotonic) {
        self.owner.words()[cell::BEAT_AT].fetch_max(time.0, Release);
    }

    /// This thread has nothing to do: it vouches for nothing and is not looked at, until the next
    /// [`Cell::stamp`].
    pub fn idle(&self) {
        self.owner.words()[cell::BEAT_AT].store(0, Release);
    }

    /// The store lock that this thread takes is held by this descriptor of its process.
    pub fn guards(&self, lock: &impl AsFd) {
        let number = u64::try_from(lock.as_fd().as_raw_fd()).unwrap_or_default();
        self.owner.words()[cell::LOCK_FD_AT].store(number + 1, Relaxed);
    }

    /// A store lock is waited for, or held, from now on. To be called before the lock is asked for, since a
    /// process can be stopped between having the lock and saying so; the kernel knows which of the two is the
    /// case.
    pub fn lock_taken(&self) {
        self.owner.words()[cell::LOCK_AT].store(clock::now().0, Release);
    }

    /// The store lock is given back, or no longer waited for.
    pub fn lock_released(&self) {
        self.owner.words()[cell::LOCK_AT].store(0, Release);
    }
}

impl CellOwner {
    fn words(&self) -> &[AtomicU64] {
        self.board.cell_words(self.index)
    }
}

impl Drop for CellOwner {
    fn drop(&mut self) {
        let words = self.words();
        words[cell::BEAT_AT].store(0, Relaxed);
        words[cell::LOCK_AT].store(0, Relaxed);
        words[cell::LOCK_FD_AT].store(0, Relaxed);
        words[cell::TAKEN_AT].store(0, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_sixteen_cells_and_a_dropped_one_is_free_again() {
        let board = Board::private();
        let mut cells: Vec<_> = (0..16)
            .map(|n| board.cell(&format!("thread {n}")).expect("a free cell"))
            .collect();
        assert!(board.cell("one too many").is_none());
        cells.pop();
        assert!(board.cell("one more").is_some());
    }
}
