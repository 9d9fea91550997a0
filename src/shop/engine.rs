//! Which engine holds the databases of a data directory. A file in the directory says so, so that whoever
//! works on the directory alone (`doctor`, `sagas`, an older program) finds the orders, and no start serves
//! an empty set of databases beside a full one.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::contract::StorageError;
use crate::base::ids::HostId;
#[cfg(any(test, feature = "postgres"))]
use crate::sys::durable::{Durability, replace_file};

/// The file in the data directory. Without it, the databases are SQLite's.
const FILE: &str = "store.json";
/// What says in a data directory that its databases are only kept to be looked at.
pub(in crate::shop) const MOVED_NOTE: &str = "moved.txt";
/// The file that names the cluster in its databases, unless the configuration does.
#[cfg(feature = "postgres")]
pub(in crate::shop) const CLUSTER_ID: &str = "cluster.id";
/// The file that names the host among those that use the databases.
#[cfg(feature = "postgres")]
pub(in crate::shop) const HOST_ID: &str = "host.id";

/// Which engine holds the databases.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Names this host among those that use the databases.
    #[serde(default, skip_serializing_if = "is_unnamed")]
    pub(in crate::shop) host: HostId,
    /// The URL of each service's database.
    pub(in crate::shop) urls: BTreeMap<String, String>,
    /// The file of the password.
    pub(in crate::shop) password_file: Option<PathBuf>,
    /// The file of the certificates that are trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::shop) root_certificates: Option<PathBuf>,
    /// Whether PgBouncer is between.
    pub(in crate::shop) pgbouncer: bool,
    /// Whether a server may be used that forgets what it has committed.
    pub(in crate::shop) allow_unsafe_commits: bool,
}

fn is_unnamed(host: &HostId) -> bool {
    !host.is_named()
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "engine", deny_unknown_fields)]
pub(in crate::shop) enum StoreFile {
    /// The databases are files.
    Sqlite,
    /// The databases are PostgreSQL's.
    Postgres(PostgresPlace),
    /// The databases are on their way, and nothing may use them.
    Moving(MoveUnderWay),
}

/// A move that has begun and is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::shop) struct MoveUnderWay {
    /// Names the move in the databases that it fills.
    pub(in crate::shop) id: String,
    /// Where the databases go.
    pub(in crate::shop) to: MoveTarget,
    /// The databases at PostgreSQL, which they go to or come from.
    pub(in crate::shop) place: PostgresPlace,
    /// Whether everything was copied and compared: then the move can only be finished.
    pub(in crate::shop) is_copied: bool,
}

/// Where databases go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(in crate::shop) enum MoveTarget {
    /// To files in the data directory.
    Sqlite,
    /// To the databases of a PostgreSQL server, which the configuration names.
    Postgres,
}

impl MoveTarget {
    /// As it is typed.
    pub(in crate::shop) fn word(self) -> &'static str {
        match self {
            MoveTarget::Sqlite => "sqlite",
            MoveTarget::Postgres => "postgres",
        }
    }
}

impl StoreFile {
    /// What the file of that directory says.
    ///
    /// # Errors
    /// [`StorageError`] when the file is there and cannot be read.
    pub(in crate::shop) fn read(data_dir: &Path) -> Result<StoreFile, StorageError> {
        let path = data_dir.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            // Whether the directory is one that can be served is judged by whoever opens the databases.
            Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
                return Ok(StoreFile::Sqlite);
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                // A directory that may not be entered is told of by whoever opens the databases, too.
                if data_dir.join(".").metadata().is_err() {
                    return Ok(StoreFile::Sqlite);
                }
                return Err(StorageError::NotPermitted(format!("{}: {error}", path.display())));
            }
            Err(error) => return Err(StorageError::Unavailable(format!("{}: {error}", path.display()))),
        };
        serde_json::from_slice(&text)
            .map_err(|error| StorageError::Unusable(format!("{} cannot be read: {error}", path.display())))
    }

    /// Writes it, if it is not written already. A crash leaves the old text or the new one.
    ///
    /// # Errors
    /// The system's.
    #[cfg(any(test, feature = "postgres"))]
    pub(in crate::shop) fn write(&self, data_dir: &Path) -> io::Result<()> {
        if StoreFile::read(data_dir).is_ok_and(|known| known == *self) {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        replace_file(&data_dir.join(FILE), &text, Durability::PowerCut)
    }
}

