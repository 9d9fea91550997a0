//! Sealed memory files and mappings of them. It knows no layout: a mapping is a run of atomic words.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::stat::fstat;

/// A memory file (close-on-exec, seals allowed) that holds `bytes`, is `size` bytes long, and can neither
/// shrink, grow nor be sealed further. `frozen` seals it against writing, too.
///
/// # Errors
/// When the system refuses.
pub fn create_sealed(name: &str, bytes: &[u8], size: u64, frozen: bool) -> io::Result<OwnedFd> {
    let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let file = File::from(fd);
    file.set_len(size)?;
    file.write_all_at(bytes, 0)?;
    let mut seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    if frozen {
        seals |= SealFlag::F_SEAL_WRITE;
    }
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

/// Whether the file can neither shrink, grow nor be resealed: only then is a mapping of it safe from SIGBUS.
///
/// # Errors
/// When the descriptor is no memory file.
pub fn is_sealed(fd: BorrowedFd) -> io::Result<bool> {
    let seals = SealFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GET_SEALS)?);
    Ok(seals.contains(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL))
}

/// Whether the file is sealed against writing.
///
/// # Errors
/// When the descriptor is no memory file.
pub fn is_frozen(fd: BorrowedFd) -> io::Result<bool> {
    let seals = SealFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GET_SEALS)?);
    Ok(is_sealed(fd)? && seals.contains(SealFlag::F_SEAL_WRITE))
}

/// The length of the file, in bytes.
///
/// # Errors
/// When the system refuses.
pub fn size(fd: BorrowedFd) -> io::Result<u64> {
    Ok(u64::try_from(fstat(fd)?.st_size).unwrap_or(0))
}

/// Reads the whole content, at most `limit` bytes, without moving the file's offset (which processes share).
///
/// # Errors
/// When the system refuses, or when the file is longer than `limit`.
pub fn content(fd: &OwnedFd, limit: u64) -> io::Result<Vec<u8>> {
    let length = size(fd.as_fd())?;
    if length > limit {
        let detail = format!("the file has {length} bytes, at most {limit} were expected");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, detail));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    File::from(fd.try_clone()?).read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// The access that a mapping gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapAccess {
    /// Loads only; a store would be a fault.
    Read,
    /// Loads and stores.
    Write,
}

/// A shared mapping of a sealed file, as 64-bit atomic words. Unmapped when dropped.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<AtomicU64>,
    words: usize,
}

#[expect(unsafe_code, reason = "a mapping is plain shared memory")]
// SAFETY: the memory is only reached as `&[AtomicU64]`, which any thread may use; the address stays mapped
// until the drop.
unsafe impl Send for Mapping {}
#[expect(unsafe_code, reason = "a mapping is plain shared memory")]
// SAFETY: as for Send; shared references give out atomics alone.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `bytes` bytes (a multiple of 8) of a file that [`is_sealed`] and at least that long.
    ///
    /// # Errors
    /// When the file is not sealed or too short, or when the system refuses.
    pub fn new(fd: BorrowedFd, bytes: NonZeroUsize, access: MapAccess) -> io::Result<Mapping> {
        if !is_sealed(fd)? || size(fd)? < bytes.get() as u64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the file is not sealed or too short to be mapped",
            ));
        }
        let protection = match access {
            MapAccess::Read => ProtFlags::PROT_READ,
            MapAccess::Write => ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        };
        let start = map_shared(fd, bytes, protection)?;
        Ok(Mapping {
            start: start.cast(),
            words: bytes.get() / size_of::<AtomicU64>(),
        })
    }

    /// The words. Storing into one of a mapping made with [`MapAccess::Read`] faults.
    #[must_use]
    #[expect(
        unsafe_code,
        reason = "the mapped memory becomes a slice here and nowhere else"
    )]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: `new` mapped `words` × 8 bytes at the page-aligned `start`; the seals keep the file from
        // shrinking under it; it stays mapped as long as `self`, whose lifetime the slice has; and every bit
        // pattern is a valid AtomicU64.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

#[expect(unsafe_code, reason = "mmap")]
fn map_shared(
    fd: BorrowedFd,
    bytes: NonZeroUsize,
    protection: ProtFlags,
) -> io::Result<NonNull<std::ffi::c_void>> {
    // SAFETY: no address is asked for, so the kernel picks one where nothing of ours is.
    Ok(unsafe { mmap(None, bytes, protection, MapFlags::MAP_SHARED, fd, 0) }?)
}

impl Drop for Mapping {
    #[expect(unsafe_code, reason = "munmap")]
    fn drop(&mut self) {
        // SAFETY: exactly the region that `new` mapped; no slice of it can outlive `self`.
        let unmapped = unsafe { munmap(self.start.cast(), self.words * size_of::<AtomicU64>()) };
        debug_assert!(unmapped.is_ok(), "a region this type mapped can be unmapped");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    const PAGE: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

    #[test]
    fn what_one_mapping_writes_the_other_reads() {
        let fd = create_sealed("test", b"", 4096, false).expect("a memfd");
        let writer = Mapping::new(fd.as_fd(), PAGE, MapAccess::Write).expect("a mapping");
        let reader = Mapping::new(fd.as_fd(), PAGE, MapAccess::Read).expect("a mapping");
        writer.words()[511].store(7, Relaxed);
        assert_eq!(reader.words()[511].load(Relaxed), 7);
        assert_eq!(reader.words().len(), 512);
    }

    #[test]
    fn a_sealed_file_keeps_its_size() {
        let fd = create_sealed("test", b"", 4096, false).expect("a memfd");
        assert!(File::from(fd).set_len(0).is_err());
    }

    #[test]
    fn an_unsealed_or_short_file_is_not_mapped() {
        let unsealed = memfd_create("test", MFdFlags::MFD_ALLOW_SEALING).expect("a memfd");
        assert!(Mapping::new(unsealed.as_fd(), PAGE, MapAccess::Read).is_err());
        let short = create_sealed("test", b"", 100, false).expect("a memfd");
        assert!(Mapping::new(short.as_fd(), PAGE, MapAccess::Read).is_err());
    }

    #[test]
    fn a_frozen_file_is_read_whole_and_cannot_be_written() {
        let fd = create_sealed("test", b"settings", 8, true).expect("a memfd");
        assert_eq!(content(&fd, 100).expect("readable"), b"settings");
        assert_eq!(content(&fd, 100).expect("readable again"), b"settings");
        assert!(content(&fd, 7).is_err());
        assert!(is_frozen(fd.as_fd()).expect("a memfd"));
        assert!(File::from(fd).write_all_at(b"x", 0).is_err());
    }
}
