//! Where the control socket of a run directory lies, and whether its path fits into a socket's address. Pure.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The longest path a socket may have, in bytes: `sun_path` holds 108, the last of which is a zero.
pub const LONGEST: usize = 107;

/// A run directory that lies too deep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the control socket's path {path} has {length} bytes, a socket's may have {LONGEST}; choose a shorter --run-dir",
    path = path.display()
)]
pub struct TooDeep {
    /// Where it would have been.
    pub path: PathBuf,
    /// How long that is, in bytes.
    pub length: usize,
}

/// The socket of the master that has this run directory.
///
/// # Errors
/// [`TooDeep`] when no socket can have that path.
pub fn socket(run_dir: &Path) -> Result<PathBuf, TooDeep> {
    let path = run_dir.join("control.sock");
    let length = path.as_os_str().as_bytes().len();
    if length > LONGEST {
        return Err(TooDeep { path, length });
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_does_not_fit_is_told_with_its_length() {
        assert_eq!(
            socket(Path::new("/run/cluster")),
            Ok(PathBuf::from("/run/cluster/control.sock"))
        );
        let fits = format!("/{}", "x".repeat(LONGEST - 1 - "/control.sock".len()));
        assert!(socket(Path::new(&fits)).is_ok());
        let error = socket(Path::new(&format!("{fits}x"))).expect_err("too long");
        assert_eq!(error.length, 108);
        assert!(
            error.to_string().ends_with("choose a shorter --run-dir"),
            "{error}"
        );
    }
}
