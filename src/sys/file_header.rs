//! The first three words of the memory files that processes share: what a file is, its version and its
//! length. Who maps a file makes sure of them, because another build may have made it.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::Relaxed;

use super::memfd::{self, MapAccess, Mapping};

/// What the first words of a file say of its layout.
#[derive(Clone, Copy, Debug)]
pub struct FileHeader {
    /// The first word: what the file is.
    pub magic: u64,
    /// The second word: the version of the layout.
    pub version: u64,
    /// The third word, and the length of the file in bytes.
    pub bytes: usize,
}

/// Why a file is not what it should be.
#[derive(Debug)]
pub enum HeaderMismatch {
    /// The system refused to map it.
    Map(io::Error),
    /// It has this number of bytes, or says so.
    Size(u64),
    /// It begins with this word.
    Magic(u64),
    /// It has this version.
    Version(u64),
}

impl FileHeader {
    /// Makes a sealed memory file that begins so; the rest is zeros.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn create(self, name: &str) -> io::Result<OwnedFd> {
        memfd::create_sealed(name, &self.to_bytes(), self.bytes as u64, false)
    }

    /// The three words as they stand in the file.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let words = [self.magic, self.version, self.bytes as u64];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// Maps a file after making sure that it begins so.
    ///
    /// # Errors
    /// When it does not, is not sealed, or cannot be mapped.
    pub fn map(self, fd: BorrowedFd, access: MapAccess) -> Result<Mapping, HeaderMismatch> {
        let expected = self.bytes as u64;
        let found = memfd::size(fd).map_err(HeaderMismatch::Map)?;
        if found != expected {
            return Err(HeaderMismatch::Size(found));
        }
        let bytes = NonZeroUsize::new(self.bytes).ok_or(HeaderMismatch::Size(0))?;
        let mapping = Mapping::new(fd, bytes, access).map_err(HeaderMismatch::Map)?;
        let word = |at: usize| mapping.words()[at].load(Relaxed);
        let (magic, version, size) = (word(0), word(1), word(2));
        if magic != self.magic {
            Err(HeaderMismatch::Magic(magic))
        } else if version != self.version {
            Err(HeaderMismatch::Version(version))
        } else if size != expected {
            Err(HeaderMismatch::Size(size))
        } else {
            Ok(mapping)
        }
    }
}
