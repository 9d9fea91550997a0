//! `logs`: shows what the programs of a cluster printed, once or again and again. Each request uses a
//! connection of its own and says how far this client has read, so the master keeps nothing of it.

use std::path::Path;
use std::time::Duration;

use super::exits::exit_of;
use super::logs_form::LogsForm;
use super::output::{PrintResult, print};
use super::render::rendered;
use super::request::{LogsOptions, MasterRequest};
use crate::base::exit::Exit;
use crate::base::ids::Slot;
use crate::control::client::{self, AskError};
use crate::control::{ControlAnswer, ControlCommand, ControlRequest, OutputPosition, OutputReport};
use crate::observe;
use crate::sys::output::reader_leaves_within;

/// Time between two requests of a client that follows.
const INTERVAL: Duration = Duration::from_millis(200);

/// Shows the lines, until there are no more or, with `--follow`, until the master or the reader is gone.
pub(super) fn run(
    program: &str,
    run_dir: &Path,
    request: &MasterRequest,
    options: LogsOptions,
) -> Result<Exit, AskError> {
    let form = LogsForm::of(request.json);
    let mut question = request.kind.request();
    let mut most = Some(options.lines);
    loop {
        let report = match client::ask(run_dir, &question) {
            Ok(ControlAnswer::Output(report)) => report,
            Ok(other) => {
                let printed = print(&rendered(question.command, &other, request.json)).exit();
                return Ok(if printed == Exit::Stopped {
                    exit_of(&other)
                } else {
                    printed
                });
            }
            Err(error) if most.is_none() && is_end(&error) => {
                observe::print_error(&format!("{program}: the master has ended\n"));
                return Ok(Exit::Stopped);
            }
            Err(error) => return Err(error),
        };
        let printed = print(form.text(&report, most.take()).as_bytes());
        if printed != PrintResult::Complete || !options.follow || reader_leaves_within(INTERVAL) {
            return Ok(printed.exit());
        }
        question = following(positions(&report), options.slot);
    }
}

/// The next request of a client that follows. Of a life that is new since the last one it wants every line.
fn following(positions: Vec<OutputPosition>, slot: Option<Slot>) -> ControlRequest {
    let lines = u32::MAX;
    ControlRequest {
        positions,
        ..ControlRequest::new(ControlCommand::Logs { slot, lines })
    }
}

fn positions(report: &OutputReport) -> Vec<OutputPosition> {
    let lives = report.lives.iter();
    lives.map(|life| OutputPosition(life.life, life.next)).collect()
}

/// Whether the master has ended between two requests.
fn is_end(error: &AskError) -> bool {
    match error {
        AskError::NoMaster { .. } | AskError::Broken(_) | AskError::NoAnswer => true,
        AskError::SocketPathTooLong(_)
        | AskError::Forbidden { .. }
        | AskError::Stopped(_)
        | AskError::Unreadable(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::Life;
    use crate::control::LifeOutput;

    #[test]
    fn a_client_goes_on_where_it_was() {
        let life = LifeOutput {
            life: Life::of(1, 1, 1),
            pid: Some(77),
            lost: 0,
            next: 9,
            lines: Vec::new(),
        };
        let report = OutputReport { lives: vec![life] };
        let next = following(positions(&report), None);
        assert_eq!(next.positions[0], OutputPosition(Life::of(1, 1, 1), 9));
    }
}
