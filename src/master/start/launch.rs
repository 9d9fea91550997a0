//! What a master was launched with, and the reading of its configuration: at start, by `check`, and again at every reload, each
//! time with the same flags over it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::config::{self, ConfigFile, ConfigProblems, Effective, Overrides, Section, Settings};

/// No configuration is larger, in bytes: whatever is was not meant.
const LARGEST: u64 = 1 << 20;

/// The program and what the command line said.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program's name, for messages.
    pub program: &'static str,
    /// The program's version, for the status.
    pub version: &'static str,
    /// The application's own sections.
    pub sections: &'static [Section],
    /// `--config`; without one there are defaults and flags.
    pub config: Option<PathBuf>,
    /// What flags said.
    pub overrides: Overrides,
    /// The application's own check of what nothing here can know.
    pub check: Option<Check>,
}

/// Says why these settings are impossible for the application.
pub type Check = fn(&Settings) -> Result<(), String>;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be opened or read.
    #[error("{path}: {source}, expected a readable TOML file: name one that exists with --config")]
    Unreadable {
        /// As the person named it.
        path: String,
        /// The system's words.
        source: io::Error,
    },
    /// A directory, a pipe, a device: it could not be read again at a reload.
    #[error("{path} is no regular file, expected a TOML file, which a reload can read again")]
    NotAFile {
        /// As the person named it.
        path: String,
    },
    /// Longer than any configuration.
    #[error("{path} is larger than 1 MiB, expected a TOML file with the keys that `check --keys` prints")]
    TooLarge {
        /// As the person named it.
        path: String,
    },
    /// It was read, and is wrong.
    #[error(transparent)]
    Wrong(#[from] ConfigProblems),
    /// It was read, and the application refuses it.
    #[error("{0}")]
    Impossible(String),
}

impl Launch {
    /// Reads the file, if there is one, and puts the flags over it.
    ///
    /// # Errors
    /// Every problem at once, each with its place; see [`LoadError`].
    pub fn load(&self) -> Result<Effective, LoadError> {
        let effective = self.read()?;
        if let Some(check) = self.check {
            check(&effective.settings).map_err(LoadError::Impossible)?;
        }
        Ok(effective)
    }

    fn read(&self) -> Result<Effective, LoadError> {
        let Some(path) = &self.config else {
            return Ok(config::read(self.sections, None, &self.overrides)?);
        };
        let name = path.display().to_string();
        let bytes = read_file(path, &name)?;
        let source = ConfigFile {
            name: &name,
            bytes: &bytes,
        };
        Ok(config::read(self.sections, Some(source), &self.overrides)?)
    }
}

fn read_file(path: &Path, name: &str) -> Result<Vec<u8>, LoadError> {
    let unreadable = |source| LoadError::Unreadable {
        path: name.to_owned(),
        source,
    };
    let file = open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(LoadError::NotAFile {
            path: name.to_owned(),
        });
    }
    let mut bytes = Vec::new();
    let read = file
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if read as u64 > LARGEST {
        return Err(LoadError::TooLarge {
            path: name.to_owned(),
        });
    }
    Ok(bytes)
}

/// Opening a named pipe waits for its writer unless O_NONBLOCK is set, and the master waits for nobody.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(config: PathBuf) -> Launch {
        Launch {
            program: "test",
            version: "1",
            sections: &[],
            config: Some(config),
            overrides: Overrides::default(),
            check: None,
        }
    }

    #[test]
    fn a_reload_reads_the_file_again_and_keeps_the_flags() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("c.toml");
        let mut launch = launch(path.clone());
        launch.overrides.push("--workers", "cluster.workers", "5");
        std::fs::write(&path, "[cluster]\nworkers = 2\nrestart_limit = 3\n").expect("written");
        assert_eq!(launch.load().expect("good").settings.cluster.restart_limit, 3);
        std::fs::write(&path, "[cluster]\nworkers = 2\nrestart_limit = 4\n").expect("written");
        let cluster = launch.load().expect("good").settings.cluster;
        assert_eq!(cluster.restart_limit, 4);
        assert_eq!(cluster.workers, config::Workers::Count(5));
    }

    #[test]
    fn what_is_no_file_is_told_without_waiting() {
        let dir = tempfile::tempdir().expect("a directory");
        let missing = launch(dir.path().join("missing.toml")).load();
        assert!(
            matches!(missing, Err(LoadError::Unreadable { .. })),
            "{missing:?}"
        );
        let directory = launch(dir.path().to_owned()).load();
        assert!(
            matches!(directory, Err(LoadError::NotAFile { .. })),
            "{directory:?}"
        );
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        assert!(matches!(launch(pipe).load(), Err(LoadError::NotAFile { .. })));
        let large = dir.path().join("large");
        std::fs::write(&large, vec![b'#'; 1 << 21]).expect("written");
        assert!(matches!(launch(large).load(), Err(LoadError::TooLarge { .. })));
    }

    #[test]
    fn what_is_wrong_is_told_with_the_files_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("c.toml");
        std::fs::write(&path, "[cluster]\nworkers = 0\n").expect("written");
        let told = launch(path.clone()).load().expect_err("wrong").to_string();
        assert!(
            told.starts_with(&format!("{}:2:11: workers in [cluster] is 0", path.display())),
            "{told}"
        );
    }

    #[test]
    fn the_application_has_the_last_word() {
        let mut launch = launch(PathBuf::new());
        launch.config = None;
        launch.check = Some(|settings| match settings.log.access {
            true => Err("no access log here".to_owned()),
            false => Ok(()),
        });
        launch.load().expect("nothing to refuse");
        launch.overrides.push("--access-log", "log.access", "true");
        assert_eq!(
            launch.load().expect_err("refused").to_string(),
            "no access log here"
        );
    }
}
