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
    // Two processes may replace the same file at the same time.
    let beside = path.with_extension(format!("new-{:x}", fastrand::u64(..)));
    let replaced = write_and_rename(&beside, path, content, (durability, mode));
    if replaced.is_err() {
        // What is left beside is of no use; it may not be there.
        drop(fs::remove_file(&beside));
    }
    replaced
}

fn write_and_rename(
    beside: &Path,
    path: &Path,
    content: &[u8],
    (durability, mode): (Durability, u32),
) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(beside)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(content)?;
    if durability == Durability::PowerCut {
        file.sync_all()?;
    }
    fs::rename(beside, path)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_that_replace_one_file_at_once_never_show_a_part_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        replace_file(&path, b"whole", Durability::ProcessExit).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        replace_file(&path, b"whole", Durability::ProcessExit).unwrap();
                        assert_eq!(fs::read(&path).unwrap(), b"whole");
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
