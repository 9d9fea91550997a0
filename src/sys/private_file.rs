//! Files that only their owner may read and write, whatever the umask is.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Read and write, for the owner alone.
const MODE: u32 = 0o600;
/// All for the owner, nothing for others.
const DIRECTORY_MODE: u32 = 0o700;

/// Creates the file or empties it, with mode 0600, also when it was there with another mode.
///
/// # Errors
/// The system's; also when the file belongs to another user.
pub fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(MODE)
        .open(path)?;
    if file.metadata()?.permissions().mode() & 0o7777 != MODE {
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok(file)
}

/// Creates the file or replaces its content, as [`create`].
///
/// # Errors
/// As [`create`], and when the disk does not take the content.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    create(path)?.write_all(content)
}

/// Creates the directory, and those above it that are missing, with mode 0700. One that is there keeps its
/// mode.
///
/// # Errors
/// The system's.
pub fn create_directories(path: &Path) -> io::Result<()> {
    let is_new = !path.exists();
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(path)?;
    if is_new && path.metadata()?.permissions().mode() & 0o7777 != DIRECTORY_MODE {
        fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_there_gets_the_mode_and_the_new_content() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("note");
        std::fs::write(&path, "a longer text").expect("written");
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("changed");
        write(&path, b"short").expect("written");
        assert_eq!(std::fs::read(&path).expect("read"), b"short");
        let mode = path.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
}
