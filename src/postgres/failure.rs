//! What can go wrong between this process and a database, sorted by what follows from it.

use tokio_postgres::error::{DbError, SqlState};

/// Why a statement was not done. Except for [`PostgresFailure::Unknown`], nothing of it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostgresFailure {
    /// Too many calls wait.
    #[error("too many calls wait for the database")]
    Busy,
    /// The server is not reached, or does not answer. It may at any time.
    #[error("{0}")]
    Unreachable(String),
    /// The server answers that it does not serve now: it shuts down, it is a standby, it has no connection
    /// left. It may serve again at any time.
    #[error("{0}")]
    Refusing(String),
    /// The server has no room.
    #[error("{0}")]
    Full(String),
    /// Other transactions were in the way, again and again.
    #[error("{0}")]
    Conflict(String),
    /// The role may not do it.
    #[error("{0}")]
    NotPermitted(String),
    /// The database is not one that this program can use. A person must act.
    #[error("{0}")]
    Unusable(String),
    /// This writer is fenced off: another one does its work.
    #[error("this writer is fenced off")]
    Fenced,
    /// Nobody knows whether it was committed.
    #[error("{0}")]
    Unknown(String),
    /// The statement failed: a fault of this program or of a record.
    #[error("{0}")]
    Failed(String),
}

/// The code that our functions raise for a writer that is fenced off.
const FENCED: &str = "CL001";

impl PostgresFailure {
    /// Why no connection came to be.
    pub(super) fn not_connected(error: &tokio_postgres::Error) -> PostgresFailure {
        match error.as_db_error() {
            Some(reported) => of_server(reported),
            None if lacks_password(error) => no_password(),
            None => PostgresFailure::Unreachable(chain(error)),
        }
    }

    /// Whether the same transaction may succeed at once.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, PostgresFailure::Conflict(_))
    }

    /// Whether the connection is of no more use.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(
            self,
            PostgresFailure::Unreachable(_) | PostgresFailure::Refusing(_)
        )
    }
}

impl From<tokio_postgres::Error> for PostgresFailure {
    fn from(error: tokio_postgres::Error) -> PostgresFailure {
        match error.as_db_error() {
            Some(reported) => of_server(reported),
            None if lacks_password(&error) => no_password(),
            None if error.is_closed() || has_io(&error) => PostgresFailure::Unreachable(chain(&error)),
            None => PostgresFailure::Failed(chain(&error)),
        }
    }
}

/// Whether the server has asked for a password that is not there. The driver says so in words alone.
fn lacks_password(error: &tokio_postgres::Error) -> bool {
    causes(error).any(|cause| cause.to_string() == "password missing")
}

fn no_password() -> PostgresFailure {
    PostgresFailure::NotPermitted(
        "the server asks for a password, and there is none: put it into postgres.password_file, PGPASSWORD \
         or PGPASSFILE"
            .to_owned(),
    )
}

fn of_server(error: &DbError) -> PostgresFailure {
    let code = error.code().code();
    if code == FENCED {
        return PostgresFailure::Fenced;
    }
    let text = told(error);
    match *error.code() {
        SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::LOCK_NOT_AVAILABLE => return PostgresFailure::Conflict(text),
        SqlState::DISK_FULL => return PostgresFailure::Full(text),
        SqlState::READ_ONLY_SQL_TRANSACTION => {
            return PostgresFailure::Refusing(format!(
                "{text}: it is read-only: a standby, or a primary that was demoted"
            ));
        }
        SqlState::INSUFFICIENT_PRIVILEGE => return PostgresFailure::NotPermitted(text),
        _ => {}
    }
    match code.get(..2).unwrap_or_default() {
        // A password that is wrong, a role or database that is not there.
        "28" | "3D" => PostgresFailure::NotPermitted(text),
        // Connections, resources, an operator who intervenes, the system.
        "08" | "53" | "57" | "58" => PostgresFailure::Refusing(text),
        "XX" => PostgresFailure::Unusable(text),
        _ => PostgresFailure::Failed(text),
    }
}

/// What the server says, in one line.
fn told(error: &DbError) -> String {
    let detail = error.detail().map(|detail| format!(" ({detail})"));
    let text = format!("{}{}", error.message(), detail.unwrap_or_default());
    format!("{} [{}]", text.replace('\n', " "), error.code().code())
}

fn has_io(error: &tokio_postgres::Error) -> bool {
    let mut causes = causes(error);
    causes.any(|cause| cause.downcast_ref::<std::io::Error>().is_some())
}

/// What the error says with its causes, in one line.
fn chain(error: &tokio_postgres::Error) -> String {
    let mut text: Vec<String> = causes(error).map(ToString::to_string).collect();
    text.dedup();
    text.join(": ").replace('\n', " ")
}

fn causes<'a>(
    error: &'a tokio_postgres::Error,
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |&error| {
        error.source()
    })
}
