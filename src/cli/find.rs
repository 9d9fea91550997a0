//! Which run directory is meant. A configuration that is wrong otherwise may still say it: whoever is about to ask what a bad
//! configuration did must be able to.

use std::path::{Path, PathBuf};

/// Where the data directory is when nobody says it.
const DATA_DIR: &str = "./data";

/// What flags said about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// `--run-dir`
    pub run_dir: Option<PathBuf>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--config`
    pub config: Option<PathBuf>,
}

/// A configuration that says nothing.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// It could not be read.
    #[error("{path}: {source}; name the master's run directory with --run-dir", path = path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// It is no TOML.
    #[error("{path} is no TOML, so it cannot say where the master is; name its run directory with --run-dir", path = path.display())]
    NoToml {
        /// Which file.
        path: PathBuf,
    },
}

impl Place {
    /// The run directory: what flags say, then what the file says, then the default.
    ///
    /// # Errors
    /// When the file is needed and says nothing.
    pub fn run_dir(&self) -> Result<PathBuf, FindError> {
        if let Some(run_dir) = &self.run_dir {
            return Ok(run_dir.clone());
        }
        let said = match (&self.config, &self.data_dir) {
            (None, _) => Said::default(),
            (Some(path), None) => Said::by(path)?,
            // With a data directory, a file that cannot be read is no obstacle.
            (Some(path), Some(_)) => Said::by(path).unwrap_or_default(),
        };
        let data_dir = self.data_dir.clone().or(said.data_dir);
        Ok(said
            .run_dir
            .unwrap_or_else(|| data_dir.unwrap_or_else(|| DATA_DIR.into()).join("run")))
    }
}

#[derive(Debug, Default)]
struct Said {
    run_dir: Option<PathBuf>,
    data_dir: Option<PathBuf>,
}

impl Said {
    fn by(path: &Path) -> Result<Said, FindError> {
        let text = std::fs::read_to_string(path).map_err(|source| FindError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let table: toml::Table = text.parse().map_err(|_mistake| FindError::NoToml {
            path: path.to_owned(),
        })?;
        let key = |key: &str| Some(PathBuf::from(table.get("cluster")?.get(key)?.as_str()?));
        Ok(Said {
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
        let place = Place {
            run_dir: run_dir.map(PathBuf::from),
            data_dir: data_dir.map(PathBuf::from),
            config: config.map(|_| path),
        };
        place.run_dir().map(|dir| dir.display().to_string())
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
    fn a_file_that_says_nothing_is_told() {
        let told = found(Some("]["), None, None).expect_err("no TOML").to_string();
        assert!(told.contains("--run-dir"), "{told}");
        assert_eq!(found(Some("]["), Some("/e"), None).expect("found"), "/e/run");
        let missing = Place {
            config: Some("/does/not/exist".into()),
            ..Place::default()
        };
        assert!(matches!(missing.run_dir(), Err(FindError::Unreadable { .. })));
    }
}
