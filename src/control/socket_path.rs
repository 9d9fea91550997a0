//! The path of a run directory's control socket, and whether it fits into a socket address. Pure.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Longest path of a socket, in bytes: `sun_path` holds 108, the last of which is a zero.
pub const MAX_SOCKET_PATH: usize = 107;

/// The path of the control socket is too long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the control socket's path {path} has {length} bytes, a socket's may have {MAX_SOCKET_PATH}; choose a \
     shorter --run-dir",
    path = path.display()
)]
pub struct SocketPathTooLong {
    /// The path of the control socket.
    pub path: PathBuf,
    /// Its length, in bytes.
    pub length: usize,
}

/// The control socket of the master that uses this run directory.
///
/// # Errors
/// [`SocketPathTooLong`] when the path is longer than [`MAX_SOCKET_PATH`].
pub fn control_socket(run_dir: &Path) -> Result<PathBuf, SocketPathTooLong> {
    let path = run_dir.join("control.sock");
    let length = path.as_os_str().as_bytes().len();
    if length > MAX_SOCKET_PATH {
        return Err(SocketPathTooLong { path, length });
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_too_long_is_refused_with_its_length() {
        assert_eq!(
            control_socket(Path::new("/run/cluster")),
            Ok(PathBuf::from("/run/cluster/control.sock"))
        );
        let fits = format!("/{}", "x".repeat(MAX_SOCKET_PATH - 1 - "/control.sock".len()));
        assert!(control_socket(Path::new(&fits)).is_ok());
        let error = control_socket(Path::new(&format!("{fits}x"))).expect_err("too long");
        assert_eq!(error.length, 108);
        assert!(
            error.to_string().ends_with("choose a shorter --run-dir"),
            "{error}"
        );
    }
}
