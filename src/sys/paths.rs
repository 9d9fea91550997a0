//! Paths that lead to files: whether two lead to the same one, and the working directory as it was named.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

/// Whether both paths lead to the same file or directory.
#[must_use]
pub fn same_file(one: &Path, other: &Path) -> bool {
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        (Ok(_) | Err(_), _) => false,
    }
}

/// The first file of this name in these folders that may be executed, as a shell finds it in `PATH`.
#[must_use]
pub fn find_program(name: &OsStr, folders: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let mut files = folders.into_iter().map(|folder| folder.join(name));
    let is_program = |file: &PathBuf| file.is_file() && access(file, AccessFlags::X_OK).is_ok();
    files.find(is_program).filter(|_| !name.is_empty())
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
