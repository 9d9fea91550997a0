//! The writer's side: a worker's own mapping of its board, and the words of each region. It must not read as
//! if other processes wrote there, because none does.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

use super::counters::Counters;
use super::layout::{self, cell};
use crate::base::ids::Life;
use crate::sys::file_header::HeaderMismatch;
use crate::sys::memfd::{MapAccess, Mapping};

/// Why a file is no scoreboard.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// The system refused.
    #[error("the scoreboard cannot be mapped: {0}")]
    Map(#[from] io::Error),
    /// The file has this number of bytes.
    #[error("the scoreboard has {0} bytes, expected {expected}", expected = layout::BYTES)]
    Size(u64),
    /// The file begins with this word instead of the magic number.
    #[error(
        "the file is no scoreboard: it starts with {0:#018x}, expected {expected:#018x}",
        expected = layout::MAGIC
    )]
    Magic(u64),
    /// The board has this layout version.
    #[error("the scoreboard has layout {0}, this program knows {expected}", expected = layout::VERSION)]
    Version(u64),
}

impl From<HeaderMismatch> for BoardError {
    fn from(mismatch: HeaderMismatch) -> BoardError {
        match mismatch {
            HeaderMismatch::Map(error) => BoardError::Map(error),
            HeaderMismatch::Size(bytes) => BoardError::Size(bytes),
            HeaderMismatch::Magic(word) => BoardError::Magic(word),
            HeaderMismatch::Version(version) => BoardError::Version(version),
        }
    }
}

/// The memory of a board: shared with the master, or this process's alone.
#[derive(Debug)]
enum BoardMemory {
    Shared(Mapping),
    Private(Box<[AtomicU64]>),
}

/// A worker's own board: what it stamps and counts here, the master sees. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Board {
    inner: Arc<BoardInner>,
}

#[derive(Debug)]
struct BoardInner {
    memory: BoardMemory,
    /// One bit for each entry of the table of requests that is taken, so that the writer need not search the
    /// shared page.
    noted: AtomicU64,
}

impl BoardInner {
    fn new(memory: BoardMemory) -> Arc<BoardInner> {
        let noted = AtomicU64::new(0);
        Arc::new(BoardInner { memory, noted })
    }
}

impl Board {
    /// A new board for a worker, sealed against shrinking, growing and resealing.
    ///
    /// # Errors
    /// The system's.
    pub fn create_fd(name: &str) -> io::Result<OwnedFd> {
        layout::HEADER.create(name)
    }

    /// Opens the board that the master made for this life.
    ///
    /// # Errors
    /// When the file is not what [`Board::create_fd`] makes, or cannot be mapped.
    pub fn open(fd: OwnedFd) -> Result<Board, BoardError> {
        let mapping = map_checked(fd.as_fd(), MapAccess::Write)?;
        Ok(Board {
            inner: BoardInner::new(BoardMemory::Shared(mapping)),
        })
    }

    /// A board that nobody else sees, for tests, benches and programs without a master.
    #[must_use]
    pub fn private() -> Board {
        let words = (0..layout::WORDS).map(|_| AtomicU64::new(0)).collect();
        Board {
            inner: BoardInner::new(BoardMemory::Private(words)),
        }
    }

    /// Writes down which life the board belongs to.
    pub fn claim(&self, life: Life) {
        let words = [
            life.incarnation.0,
            u64::from(life.slot.0),
            u64::from(life.epoch.0),
        ];
        for (at, word) in words.into_iter().enumerate() {
            self.words()[layout::LIFE_AT + at].store(word, Relaxed);
        }
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> Counters<'_> {
        Counters::new(&self.words()[layout::COUNTERS_AT..layout::COUNTERS_AT + layout::COUNTERS])
    }

    /// Takes a free entry of the table of requests; `None` when all are taken.
    pub(super) fn take_request_entry(&self) -> Option<usize> {
        let free = |taken: u64| (taken != u64::MAX).then(|| taken | (1 << taken.trailing_ones()));
        let before = self.inner.noted.fetch_update(AcqRel, Relaxed, free).ok()?;
        Some(before.trailing_ones() as usize)
    }

    /// Frees an entry of the table of requests.
    pub(super) fn free_request_entry(&self, index: usize) {
        self.inner.noted.fetch_and(!(1 << index), AcqRel);
    }

    /// The words of the request entry at `index`, which is below [`layout::REQUESTS`].
    pub(super) fn request_words(&self, index: usize) -> &[AtomicU64] {
        let first = layout::REQUESTS_AT + index * layout::request::WORDS;
        &self.words()[first..first + layout::request::WORDS]
    }

    /// The words of the application's metric at `index`, which is below [`layout::APP_METRICS`].
    pub(super) fn app_metric_words(&self, index: usize) -> &[AtomicU64] {
        let first = layout::APP_METRICS_AT + index * layout::app_metric::WORDS;
        &self.words()[first..first + layout::app_metric::WORDS]
    }

    /// The words of the route at `index`, which is below [`layout::ROUTES`].
    pub(super) fn route_words(&self, index: usize) -> &[AtomicU64] {
        let first = layout::ROUTES_AT + index * layout::route::WORDS;
        &self.words()[first..first + layout::route::WORDS]
    }

    /// Whether this call has taken the cell at `index`.
    pub(super) fn take_cell(&self, index: usize) -> bool {
        self.cell_words(index)[cell::TAKEN_AT]
            .compare_exchange(0, 1, AcqRel, Relaxed)
            .is_ok()
    }

    /// The words of the cell at `index`, which is below [`layout::CELLS`].
    pub(super) fn cell_words(&self, index: usize) -> &[AtomicU64] {
        let first = layout::CELLS_AT + index * cell::WORDS;
        &self.words()[first..first + cell::WORDS]
    }

    fn words(&self) -> &[AtomicU64] {
        match &self.inner.memory {
            BoardMemory::Shared(mapping) => mapping.words(),
            BoardMemory::Private(words) => words,
        }
    }
}

/// Maps a file after making sure that it is a board of this layout.
pub(super) fn map_checked(fd: BorrowedFd, access: MapAccess) -> Result<Mapping, BoardError> {
    Ok(layout::HEADER.map(fd, access)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_board_opens() {
        let fd = Board::create_fd("test").expect("a memfd");
        assert!(Board::open(fd).is_ok());
    }

    #[test]
    fn what_is_no_board_is_refused() {
        let make = |bytes: &[u8], size| {
            crate::sys::memfd::create_sealed("test", bytes, size, false).expect("a memfd")
        };
        let whole = layout::BYTES as u64;
        assert!(matches!(
            Board::open(make(b"", 4096)),
            Err(BoardError::Size(4096))
        ));
        assert!(matches!(Board::open(make(b"", whole)), Err(BoardError::Magic(0))));
        let mut other = layout::HEADER.to_bytes();
        other[8] = 9;
        assert!(matches!(
            Board::open(make(&other, whole)),
            Err(BoardError::Version(9))
        ));
        let mut lying = layout::HEADER.to_bytes();
        lying[16] = 1;
        assert!(matches!(
            Board::open(make(&lying, whole)),
            Err(BoardError::Size(_))
        ));
    }
}
