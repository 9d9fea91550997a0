//! The answers of the control socket in their wire format: one line of JSON whose `answer` names the kind.

use serde::{Deserialize, Serialize};

use super::death::DeathReport;
use super::outcome::{Done, Failed};
use super::report::ClusterStatus;
use super::request::{VERSION, version_of};

/// An answer with the version of the protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlReply {
    /// [`VERSION`].
    pub version: u32,
    /// The answer itself.
    #[serde(flatten)]
    pub answer: ControlAnswer,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum ControlAnswer {
    /// The answer to `status`.
    Status(Box<ClusterStatus>),
    /// The answer to `why`.
    Why(Box<DeathReport>),
    /// The command has begun; the client did not want to wait for its end, which the log reports.
    Begun,
    /// The command was carried out.
    Done(Done),
    /// The command was begun and failed: what served before serves on.
    Failed(Box<Failed>),
    /// The command was refused and nothing was begun.
    Refused {
        /// Why, and what was expected.
        reason: String,
    },
}

/// Why a line is not an answer.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    /// The answer is of another version of the protocol.
    #[error(
        "the master answers in version {0}, this program understands version {VERSION}; use the program \
         that the master runs"
    )]
    Version(u64),
    /// The line is not an answer.
    #[error("the master's answer cannot be read ({0}); use the program that the master runs")]
    Malformed(#[from] serde_json::Error),
}

impl ControlReply {
    /// An answer of this version.
    #[must_use]
    pub fn new(answer: ControlAnswer) -> ControlReply {
        ControlReply {
            version: VERSION,
            answer,
        }
    }

    /// The answer as one line, with its line end.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut line =
            serde_json::to_vec(self).expect("a reply holds numbers, texts and lists, which JSON can express");
        line.push(b'\n');
        line
    }

    /// Parses one line.
    ///
    /// # Errors
    /// [`ReplyError`] names what was read and what to do.
    pub fn parse(line: &[u8]) -> Result<ControlReply, ReplyError> {
        match version_of(line)? {
            version if version == u64::from(VERSION) => Ok(serde_json::from_slice(line)?),
            version => Err(ReplyError::Version(version)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{Generation, Slot};
    use crate::pool::Failure;

    #[test]
    fn the_words_of_the_wire_stay_what_they_are() {
        let line = ControlReply::new(ControlAnswer::Done(Done::Scaled { from: 2, to: 4 })).line();
        assert_eq!(
            String::from_utf8(line).expect("text"),
            "{\"version\":1,\"answer\":\"done\",\"did\":\"scaled\",\"from\":2,\"to\":4}\n"
        );
    }

    #[test]
    fn an_answer_comes_back_as_it_went_in() {
        for answer in [
            ControlAnswer::Begun,
            ControlAnswer::Done(Done::Scaled { from: 2, to: 4 }),
            ControlAnswer::Done(Done::Drained {
                slot: Slot(1),
                life: None,
                after_ms: u64::MAX,
            }),
            ControlAnswer::Failed(Box::new(Failed {
                reason: "no".to_owned(),
                cause: Failure::Stopped,
                generation: Generation(2),
                after_ms: 7,
                slots: Vec::new(),
                stderr: vec!["at\tlast".to_owned()],
            })),
            ControlAnswer::Refused {
                reason: "too \"many\"\nlines".to_owned(),
            },
        ] {
            let reply = ControlReply::new(answer);
            let line = reply.line();
            assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
            assert_eq!(ControlReply::parse(&line).expect("a reply"), reply);
        }
        assert!(matches!(
            ControlReply::parse(b"{\"version\":9}"),
            Err(ReplyError::Version(9))
        ));
        assert!(matches!(
            ControlReply::parse(b"200 OK\n"),
            Err(ReplyError::Malformed(_))
        ));
    }
}
