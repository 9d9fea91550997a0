//! What both sides know of the memory: whether it is a ring, and where a position lies.

use std::io;
use std::os::fd::BorrowedFd;

use super::layout;
use crate::sys::file_header::HeaderMismatch;
use crate::sys::memfd::{MapAccess, Mapping};

/// Why a file is no ring of lines.
#[derive(Debug, thiserror::Error)]
pub enum OutputRingError {
    /// The system refused.
    #[error("the ring of the program's last lines cannot be mapped: {0}")]
    Map(#[from] io::Error),
    /// The file has this number of bytes.
    #[error(
        "the ring of the program's last lines has {0} bytes, expected {expected}",
        expected = layout::BYTES
    )]
    Size(u64),
    /// The file begins with this word instead of the magic number.
    #[error(
        "the file is no ring of lines: it starts with {0:#018x}, expected {expected:#018x}",
        expected = layout::MAGIC
    )]
    Magic(u64),
    /// The ring has this layout version.
    #[error("the ring of lines has layout {0}, this program knows {expected}", expected = layout::VERSION)]
    Version(u64),
}

impl From<HeaderMismatch> for OutputRingError {
    fn from(mismatch: HeaderMismatch) -> OutputRingError {
        match mismatch {
            HeaderMismatch::Map(error) => OutputRingError::Map(error),
            HeaderMismatch::Size(bytes) => OutputRingError::Size(bytes),
            HeaderMismatch::Magic(word) => OutputRingError::Magic(word),
            HeaderMismatch::Version(version) => OutputRingError::Version(version),
        }
    }
}

/// The word of a position.
pub(super) fn place(position: u64) -> usize {
    layout::DATA_AT + usize::try_from(position % layout::DATA as u64).unwrap_or(0)
}

/// Maps a file after making sure that it is a ring of this layout.
pub(super) fn map_checked(fd: BorrowedFd, access: MapAccess) -> Result<Mapping, OutputRingError> {
    Ok(layout::HEADER.map(fd, access)?)
}
