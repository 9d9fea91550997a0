//! `move`: moves the databases of a stopped cluster from files to PostgreSQL, or back.

use std::path::{Path, PathBuf};

use super::CommandFailure;
use crate::base::exit::Exit;
use crate::base::ids::HostId;
use crate::config::{self, ConfigFile, Overrides, Settings};
use crate::shop::SECTIONS;
use crate::shop::engine::{CLUSTER_ID, MoveTarget, PostgresPlace};
use crate::shop::evidence::blocking;
use crate::shop::moving::{self, MoveError, MoveOrder, MoveProgress};
use crate::shop::recovery::liveness;
use crate::shop::settings::PostgresSettings;
use crate::shop::sqlite::snapshots::keep_owner;
use crate::worker::print_line;

/// Move the databases of a stopped cluster from files to PostgreSQL, or back: orders, idempotency keys,
/// fences, events with their positions, and the ledger of the built-in provider. Readers of events go on
/// from where they are. Every row is read again on both sides and compared, and the audit of `doctor` is run
/// before and after. A move that was killed goes on when the same command is given again; until everything
/// is copied, a move in the other direction gives it up. The old side is kept, and the command says where.
/// Afterwards set store.engine.
#[derive(Debug, clap::Parser)]
pub(super) struct MoveArguments {
    /// Where the databases go.
    #[arg(long, value_enum, value_name = "ENGINE")]
    to: MoveTarget,
    /// The configuration of the cluster. Its section [postgres] names the databases at PostgreSQL, and
    /// cluster.data_dir the data directory.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory of the cluster, if it is another than the configuration says.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub(super) fn run(arguments: MoveArguments) -> Result<(), CommandFailure> {
    let settings = settings(arguments.config.as_deref())?;
    let data_dir = arguments
        .data_dir
        .unwrap_or_else(|| settings.cluster.data_dir.clone());
    if !data_dir.is_dir() {
        let reason = format!(
            "{} is no directory; expected a cluster's --data-dir",
            data_dir.display()
        );
        return Err(CommandFailure(Exit::BadConfig, reason));
    }
    let place = match arguments.to {
        MoveTarget::Postgres => Some(place(&settings, &data_dir)?),
        MoveTarget::Sqlite => None,
    };
    let order = MoveOrder {
        data_dir,
        to: arguments.to,
        place,
    };
    blocking::run(|| async { moving::run(&order, &mut |progress| Ok(print_line(&told(progress))?)).await })?
        .map_err(not_moved)?;
    print_line(&format!(
        "set store.engine to {} in the configuration before the next start",
        order.to.word()
    ))?;
    Ok(())
}

fn settings(file: Option<&Path>) -> Result<Settings, CommandFailure> {
    let bad = |reason: String| CommandFailure(Exit::BadConfig, reason);
    let read = match file {
        None => config::read(SECTIONS, None, &Overrides::default()),
        Some(path) => {
            let bytes = std::fs::read(path).map_err(|error| bad(format!("{}: {error}", path.display())))?;
            let name = path.display().to_string();
            let file = ConfigFile {
                name: &name,
                bytes: &bytes,
            };
            config::read(SECTIONS, Some(file), &Overrides::default())
        }
    };
    read.map(|effective| effective.settings)
        .map_err(|problems| bad(problems.to_string()))
}

/// The databases that the configuration names.
fn place(settings: &Settings, data_dir: &Path) -> Result<PostgresPlace, CommandFailure> {
    let bad = |reason: String| CommandFailure(Exit::BadConfig, reason);
    let postgres: PostgresSettings = settings
        .section("postgres")
        .map_err(|error| bad(error.to_string()))?;
    // A directory that is served by nobody yet has no name.
    let urls = postgres.place(String::new(), HostId::UNNAMED).map_err(bad)?;
    let cluster = postgres.cluster_name(data_dir)?;
    keep_owner(&data_dir.join(liveness::FILE), &data_dir.join(CLUSTER_ID));
    Ok(PostgresPlace { cluster, ..urls })
}

fn told(progress: &MoveProgress) -> String {
    match progress {
        MoveProgress::Begun { again, from, to } => {
            let begins = if *again {
                "going on with the move"
            } else {
                "moving"
            };
            format!("{begins} from {from} to {to}")
        }
        MoveProgress::Copied { service, rows } => format!("{service}: {rows} rows copied"),
        MoveProgress::FilesAreMade => "the new files are complete".to_owned(),
        MoveProgress::Compared {
            service,
            rows,
            digest,
        } => format!("{service}: {rows} rows are the same on both sides (sha256 {digest})"),
        MoveProgress::Sound {
            confirmed,
            rejected,
            unfinished,
        } => format!(
            "the new side is sound: {confirmed} confirmed, {rejected} rejected, {unfinished} unfinished"
        ),
        MoveProgress::AllIsCopied => "everything is copied".to_owned(),
        MoveProgress::Placed { file, to } => format!("{file} lies in {} now", to.display()),
        MoveProgress::Over { kept } => format!(
            "moved; the old side is kept: `cluster doctor --data-dir {}` looks at it",
            kept.display()
        ),
        MoveProgress::LeftBehind { what } => format!("attention: {what} is left behind"),
        MoveProgress::AlreadyThere => "nothing to do: the databases are there already".to_owned(),
        MoveProgress::GivenUp => "the move was given up: the databases are where they were".to_owned(),
    }
}

fn not_moved(error: MoveError) -> CommandFailure {
    match error {
        MoveError::Served { .. } => CommandFailure(Exit::InUse, error.to_string()),
        MoveError::Refused(_) => CommandFailure(Exit::Refused, error.to_string()),
        MoveError::Unsound(_) | MoveError::Unlike { .. } => CommandFailure(Exit::BadData, error.to_string()),
        MoveError::Storage(error) => error.into(),
        MoveError::Audit(error) => error.into(),
        MoveError::Io(error) => CommandFailure(Exit::Unwritable, error.to_string()),
        #[cfg(test)]
        MoveError::Killed => CommandFailure(Exit::Failed, error.to_string()),
    }
}
