//! Small files that must be whole or absent: the new content is written to another file, which is then
//! renamed.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Replaces a file's content so that a reader or a crash sees the old or the new text, never a part. Mode
/// 0600.
///
/// # Errors
/// The error of the file system; the old content is then still there.
pub fn replace_file(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    replace_file_for(path, content, durability, 0o600)
}

/// As [`replace_file`], with this mode, whatever the umask is.
///
/// # Errors
/// As [`replace_file`].
pub fn replace_file_for(path: &Path, content: &[u8], durability: Durability, mode: u32) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(content)?;
    if durability == Durability::PowerCut {
        file.sync_all()?;
    }
    fs::rename(&beside, path)?;
    match (durability, path.parent()) {
        (Durability::PowerCut, Some(directory)) => File::open(directory)?.sync_all(),
        (Durability::PowerCut | Durability::ProcessExit, _) => Ok(()),
    }
}

/// What the content must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A power cut right after the call.
    PowerCut,
    /// The exit of this process, and nothing more.
    ProcessExit,
}
