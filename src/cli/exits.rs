//! The exit code that tells a script how a command ended.

use crate::base::exit::Exit;
use crate::control::ControlAnswer;
use crate::control::client::AskError;
use crate::pool::{Done, Outcome};

/// The code for an answer.
pub(super) fn exit_of(answer: &ControlAnswer) -> Exit {
    match answer {
        ControlAnswer::Done(Done::Stopped {
            outcome: Outcome::Cut | Outcome::NeverReady,
            ..
        }) => Exit::Cut,
        ControlAnswer::Status(_)
        | ControlAnswer::Why(_)
        | ControlAnswer::Output(_)
        | ControlAnswer::Begun
        | ControlAnswer::Done(_) => Exit::Stopped,
        ControlAnswer::Failed(_) => Exit::BackedOut,
        ControlAnswer::Refused { .. } => Exit::Refused,
    }
}

/// The code for no answer.
pub(super) fn exit_of_error(error: &AskError) -> Exit {
    match error {
        AskError::NoMaster { .. } => Exit::NoMaster,
        AskError::Forbidden { .. } => Exit::NoPermission,
        AskError::SocketPathTooLong(_) => Exit::BadConfig,
        AskError::Stopped(_) | AskError::Broken(_) | AskError::NoAnswer | AskError::Unreadable(_) => {
            Exit::Misunderstood
        }
    }
}