impl StoreEngine {
    /// The engine of that directory.
    ///
    /// # Errors
    /// [`StorageError`] when the file is there and cannot be read, and while the databases are on their way
    /// from one engine to the other.
    pub(in crate::shop) fn of(data_dir: &Path) -> Result<StoreEngine, StorageError> {
        match StoreFile::read(data_dir)? {
            StoreFile::Sqlite => Ok(StoreEngine::Sqlite),
            StoreFile::Postgres(place) => Ok(StoreEngine::Postgres(place)),
            StoreFile::Moving(MoveUnderWay { to, .. }) => Err(StorageError::Unusable(format!(
                "the databases of {} are on their way to {1}: `cluster move --to {1}` goes on with it",
                data_dir.display(),
                to.word()
            ))),
        }
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
        let mut target =
            crate::postgres::PostgresTarget::parse(url).map_err(|error| refuse(error.to_string()))?;
        if target.encrypts() {
            let trusted = target.trust(self.root_certificates.as_deref());
            target = trusted.map_err(|error| refuse(error.to_string()))?;
        }
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

/// The name of this cluster in its databases, made by whichever process is first.
///
/// # Errors
/// The system's.
#[cfg(feature = "postgres")]
pub(in crate::shop) fn cluster_id(data_dir: &Path) -> io::Result<String> {
    made_once(data_dir, CLUSTER_ID, || format!("{:016x}", fastrand::u64(..)))
}

/// The id of this host among those that use the databases, made by whichever process is first. A directory
/// that used databases before hosts had ids, or whose orders were in files, goes on without one.
///
/// # Errors
/// The system's.
#[cfg(feature = "postgres")]
pub(in crate::shop) fn host_id(data_dir: &Path) -> io::Result<HostId> {
    let is_known = matches!(StoreFile::read(data_dir), Ok(StoreFile::Postgres(_)));
    if is_known && !data_dir.join(HOST_ID).exists() {
        return Ok(HostId::UNNAMED);
    }
    let id = made_once(data_dir, HOST_ID, || HostId::of(fastrand::u32(1..)).to_string())?;
    let host: HostId = id
        .parse()
        .map_err(|error| io::Error::other(format!("{HOST_ID}: {error}")))?;
    match host.is_named() {
        true => Ok(host),
        false => Err(io::Error::other(format!("{HOST_ID} names no host"))),
    }
}

#[cfg(feature = "postgres")]
fn made_once(data_dir: &Path, file: &str, make: impl Fn() -> String) -> io::Result<String> {
    let path = data_dir.join(file);
    for _ in 0..3 {
        match std::fs::read_to_string(&path) {
            Ok(id) if !id.trim().is_empty() => return Ok(id.trim().to_owned()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let id = make();
        let own = path.with_extension(format!("{}", std::process::id()));
        crate::sys::private_file::write(&own, id.as_bytes())?;
        // Whoever links first names it.
        let linked = std::fs::hard_link(&own, &path);
        std::fs::remove_file(&own)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Err(io::Error::other(format!("{} is empty", path.display())))
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
        let place = PostgresPlace {
            cluster: "c1".to_owned(),
            host: HostId::of(7),
            urls: [("orders".to_owned(), "postgres://a@b/c".to_owned())].into(),
            password_file: Some("/etc/pw".into()),
            root_certificates: None,
            pgbouncer: false,
            allow_unsafe_commits: false,
        };
        let write = |file: StoreFile| file.write(directory.path()).unwrap();
        write(StoreFile::Postgres(place.clone()));
        assert_eq!(
            StoreEngine::of(directory.path()),
            Ok(StoreEngine::Postgres(place.clone()))
        );
        write(StoreFile::Moving(MoveUnderWay {
            id: "m1".to_owned(),
            to: MoveTarget::Sqlite,
            place,
            is_copied: false,
        }));
        let refused = StoreEngine::of(directory.path()).expect_err("nothing may use them");
        assert!(
            refused.to_string().contains("cluster move --to sqlite"),
            "{refused}"
        );
        write(StoreFile::Sqlite);
        assert_eq!(StoreEngine::of(directory.path()), Ok(StoreEngine::Sqlite));
        std::fs::write(directory.path().join(FILE), "{").unwrap();
        assert!(matches!(
            StoreEngine::of(directory.path()),
            Err(StorageError::Unusable(_))
        ));
    }
}
