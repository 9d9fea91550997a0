//! Runs a command that asks a running master: finds the master, asks, prints, and returns the exit code that
//! tells a script how the command ended.

use std::path::Path;
use std::time::Duration;

use super::exits::{exit_of, exit_of_error};
use super::health;
use super::locate::{self, MasterLocation};
use super::logs;
use super::output::{PrintResult, print};
use super::render::rendered;
use super::request::{MasterRequest, RequestKind};
use super::top;
use crate::base::exit::Exit;
use crate::control::client::{AskError, ControlConnection};
use crate::control::{ControlAnswer, ControlCommand};
use crate::observe;

/// How long `stop` waits for the exit of a master that has answered.
const MASTER_EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs the command. Answers go to stdout; the reason why there is no answer goes to stderr.
pub(super) fn run(program: &str, request: &MasterRequest) -> Exit {
    let run_dir = match request.location.run_dir() {
        Ok(run_dir) => run_dir,
        Err(error) => return fail(program, &error, Exit::BadConfig),
    };
    let result = match request.kind {
        RequestKind::Once { command, .. } => ask_once(&run_dir, request, command),
        RequestKind::Top { count } => top::run(&run_dir, request, count),
        RequestKind::Logs(options) => logs::run(program, &run_dir, request, options),
        RequestKind::Health { probe } => health::run(&run_dir, request, probe),
    };
    result.unwrap_or_else(|error| match &error {
        AskError::NoMaster { .. } if request.location == MasterLocation::default() => {
            fail(program, &locate::no_master_here(), exit_of_error(&error))
        }
        _ => fail(program, &error, exit_of_error(&error)),
    })
}

fn ask_once(run_dir: &Path, request: &MasterRequest, command: ControlCommand) -> Result<Exit, AskError> {
    let mut connection = ControlConnection::open(run_dir)?;
    let answer = connection.ask(&request.kind.request())?;
    if matches!(
        (command, &answer),
        (ControlCommand::Stop { .. }, ControlAnswer::Done(_))
    ) {
        // The master answers shortly before it exits; its locks are free once it has exited.
        let _exited_in_time = connection.wait_for_master_exit(MASTER_EXIT_TIMEOUT);
    }
    Ok(match print(&rendered(command, &answer, request.json)) {
        PrintResult::Complete | PrintResult::ReaderGone => exit_of(&answer),
        PrintResult::Failed => Exit::Failed,
    })
}

fn fail(program: &str, error: &impl std::fmt::Display, exit: Exit) -> Exit {
    observe::print_error(&format!("{program}: {error}\n"));
    exit
}
