//! A loaded generation: the binary, opened once, and the settings, sealed once, that its workers are started
//! from.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::config::Settings;
use crate::sys::memfd;

/// The binary and the settings that a worker is started from.
#[derive(Debug)]
pub(in crate::master) struct LoadedGeneration {
    binary: File,
    frozen_settings: OwnedFd,
    pub(in crate::master) settings: Settings,
}

impl LoadedGeneration {
    /// Opens the binary and seals the settings.
    ///
    /// # Errors
    /// When the binary cannot be opened or is empty, or no memory is available.
    pub(in crate::master) fn open(binary: &Path, settings: Settings) -> io::Result<LoadedGeneration> {
        let file = open_binary(binary)?;
        let json = serde_json::to_vec(&settings)?;
        let frozen_settings = memfd::create_sealed("cluster-settings", &json, json.len() as u64, true)?;
        Ok(LoadedGeneration {
            binary: file,
            frozen_settings,
            settings,
        })
    }

    /// A generation that the master before this binary loaded.
    pub(in crate::master) fn restored(
        binary: File,
        frozen_settings: OwnedFd,
        settings: Settings,
    ) -> LoadedGeneration {
        LoadedGeneration {
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
/// When the file does not exist, is empty, or is a script. The error names the path.
pub(in crate::master) fn open_binary(path: &Path) -> io::Result<File> {
    let failed =
        |error: io::Error| io::Error::new(error.kind(), format!("the binary {}: {error}", path.display()));
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() == 0 {
        return Err(failed(io::Error::other("it is empty")));
    }
    // The kernel would pass the script's interpreter the name of a descriptor that exec has closed: "No such
    // file or directory".
    if is_script(&file).map_err(failed)? {
        let reason = "it is a script (#!), and only a compiled program can be executed from an open file; \
            put the program itself \
                      there, and what the script sets into the service's unit or the configuration";
        return Err(failed(io::Error::other(reason)));
    }
    Ok(file)
}

/// Reads without changing the position in the file.
fn is_script(file: &File) -> io::Result<bool> {
    let mut start = [0; 2];
    Ok(file.read_at(&mut start, 0)? == start.len() && start == *b"#!")
}
