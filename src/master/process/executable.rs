//! How the program was named at its start, so that a reload and an upgrade find it as a new start would.

use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sys::paths::{find_program, same_file};

/// Where the program is found, and the arguments that it was started with. Both come from the kernel and the
/// master's own start, never from a client.
#[derive(Clone, Debug)]
pub(in crate::master) struct Executable {
    pub(in crate::master) location: BinaryLocation,
    pub(in crate::master) arguments: Vec<CString>,
}

/// Where a reload or an upgrade looks for the binary. A symbolic link on the way may lead elsewhere each
/// time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::master) struct BinaryLocation {
    /// The path, or the name that is searched.
    name: PathBuf,
    /// Where a name is searched: the directories of `PATH` at the start. Empty for a path.
    directories: Vec<PathBuf>,
}

impl Executable {
    /// The running program. Relative paths are meant from `directory`.
    ///
    /// # Errors
    /// When the kernel does not tell which file runs.
    pub(in crate::master) fn running(directory: &Path) -> io::Result<Executable> {
        let file = std::env::current_exe()?;
        let named = std::env::args_os().next().and_then(|name| {
            let search = std::env::var_os("PATH");
            BinaryLocation::named(&PathBuf::from(name), directory, search)
        });
        // The first argument can be any text. It is believed if it leads to the running file.
        let named = named.filter(|named| named.find().is_ok_and(|found| same_file(&found, &file)));
        Ok(Executable {
            location: named.unwrap_or_else(|| BinaryLocation::at(file)),
            arguments: arguments(),
        })
    }

    /// The running program, which is looked for there.
    pub(in crate::master) fn located(location: BinaryLocation) -> Executable {
        Executable {
            location,
            arguments: arguments(),
        }
    }
}

fn arguments() -> Vec<CString> {
    std::env::args_os()
        .filter_map(|argument| CString::new(argument.as_bytes()).ok())
        .collect()
}

impl BinaryLocation {
    fn at(path: PathBuf) -> BinaryLocation {
        BinaryLocation {
            name: path,
            directories: Vec::new(),
        }
    }

    /// As a shell understands it: a name without a slash is looked for in the directories of `search`.
    fn named(name: &Path, directory: &Path, search: Option<OsString>) -> Option<BinaryLocation> {
        if name.as_os_str().as_bytes().contains(&b'/') {
            return Some(BinaryLocation::at(directory.join(name)));
        }
        let search = search?;
        let directories = std::env::split_paths(&search).map(|entry| directory.join(entry));
        Some(BinaryLocation {
            name: name.to_owned(),
            // The next master reads this as text.
            directories: directories.filter(|path| path.to_str().is_some()).collect(),
        })
    }

    /// The path of the binary as of now.
    ///
    /// # Errors
    /// When no directory has an executable file of the name.
    pub(in crate::master) fn find(&self) -> io::Result<PathBuf> {
        if self.directories.is_empty() {
            return Ok(self.name.clone());
        }
        find_program(self.name.as_os_str(), self.directories.iter().cloned()).ok_or_else(|| {
            let reason = format!(
                "the binary {} is in no directory of PATH any more",
                self.name.display()
            );
            io::Error::new(io::ErrorKind::NotFound, reason)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_name_without_a_slash_is_searched_each_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let (first, second) = (dir.path().join("1"), dir.path().join("2"));
        for directory in [&first, &second] {
            std::fs::create_dir(directory).expect("made");
            std::fs::write(directory.join("program"), "").expect("written");
        }
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(second.join("program"), executable.clone()).expect("set");
        let search = std::env::join_paths([Path::new("1"), &second]).expect("a PATH");
        let named = |name: &str| BinaryLocation::named(Path::new(name), dir.path(), Some(search.clone()));
        let location = named("program").expect("a location");
        assert_eq!(location.find().expect("found"), second.join("program"));
        std::fs::set_permissions(first.join("program"), executable).expect("set");
        assert_eq!(location.find().expect("found"), first.join("program"));
        let error = named("missing").expect("a location").find().expect_err("missing");
        assert!(error.to_string().contains("missing"), "{error}");
        assert_eq!(
            named("1/program"),
            Some(BinaryLocation::at(dir.path().join("1/program")))
        );
    }
}
