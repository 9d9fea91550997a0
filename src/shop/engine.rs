//! Which engine holds the databases of a data directory. A file in the directory says so, so that whoever
//! works on the directory alone (`doctor`, `sagas`, an older program) finds the orders, and no start serves
//! an empty set of databases beside a full one.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::contract::StorageError;
#[cfg(any(test, feature = "postgres"))]
use crate::sys::private_file;

/// The file in the data directory. Without it, the databases are SQLite's.
const FILE: &str = "store.json";

/// Which engine holds the databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "engine", deny_unknown_fields)]
pub(in crate::shop) enum StoreEngine {
    /// Files in the data directory.
    Sqlite,
    /// Databases of a PostgreSQL server.
    Postgres(PostgresPlace),
}

/// Where the databases are at PostgreSQL. It holds no password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::shop) struct PostgresPlace {
    /// Names this cluster in its databases.
    pub(in crate::shop) cluster: String,
    /// The URL of each service's database.
    pub(in crate::shop) urls: BTreeMap<String, String>,
    /// The file of the password.
    pub(in crate::shop) password_file: Option<PathBuf>,
    /// Whether PgBouncer is between.
    pub(in crate::shop) pgbouncer: bool,
    /// Whether a server may be used that forgets what it has committed.
    pub(in crate::shop) allow_unsafe_commits: bool,
}

impl StoreEngine {
    /// The engine of that directory.
    ///
    /// # Errors
    /// [`StorageError`] when the file is there and cannot be read.
    pub(in crate::shop) fn of(data_dir: &Path) -> Result<StoreEngine, StorageError> {
        let path = data_dir.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            // Whether the directory is one that can be served is judged by whoever opens the databases.
            Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
                return Ok(StoreEngine::Sqlite);
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                // A directory that may not be entered is told of by whoever opens the databases, too.
                if data_dir.join(".").metadata().is_err() {
                    return Ok(StoreEngine::Sqlite);
                }
                return Err(StorageError::NotPermitted(format!("{}: {error}", path.display())));
            }
            Err(error) => return Err(StorageError::Unavailable(format!("{}: {error}", path.display()))),
        };
        serde_json::from_slice(&text)
            .map_err(|error| StorageError::Unusable(format!("{} cannot be read: {error}", path.display())))
    }

    /// Writes it down, if it is not written already.
    ///
    /// # Errors
    /// The system's.
    #[cfg(any(test, feature = "postgres"))]
    pub(in crate::shop) fn write(&self, data_dir: &Path) -> io::Result<()> {
        if StoreEngine::of(data_dir).is_ok_and(|known| known == *self) {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        private_file::write(&data_dir.join(FILE), &text)
    }

    /// Whether the databases are PostgreSQL's.
    pub(in crate::shop) fn is_postgres(&self) -> bool {
        matches!(self, StoreEngine::Postgres(_))
    }
}

/// The services that have a database each.
#[cfg(feature = "postgres")]
pub(in crate::shop) const SERVICES: [&str; 4] = ["orders", "inventory", "payments", "sandbox"];

#[cfg(feature = "postgres")]
impl PostgresPlace {
    /// The database of a service. The password comes from its file, from `PGPASSWORD`, or from the file that
    /// `PGPASSFILE` names.
    ///
    /// # Errors
    /// [`StorageError::Unusable`] when the place names no database for it, or the password cannot be read.
    pub(in crate::shop) fn target(
        &self,
        service: &str,
    ) -> Result<crate::postgres::PostgresTarget, StorageError> {
        let refuse = |reason: String| StorageError::Unusable(format!("the database of {service}: {reason}"));
        let url = self
            .urls
            .get(service)
            .ok_or_else(|| refuse("it is not named".to_owned()))?;
        let target =
            crate::postgres::PostgresTarget::parse(url).map_err(|error| refuse(error.to_string()))?;
        let password = super::postgres::password(&target, self.password_file.as_deref()).map_err(refuse)?;
        Ok(target
            .password(password.as_deref())
            .pgbouncer(self.pgbouncer)
            .allow_unsafe_commits(self.allow_unsafe_commits))
    }

    /// The name of this cluster in its databases.
    pub(in crate::shop) fn cluster_id(&self) -> crate::postgres::ClusterId {
        crate::postgres::ClusterId(self.cluster.clone())
    }
}

/// What is said by a program that was built without PostgreSQL.
#[cfg(not(feature = "postgres"))]
pub(in crate::shop) fn without_postgres() -> StorageError {
    StorageError::Unusable(
        "the databases are PostgreSQL's, and this program was built without the feature `postgres`"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_says_which_engine_it_has() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(StoreEngine::of(directory.path()), Ok(StoreEngine::Sqlite));
        let file = directory.path().join("file");
        std::fs::write(&file, "no directory").unwrap();
        assert_eq!(StoreEngine::of(&file), Ok(StoreEngine::Sqlite));
        let place = StoreEngine::Postgres(PostgresPlace {
            cluster: "c1".to_owned(),
            urls: [("orders".to_owned(), "postgres://a@b/c".to_owned())].into(),
            password_file: Some("/etc/pw".into()),
            pgbouncer: false,
            allow_unsafe_commits: false,
        });
        place.write(directory.path()).unwrap();
        assert_eq!(StoreEngine::of(directory.path()), Ok(place));
        StoreEngine::Sqlite.write(directory.path()).unwrap();
        assert_eq!(StoreEngine::of(directory.path()), Ok(StoreEngine::Sqlite));
        std::fs::write(directory.path().join(FILE), "{").unwrap();
        assert!(matches!(
            StoreEngine::of(directory.path()),
            Err(StorageError::Unusable(_))
        ));
    }
}
