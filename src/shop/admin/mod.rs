//! The commands for operators of the shop: check the databases, back them up, and decide about parked orders.
//! They work on the data directory alone, with or without a running cluster.

mod backup;
mod doctor;
#[cfg(feature = "postgres")]
mod moves;
mod replay;
mod sagas;

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory, Parser};

use super::contract::StorageError;
use crate::base::exit::Exit;
use crate::worker::{AppCommand, print_clap, print_error};

/// The command `doctor`, for [`crate::App::commands`].
pub const DOCTOR: AppCommand = AppCommand {
    name: "doctor",
    about: "Check every page of the databases, and that stock, money and orders add up",
    arguments: Some(doctor::DoctorArguments::command),
    run: |arguments| run(arguments, doctor::run),
};
/// The command `backup`, for [`crate::App::commands`].
pub const BACKUP: AppCommand = AppCommand {
    name: "backup",
    about: "Copy the databases as they are at one instant, beside a running cluster",
    arguments: Some(backup::BackupArguments::command),
    run: |arguments| run(arguments, backup::run),
};
/// The command `sagas`, for [`crate::App::commands`].
pub const SAGAS: AppCommand = AppCommand {
    name: "sagas",
    about: "List the orders that are not over, tell one order's story, decide about one that is parked",
    arguments: Some(sagas::SagasArguments::command),
    run: |arguments| run(arguments, sagas::run),
};

/// The command `replay`, for [`crate::App::commands`].
pub const REPLAY: AppCommand = AppCommand {
    name: "replay",
    about: "Build the summaries of customers anew, from the orders and their events",
    arguments: Some(replay::ReplayArguments::command),
    run: |arguments| run(arguments, replay::run),
};

/// The command `move`, for [`crate::App::commands`].
#[cfg(feature = "postgres")]
pub const MOVE: AppCommand = AppCommand {
    name: "move",
    about: "Move the databases of a stopped cluster from files to PostgreSQL, or back",
    arguments: Some(moves::MoveArguments::command),
    run: |arguments| run(arguments, moves::run),
};

#[derive(Debug, clap::Args)]
struct DataDirOption {
    /// The data directory of the cluster.
    #[arg(long, global = true, default_value = "data", value_name = "DIR")]
    data_dir: PathBuf,
}

/// Why a command failed: the exit code and the message.
struct CommandFailure(Exit, String);

impl<E: Error + 'static> From<E> for CommandFailure {
    fn from(error: E) -> CommandFailure {
        let mut causes =
            std::iter::successors(Some(&error as &(dyn Error + 'static)), |&error| error.source());
        let storage = causes.find_map(|cause| cause.downcast_ref());
        CommandFailure(storage.map_or(Exit::Failed, exit_of), error.to_string())
    }
}

/// Whether a person must look at the data, at the disk, or at the message alone.
fn exit_of(error: &StorageError) -> Exit {
    match error {
        StorageError::Unusable(_) => Exit::BadData,
        StorageError::Full(_) | StorageError::KeptByReader(_) | StorageError::DiskFailed(_) => {
            Exit::DiskFailed
        }
        StorageError::NotPermitted(_) => Exit::NoPermission,
        StorageError::Busy
        | StorageError::Locked(_)
        | StorageError::Stalled(_)
        | StorageError::Unavailable(_)
        | StorageError::Unknown(_)
        | StorageError::Failed(_) => Exit::Failed,
    }
}

fn run<A: Parser>(arguments: Vec<OsString>, command: fn(A) -> Result<(), CommandFailure>) -> Exit {
    let name = arguments
        .first()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    match A::try_parse_from(arguments) {
        Err(error) => print_clap(&error),
        Ok(arguments) => match command(arguments) {
            Ok(()) => Exit::Stopped,
            Err(CommandFailure(exit, message)) => {
                print_error(&format!("{name}: {message}"));
                exit
            }
        },
    }
}
