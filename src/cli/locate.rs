//! Finds the run directory of the master that is asked. It is read even from a configuration with other
//! mistakes, so that one can still ask the master what a bad configuration did.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::control::socket_path::control_socket;

/// The default data directory, and that of a cluster that runs a program.
const DATA_DIR: &str = "./data";
const RUN_DATA_DIR: &str = "./.cluster";

/// Where the master is, as far as flags say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MasterLocation {
    /// What `--run-dir` says.
    pub run_dir: Option<PathBuf>,
    /// What `--data-dir` says.
    pub data_dir: Option<PathBuf>,
    /// What `--config` says.
    pub config: Option<PathBuf>,
}

/// Why the run directory cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The configuration could not be read.
    #[error("{path}: {source}; name the master's run directory with --run-dir", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The configuration is not TOML.
    #[error("{path} is not TOML, so it cannot say where the master is; name its run directory with \
        --run-dir", path = path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
    },
}

impl MasterLocation {
    /// The run directory: from the flags, else from the file, else the default.
    ///
    /// # Errors
    /// When the file is needed and cannot be read.
    pub fn run_dir(&self) -> Result<PathBuf, FindError> {
        if let Some(run_dir) = &self.run_dir {
            return Ok(run_dir.clone());
        }
        let configured = match (&self.config, &self.data_dir) {
            (None, _) => ConfiguredDirectories::default(),
            (Some(path), None) => ConfiguredDirectories::read(path)?,
            // With a data directory, a file that cannot be read is no obstacle.
            (Some(path), Some(_)) => ConfiguredDirectories::read(path).unwrap_or_default(),
        };
        let data_dir = self.data_dir.clone().or(configured.data_dir);
        Ok(configured.run_dir.unwrap_or_else(|| match data_dir {
            Some(data_dir) => data_dir.join("run"),
            None if configured.runs_a_program => Path::new(RUN_DATA_DIR).join("run"),
            None => default_in(Path::new("")),
        }))
    }
}

/// What to say when no master serves from this directory, and nothing says which is meant.
pub(super) fn no_master_here() -> String {
    format!(
        "no master serves from this directory: neither {DATA_DIR}/run (of `serve`) nor {RUN_DATA_DIR}/run \
         (of `run`) has one; go where it was started, or name its directory with --run-dir, --data-dir or --config"
    )
}

/// The run directory of the master that serves from this directory: that of `serve`, unless only one of `run`
/// is there.
fn default_in(directory: &Path) -> PathBuf {
    let [serve, run] = [DATA_DIR, RUN_DATA_DIR].map(|data_dir| directory.join(data_dir).join("run"));
    match !has_a_master(&serve) && has_a_master(&run) {
        true => run,
        false => serve,
    }
}

/// Whether somebody takes connections there, or would if we were another user: who asks is then told which.
fn has_a_master(run_dir: &Path) -> bool {
    control_socket(run_dir).is_ok_and(|path| match UnixStream::connect(path) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    })
}

#[derive(Debug, Default)]
struct ConfiguredDirectories {
    run_dir: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    runs_a_program: bool,
}

impl ConfiguredDirectories {
    fn read(path: &Path) -> Result<ConfiguredDirectories, FindError> {
        let text = std::fs::read_to_string(path).map_err(|source| FindError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let table: toml::Table = text.parse().map_err(|_mistake| FindError::NotToml {
            path: path.to_owned(),
        })?;
        let key = |key: &str| Some(PathBuf::from(table.get("cluster")?.get(key)?.as_str()?));
        Ok(ConfiguredDirectories {
            run_dir: key("run_dir"),
            data_dir: key("data_dir"),
            runs_a_program: table.get("run").is_some_and(|run| run.get("command").is_some()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn found(
        config: Option<&str>,
        data_dir: Option<&str>,
        run_dir: Option<&str>,
    ) -> Result<String, FindError> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("c.toml");
        std::fs::write(&path, config.unwrap_or_default()).expect("written");
        let location = MasterLocation {
            run_dir: run_dir.map(PathBuf::from),
            data_dir: data_dir.map(PathBuf::from),
            config: config.map(|_| path),
        };
        location.run_dir().map(|dir| dir.display().to_string())
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_default() {
        let config = Some("[cluster]\ndata_dir = \"/d\"\nworkers = \"wrong\"\n");
        assert_eq!(found(None, None, None).expect("found"), "./data/run");
        assert_eq!(found(config, None, None).expect("found"), "/d/run");
        assert_eq!(found(config, Some("/e"), None).expect("found"), "/e/run");
        assert_eq!(found(config, Some("/e"), Some("/r")).expect("found"), "/r");
        let both = Some("[cluster]\ndata_dir = \"/d\"\nrun_dir = \"/r\"\n");
        assert_eq!(found(both, Some("/e"), None).expect("found"), "/r");
    }

    #[test]
    fn a_cluster_that_runs_a_program_has_a_directory_of_its_own() {
        let config = Some("[run]\ncommand = [\"node\", \"app.js\"]\n");
        assert_eq!(found(config, None, None).expect("found"), "./.cluster/run");
        assert_eq!(found(config, Some("/e"), None).expect("found"), "/e/run");
        let both = Some("[run]\ncommand = [\"node\"]\n[cluster]\ndata_dir = \"/d\"\n");
        assert_eq!(found(both, None, None).expect("found"), "/d/run");
    }

    #[test]
    fn a_master_that_runs_a_program_is_found_where_no_other_one_serves() {
        let directory = tempfile::tempdir().expect("a directory");
        let [serve, run] = [DATA_DIR, RUN_DATA_DIR].map(|dir| directory.path().join(dir).join("run"));
        let found = || default_in(directory.path());
        assert_eq!(found(), serve, "nobody is there");
        let bind = |run_dir: &Path| {
            std::fs::create_dir_all(run_dir).expect("made");
            UnixListener::bind(control_socket(run_dir).expect("short")).expect("bound")
        };
        let ended = bind(&serve);
        drop(ended);
        assert_eq!(found(), serve, "its master has ended");
        let _runs = bind(&run);
        assert_eq!(found(), run, "the other one takes requests");
        std::fs::remove_file(control_socket(&serve).expect("short")).expect("removed");
        let _serves = bind(&serve);
        assert_eq!(found(), serve, "both take requests");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let error = found(Some("]["), None, None).expect_err("not TOML").to_string();
        assert!(error.contains("--run-dir"), "{error}");
        assert_eq!(found(Some("]["), Some("/e"), None).expect("found"), "/e/run");
        let missing = MasterLocation {
            config: Some("/does/not/exist".into()),
            ..MasterLocation::default()
        };
        assert!(matches!(missing.run_dir(), Err(FindError::Unreadable { .. })));
    }
}
