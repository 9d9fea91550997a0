//! What a master was launched with, and the loading of its configuration: at start, by `check`, and again at
//! every reload, each time with the same flags over it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::config::{
    self, ConfigFile, ConfigProblems, Effective, LogFormat, Overrides, RunSettings, Section, Settings,
};

/// Largest configuration file, in bytes; a larger file was named by mistake.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The program and its command line.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program's name, for messages.
    pub program: &'static str,
    /// The program's version, for the status.
    pub version: &'static str,
    /// The application's own sections.
    pub sections: &'static [Section],
    /// The configuration file (`--config`); without one there are only defaults and flags.
    pub config: Option<PathBuf>,
    /// The values that flags gave.
    pub overrides: Overrides,
    /// The application's own check of the settings.
    pub check: Option<SettingsCheck>,
    /// Whether the workers may run a program of the user's, or have to.
    pub run: RunUse,
}

/// Whether the workers of a launch may run a program of the user's (`run.command`) in place of the
/// application's routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunUse {
    /// They serve the application's routes and nothing else.
    Refused,
    /// They run a program if the configuration names one.
    Possible,
    /// They were launched to run one, so there must be one.
    Demanded,
}

/// Returns why these settings are impossible for the application.
pub type SettingsCheck = fn(&Settings) -> Result<(), String>;

/// Why the configuration cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be opened or read.
    #[error("{path}: {source}, expected a readable TOML file: name one that exists with --config")]
    Unreadable {
        /// The path as it was given.
        path: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The path is a directory, a pipe or a device, which a reload could not read again.
    #[error("{path} is no regular file, expected a TOML file, which a reload can read again")]
    NotAFile {
        /// The path as it was given.
        path: String,
    },
    /// The file is larger than 1 MiB.
    #[error("{path} is larger than 1 MiB, expected a TOML file with the keys that `check --keys` prints")]
    TooLarge {
        /// The path as it was given.
        path: String,
    },
    /// The file was read and has mistakes.
    #[error(transparent)]
    Wrong(#[from] ConfigProblems),
    /// The file was read, and the application refuses the settings.
    #[error("{0}")]
    Impossible(String),
}

impl Launch {
    /// The same, with a relative path of the configuration meant from this directory.
    #[must_use]
    pub(in crate::master) fn named_from(mut self, directory: &Path) -> Launch {
        self.config = self.config.map(|path| directory.join(path));
        self
    }
    /// Reads the file, if there is one, and applies the flags over it.
    ///
    /// # Errors
    /// Every problem at once, each with its place; see [`LoadError`].
    pub fn load(&self) -> Result<Effective, LoadError> {
        let effective = self.read()?;
        let checked = self.check_command(&effective.settings.run);
        // A program knows nothing of the application's keys.
        let checked = checked.and_then(|()| match self.check {
            Some(check) if !effective.settings.run.is_asked_for() => check(&effective.settings),
            Some(_) | None => Ok(()),
        });
        match checked {
            Ok(()) => Ok(effective),
            Err(message) => Err(LoadError::Impossible(match effective.place_of(&message) {
                Some(place) => format!("{place}: {message}"),
                None => message,
            })),
        }
    }

    fn check_command(&self, run: &RunSettings) -> Result<(), String> {
        let program = self.program;
        match self.run {
            RunUse::Refused if run.is_asked_for() => Err(format!(
                "run.command is set, expected none, for {program} serves its own routes alone: remove it"
            )),
            RunUse::Demanded if !run.is_asked_for() => Err(format!(
                "run.command is not set, and the command line names no program: write `{program} run -- \
                 PROGRAM`, or set command in [run]"
            )),
            RunUse::Refused | RunUse::Possible | RunUse::Demanded => Ok(()),
        }
    }

    /// The format of log lines that the flags or the file ask for, even when the configuration cannot be
    /// loaded.
    #[must_use]
    pub fn log_format(&self) -> LogFormat {
        let file = self.config.as_ref().and_then(|path| read_file(path, "").ok());
        let text = file.as_ref().and_then(|bytes| std::str::from_utf8(bytes).ok());
        config::log_format(text, &self.overrides)
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
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge {
            path: name.to_owned(),
        });
    }
    Ok(bytes)
}

/// Opens without blocking: without O_NONBLOCK, opening a named pipe would wait for its writer.
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
            run: RunUse::Possible,
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
    fn a_path_that_is_not_a_file_is_refused_without_blocking() {
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
    fn a_mistake_is_reported_with_the_name_of_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("c.toml");
        std::fs::write(&path, "[cluster]\nworkers = 0\n").expect("written");
        let error = launch(path.clone()).load().expect_err("wrong").to_string();
        assert!(
            error.starts_with(&format!("{}:2:11: workers in [cluster] is 0", path.display())),
            "{error}"
        );
    }

    #[test]
    fn a_program_is_run_where_that_is_possible_and_the_application_is_not_asked() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("c.toml");
        let mut launch = launch(path.clone());
        launch.check = Some(|_| Err("the application refuses".to_owned()));
        let refusal = |launch: &Launch| launch.load().expect_err("refused").to_string();
        std::fs::write(&path, "[run]\ncommand = ['node', 'app.js']\n").expect("written");
        assert_eq!(
            launch.load().expect("good").settings.run.command,
            ["node", "app.js"]
        );
        launch.run = RunUse::Refused;
        let told = refusal(&launch);
        assert!(
            told.starts_with(&format!(
                "{}:2:1: run.command is set, expected none",
                path.display()
            )),
            "{told}"
        );
        std::fs::write(&path, "").expect("written");
        assert_eq!(refusal(&launch), "the application refuses");
        launch.run = RunUse::Demanded;
        let told = refusal(&launch);
        assert!(told.contains("write `test run -- PROGRAM`"), "{told}");
    }

    #[test]
    fn the_application_may_refuse_the_settings() {
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
