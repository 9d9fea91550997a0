//! Where a database may lie: in a local, writable directory. This module looks at directories and file
//! systems, never into a file.

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statfs::statfs;
use nix::unistd::{AccessFlags, access};

use super::error::OpenError;

/// File systems whose locks or shared memory do not hold between processes on their own, by the magic of
/// `statfs(2)`.
const UNSUITABLE: [(u32, &str); 13] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "AFS"),
    (0x00c3_6400, "Ceph"),
    (0x7375_7245, "Coda"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0x0bd0_0bd0, "Lustre"),
    (0x786f_4256, "VirtualBox shared folder"),
];

/// The path of a file beside the database: the same name with a suffix.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Refuses anything but a file where a file should be; opening a pipe would wait for ever.
pub(super) fn check_kind(path: &Path) -> Result<(), OpenError> {
    let Ok(found) = std::fs::metadata(path) else {
        return Ok(());
    };
    let found = match found.file_type() {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a directory",
        _ => "a pipe, a socket or a device",
    };
    Err(OpenError::NotAFile {
        path: path.to_owned(),
        found,
    })
}

/// Refuses a directory in which the database's files cannot be made, or must not be made.
pub(super) fn check(database: &Path) -> Result<(), OpenError> {
    let directory = match database.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let refuse = |reason: io::Error| OpenError::Directory {
        directory: directory.to_owned(),
        reason,
    };
    let found = statfs(directory).map_err(|errno| refuse(errno.into()))?;
    // The magics are 32 bits wide; the field is wider on some machines, and signed.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "compared as 32 bits"
    )]
    let magic = found.filesystem_type().0 as u32;
    if let Some(kind) = unsuitable(magic) {
        return Err(OpenError::NetworkFileSystem {
            path: database.to_owned(),
            kind,
        });
    }
    access(directory, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|errno| refuse(errno.into()))?;
    match access(database, AccessFlags::R_OK | AccessFlags::W_OK) {
        Ok(()) | Err(nix::errno::Errno::ENOENT) => Ok(()),
        Err(_) => Err(OpenError::ReadOnly {
            path: database.to_owned(),
        }),
    }
}

fn unsuitable(magic: u32) -> Option<&'static str> {
    UNSUITABLE
        .iter()
        .find(|(unsuitable, _)| *unsuitable == magic)
        .map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_file_system_is_known_by_its_magic() {
        assert_eq!(unsuitable(0x6969), Some("NFS"));
        assert_eq!(unsuitable(0xfe53_4d42), Some("SMB2"));
        assert_eq!(unsuitable(0xef53), None, "ext4");
        assert_eq!(unsuitable(0x0102_1994), None, "tmpfs");
    }

    #[test]
    fn a_missing_directory_is_refused_by_name() {
        let error = check(Path::new("/nonexistent/dir/a.db")).unwrap_err();
        assert!(matches!(&error, OpenError::Directory { .. }), "{error}");
        assert!(error.to_string().contains("/nonexistent/dir"));
    }
}
