//! Running an errand: find the master, ask, print, and end with the code that tells a script how it went.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use super::request::{Errand, Task};
use super::{render, top};
use crate::base::exit::Exit;
use crate::control::client::{AskError, Conversation};
use crate::control::{Answer, Ask, Done, Reply};
use crate::observe;

/// How long a master that has stopped may take to leave.
const GOODBYE: Duration = Duration::from_secs(10);

/// Does it. Answers go to stdout, the reasons why there is none to stderr.
pub(super) fn run(program: &str, errand: &Errand) -> Exit {
    let run_dir = match errand.place.run_dir() {
        Ok(run_dir) => run_dir,
        Err(error) => return complain(program, &error, Exit::BadConfig),
    };
    let ended = match errand.task {
        Task::Ask { ask, .. } => once(&run_dir, errand, ask),
        Task::Top { count } => top::run(&run_dir, errand, count),
    };
    ended.unwrap_or_else(|error| complain(program, &error, exit_of_error(&error)))
}

fn once(run_dir: &Path, errand: &Errand, ask: Ask) -> Result<Exit, AskError> {
    let mut conversation = Conversation::begin(run_dir)?;
    let answer = conversation.ask(&errand.task.request())?;
    if matches!((ask, &answer), (Ask::Stop { .. }, Answer::Done(_))) {
        // The answer is the master's last word but one: its locks are free when it is gone.
        let _gone_or_very_slow = conversation.outlives_master(GOODBYE);
    }
    Ok(match print(&shown(ask, &answer, errand.json)) {
        Printed::Whole | Printed::Unread => exit_of(&answer),
        Printed::Failed => Exit::Failed,
    })
}

/// An answer as it is printed.
pub(super) fn shown(ask: Ask, answer: &Answer, json: bool) -> Vec<u8> {
    if json {
        Reply::new(answer.clone()).line()
    } else {
        render::words(ask, answer).into_bytes()
    }
}

/// What became of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Printed {
    /// It is out.
    Whole,
    /// Whoever read has gone, which is no failure of ours.
    Unread,
    /// It could not be written; stderr says why.
    Failed,
}

impl Printed {
    /// The exit code, when printing was all there was to do.
    pub(super) fn exit(self) -> Exit {
        match self {
            Printed::Whole | Printed::Unread => Exit::Stopped,
            Printed::Failed => Exit::Failed,
        }
    }
}

/// To stdout.
pub(super) fn print(text: &[u8]) -> Printed {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Ok(()) => Printed::Whole,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Printed::Unread,
        Err(error) => {
            observe::complain(&format!("failed to print to stdout: {error}\n"));
            Printed::Failed
        }
    }
}

fn complain(program: &str, error: &impl std::fmt::Display, exit: Exit) -> Exit {
    observe::complain(&format!("{program}: {error}\n"));
    exit
}

fn exit_of(answer: &Answer) -> Exit {
    match answer {
        Answer::Done(Done::Stopped { whole: false }) => Exit::Cut,
        Answer::Status(_) | Answer::Why(_) | Answer::Begun | Answer::Done(_) => Exit::Stopped,
        Answer::Failed(_) => Exit::BackedOut,
        Answer::Refused { .. } => Exit::Refused,
    }
}

fn exit_of_error(error: &AskError) -> Exit {
    match error {
        AskError::NoMaster { .. } => Exit::NoMaster,
        AskError::Forbidden { .. } => Exit::NoPermission,
        AskError::TooDeep(_) => Exit::BadConfig,
        AskError::Broken(_) | AskError::NoAnswer | AskError::Odd(_) => Exit::Misunderstood,
    }
}
