//! What a person does beside the running cluster: look after the files, save them, and decide about orders
//! that stand still. Works on the data directory alone, with or without a cluster over it.

mod backup;
mod doctor;
mod sagas;

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use rusqlite::ErrorCode;

use super::{inventory, orders, payments, sandbox};
use crate::base::exit::Exit;
use crate::store::Schema;
use crate::worker::{AppCommand, complain, explain};

/// The commands, for [`crate::App::commands`].
pub const DOCTOR: AppCommand = AppCommand {
    name: "doctor",
    about: "Check every page of the databases, and that stock, money and orders add up",
    run: |arguments| run(arguments, doctor::run),
};
/// As [`DOCTOR`].
pub const BACKUP: AppCommand = AppCommand {
    name: "backup",
    about: "Copy the databases as they are at one instant, beside a running cluster",
    run: |arguments| run(arguments, backup::run),
};
/// As [`DOCTOR`].
pub const SAGAS: AppCommand = AppCommand {
    name: "sagas",
    about: "List the orders that are not over, tell one order's story, decide about one that is parked",
    run: |arguments| run(arguments, sagas::run),
};

const FILES: [(&Schema, &str); 4] = [
    (&orders::SCHEMA, orders::FILE),
    (&inventory::SCHEMA, inventory::FILE),
    (&payments::SCHEMA, payments::FILE),
    (&sandbox::SCHEMA, sandbox::FILE),
];

#[derive(Debug, clap::Args)]
struct DataDirOption {
    /// The data directory of the cluster.
    #[arg(long, default_value = "data", value_name = "DIR")]
    data_dir: PathBuf,
}

/// What went wrong, and the code that says so.
struct CommandFailure(Exit, String);

impl<E: Error + 'static> From<E> for CommandFailure {
    fn from(error: E) -> CommandFailure {
        let exit = if is_about_the_file(&error) {
            Exit::BadData
        } else {
            Exit::Failed
        };
        CommandFailure(exit, error.to_string())
    }
}

/// Whether a database holds something else than expected.
fn is_about_the_file(error: &(dyn Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes
        .filter_map(|error| error.downcast_ref::<rusqlite::Error>())
        .filter_map(rusqlite::Error::sqlite_error_code)
        .any(|code| {
            matches!(
                code,
                ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::SchemaChanged
            )
        })
}

fn run<A: Parser>(arguments: Vec<OsString>, command: fn(A) -> Result<(), CommandFailure>) -> Exit {
    let name = arguments
        .first()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    match A::try_parse_from(arguments) {
        Err(told) => explain(&told),
        Ok(arguments) => match command(arguments) {
            Ok(()) => Exit::Stopped,
            Err(CommandFailure(exit, message)) => {
                complain(&format!("{name}: {message}"));
                exit
            }
        },
    }
}
