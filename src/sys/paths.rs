//! Paths that lead to files: whether two lead to the same one, and the working directory as it was named.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whether both paths lead to the same file or directory.
#[must_use]
pub fn same_file(one: &Path, other: &Path) -> bool {
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        (Ok(_) | Err(_), _) => false,
    }
}

/// The working directory as a person named it, symbolic links included: `PWD` if it leads there, else the
/// kernel's path, in which no link is left.
///
/// # Errors
/// When the directory was deleted or cannot be read.
pub fn working_directory() -> io::Result<PathBuf> {
    let named = std::env::var_os("PWD").map(PathBuf::from);
    let named = named.filter(|path| path.is_absolute() && same_file(path, Path::new(".")));
    named.map_or_else(std::env::current_dir, Ok)
}
