//! Finds the run directory of the master that is asked. It is read even from a configuration with other
//! mistakes, so that one can still ask the master what a bad configuration did.

use std::path::{Path, PathBuf};

/// The default data directory.
const DATA_DIR: &str = "./data";

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
        Ok(configured
            .run_dir
            .unwrap_or_else(|| data_dir.unwrap_or_else(|| DATA_DIR.into()).join("run")))
    }
}

#[derive(Debug, Default)]
struct ConfiguredDirectories {
    run_dir: Option<PathBuf>,
    data_dir: Option<PathBuf>,
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
        })
    }
}

#[cfg(test)]
mod tests {
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
