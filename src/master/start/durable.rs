//! Small files that must be whole or absent: written beside, then renamed over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces a file's content so that a reader or a crash sees the old or the new text, never a part. Mode 0600.
///
/// # Errors
/// What the file system said; the old content is then still there.
pub(in crate::master) fn replace(path: &Path, content: &[u8], sync: Sync) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(content)?;
    if sync == Sync::ToDisk {
        file.sync_all()?;
    }
    fs::rename(&beside, path)?;
    match (sync, path.parent()) {
        (Sync::ToDisk, Some(directory)) => File::open(directory)?.sync_all(),
        (Sync::ToDisk | Sync::Lazily, _) => Ok(()),
    }
}

/// Whether the content must survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::master) enum Sync {
    /// It must, before the call returns.
    ToDisk,
    /// Surviving this process is enough.
    Lazily,
}
