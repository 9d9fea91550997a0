//! A generation: the binary, opened once, and the configuration, frozen once, that a set of workers is started from.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::config::Settings;
use crate::sys::memfd;

/// What a worker is started from.
#[derive(Debug)]
pub(in crate::master) struct Generation {
    binary: File,
    frozen_settings: OwnedFd,
    pub(in crate::master) settings: Settings,
}

impl Generation {
    /// Opens the binary and freezes the settings.
    ///
    /// # Errors
    /// When the binary cannot be opened or is empty, or memory is short.
    pub(in crate::master) fn open(binary: &Path, settings: Settings) -> io::Result<Generation> {
        let file = open_binary(binary)?;
        let json = serde_json::to_vec(&settings)?;
        let frozen_settings = memfd::create_sealed("cluster-settings", &json, json.len() as u64, true)?;
        Ok(Generation {
            binary: file,
            frozen_settings,
            settings,
        })
    }

    /// One that was opened before this binary became the master.
    pub(in crate::master) fn kept(binary: File, frozen_settings: OwnedFd, settings: Settings) -> Generation {
        Generation {
            binary,
            frozen_settings,
            settings,
        }
    }

    pub(in crate::master) fn binary(&self) -> BorrowedFd<'_> {
        self.binary.as_fd()
    }

    /// The settings as JSON, sealed.
    pub(in crate::master) fn frozen_settings(&self) -> BorrowedFd<'_> {
        self.frozen_settings.as_fd()
    }
}

/// Opens a binary that is to be executed.
///
/// # Errors
/// When there is none, nothing is in it, or it is a script; named by its path.
pub(in crate::master) fn open_binary(path: &Path) -> io::Result<File> {
    let failed =
        |error: io::Error| io::Error::new(error.kind(), format!("the binary {}: {error}", path.display()));
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() == 0 {
        return Err(failed(io::Error::other("it is empty")));
    }
    // The kernel would hand its interpreter the name of a descriptor that exec has closed: "No such file or directory".
    if is_script(&file).map_err(failed)? {
        let reason = "it is a script (#!), and what is executed here is an open file, which only a program can be; put the \
                      program itself there, and what the script sets into the service's unit or the configuration";
        return Err(failed(io::Error::other(reason)));
    }
    Ok(file)
}

/// Reads without moving on in the file.
fn is_script(file: &File) -> io::Result<bool> {
    let mut start = [0; 2];
    Ok(file.read_at(&mut start, 0)? == start.len() && start == *b"#!")
}

/// Where this program was started from: the path that a reload opens again, so that a new file there is the next generation.
/// It comes from the kernel and the master's own start, never from a client.
#[derive(Clone, Debug)]
pub(in crate::master) struct Program {
    pub(in crate::master) path: PathBuf,
    pub(in crate::master) arguments: Vec<CString>,
}

impl Program {
    /// The path as it was typed, where that names the running file, so that a symbolic link may be pointed elsewhere; else what
    /// the kernel says runs.
    pub(in crate::master) fn running() -> io::Result<Program> {
        let arguments: Vec<CString> = std::env::args_os()
            .filter_map(|argument| CString::new(argument.as_bytes()).ok())
            .collect();
        let executable = std::env::current_exe()?;
        let typed = std::env::args_os()
            .next()
            .map(PathBuf::from)
            .filter(|path| path.components().count() > 1);
        let typed = typed
            .and_then(|path| std::path::absolute(path).ok())
            .filter(|path| same_file(path, &executable));
        Ok(Program {
            path: typed.unwrap_or(executable),
            arguments,
        })
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        (Ok(_) | Err(_), _) => false,
    }
}
