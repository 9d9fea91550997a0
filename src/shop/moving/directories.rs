//! The directories and files of a move: where new files are made, and where the old side is kept.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::service::MOVED_SERVICES;
use crate::shop::engine::{MOVED_NOTE, StoreFile};
use crate::shop::evidence::consistency;
use crate::shop::recovery::{liveness, steady_clock};
use crate::shop::sqlite::snapshots::keep_owner;
use crate::sys::durable::{Durability, replace_file};
use crate::sys::private_file;

/// What a database consists of, besides the file itself.
const BESIDE: [&str; 4] = ["-wal", "-shm", ".lock", ""];

/// The data directory of a move, and what lies in it.
#[derive(Clone, Debug)]
pub(super) struct MoveDirectories {
    /// The data directory.
    pub(super) data_dir: PathBuf,
    id: String,
}

impl MoveDirectories {
    pub(super) fn new(data_dir: &Path, id: &str) -> MoveDirectories {
        MoveDirectories {
            data_dir: data_dir.to_owned(),
            id: id.to_owned(),
        }
    }

    /// Where new files are made, and from where the new side is audited.
    pub(super) fn staging(&self) -> PathBuf {
        self.data_dir.join("moving")
    }

    /// Where the old side is kept.
    pub(super) fn kept(&self) -> PathBuf {
        self.data_dir.join(format!("moved-{}", self.id))
    }

    /// Writes down where the databases are, for the workers' user too.
    pub(super) fn write(&self, says: &StoreFile) -> io::Result<()> {
        says.write(&self.data_dir)?;
        self.own(&self.data_dir.join("store.json"));
        Ok(())
    }

    /// A directory by which the audit and `doctor` find the databases that `says` names.
    pub(super) fn view(&self, directory: &Path, says: &StoreFile) -> io::Result<()> {
        private_file::create_directories(directory)?;
        says.write(directory)?;
        for file in [consistency::COUNTER, steady_clock::FILE] {
            match fs::read(self.data_dir.join(file)) {
                Ok(text) => replace_file(&directory.join(file), &text, Durability::PowerCut)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        self.own_all(directory)
    }

    /// Removes what was staged.
    pub(super) fn unstage(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.staging()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Says in the directory of the old side that it is only to be looked at.
    pub(super) fn note(&self, to: &str) -> io::Result<()> {
        let note = format!(
            "What was in these databases was moved to {to} (move {}).\n\
             They are as they were then: `cluster doctor --data-dir` looks at them here. When nobody needs\n\
             them any more, remove this directory. To serve them as they were, which forgets what came\n\
             after the move, remove this file.\n",
            self.id
        );
        replace_file(
            &self.kept().join(MOVED_NOTE),
            note.as_bytes(),
            Durability::PowerCut,
        )
    }

    /// Moves a database with what lies beside it, if it was not moved yet. The file itself goes last, so that
    /// it is never without what belongs to it.
    pub(super) fn rename(&self, file: &str, from: &Path, to: &Path) -> io::Result<()> {
        for beside in BESIDE {
            let name = format!("{file}{beside}");
            match fs::rename(from.join(&name), to.join(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        File::open(to)?.sync_all()?;
        File::open(from)?.sync_all()
    }

    /// Removes a file of the data directory, if it is there.
    pub(super) fn remove(&self, file: &str) -> io::Result<()> {
        match fs::remove_file(self.data_dir.join(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Makes the new files belong to the workers' user.
    pub(super) fn own_all(&self, directory: &Path) -> io::Result<()> {
        self.own(directory);
        for entry in fs::read_dir(directory)? {
            self.own(&entry?.path());
        }
        Ok(())
    }

    /// Makes sure that a power cut loses no file of the directory.
    pub(super) fn sync(&self, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            File::open(entry?.path())?.sync_all()?;
        }
        File::open(directory)?.sync_all()
    }

    /// The file that the workers make is theirs.
    fn own(&self, path: &Path) {
        keep_owner(&self.data_dir.join(liveness::FILE), path);
    }
}

/// The databases that lie in a directory.
pub(super) fn files_in(directory: &Path) -> Vec<&'static str> {
    let files = MOVED_SERVICES.map(|service| service.file);
    files
        .into_iter()
        .filter(|file| directory.join(file).exists())
        .collect()
}
