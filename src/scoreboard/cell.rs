//! One thread's place to beat in. It must not decide when a beat is late.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, Release};

use super::board::Board;
use super::layout::cell;
use crate::sys::clock;

/// One thread's place to beat in: it vouches for the work that this thread does. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cell {
    place: Arc<Place>,
}

#[derive(Debug)]
struct Place {
    board: Board,
    index: usize,
}

impl Cell {
    /// A cell that was just taken. Names longer than [`cell::NAME_BYTES`] are cut.
    pub(super) fn new(board: Board, index: usize, name: &str) -> Cell {
        let place = Place { board, index };
        let mut bytes = [0; cell::NAME_BYTES];
        let length = name.floor_char_boundary(cell::NAME_BYTES);
        bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
        for (at, chunk) in bytes.chunks_exact(8).enumerate() {
            let word = u64::from_ne_bytes(chunk.try_into().expect("chunks of eight have eight bytes"));
            place.words()[cell::NAME_AT + at].store(word, Relaxed);
        }
        Cell {
            place: Arc::new(place),
        }
    }

    /// Alive now.
    pub fn stamp(&self) {
        self.place.words()[cell::BEAT_AT].store(clock::now().0, Release);
    }

    /// Nothing to do: vouches for nothing and is not looked at, until the next [`Cell::stamp`].
    pub fn idle(&self) {
        self.place.words()[cell::BEAT_AT].store(0, Release);
    }

    /// The store lock that this thread takes is held by this descriptor of its process.
    pub fn guards(&self, lock: &impl AsFd) {
        let number = u64::try_from(lock.as_fd().as_raw_fd()).unwrap_or_default();
        self.place.words()[cell::LOCK_FD_AT].store(number + 1, Relaxed);
    }

    /// A store lock is waited for, or held, from now on. Said before it is asked for, since a process can be stopped between
    /// having it and saying so; the kernel knows which of the two it is.
    pub fn lock_taken(&self) {
        self.place.words()[cell::LOCK_AT].store(clock::now().0, Release);
    }

    /// It is given back.
    pub fn lock_released(&self) {
        self.place.words()[cell::LOCK_AT].store(0, Release);
    }
}

impl Place {
    fn words(&self) -> &[AtomicU64] {
        self.board.cell_words(self.index)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let words = self.words();
        words[cell::BEAT_AT].store(0, Relaxed);
        words[cell::LOCK_AT].store(0, Relaxed);
        words[cell::LOCK_FD_AT].store(0, Relaxed);
        words[cell::TAKEN_AT].store(0, Release);
    }
}
