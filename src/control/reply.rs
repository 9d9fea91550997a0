//! What is answered, as it stands on the wire: one line of JSON whose `answer` says which kind it is.

use serde::{Deserialize, Serialize};

use super::death::Why;
use super::outcome::{Done, Failed};
use super::report::Status;
use super::request::VERSION;

/// One answer with its version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// [`VERSION`].
    pub version: u32,
    /// The answer itself.
    #[serde(flatten)]
    pub answer: Answer,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To `status`.
    Status(Box<Status>),
    /// To `why`.
    Why(Box<Why>),
    /// It has begun; who asked did not want to wait for its end, which the log tells.
    Begun,
    /// It was done.
    Done(Done),
    /// It was begun and came to nothing: what served before serves on.
    Failed(Box<Failed>),
    /// Nothing was begun.
    Refused {
        /// Why, and what was expected.
        reason: String,
    },
}

/// Why a line is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    /// Another version's.
    #[error(
        "the master speaks version {0}, this program speaks version {VERSION}; use the program that the master runs"
    )]
    Version(u64),
    /// Anything else.
    #[error("the master's answer cannot be read ({0}); use the program that the master runs")]
    Unknown(#[from] serde_json::Error),
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

impl Reply {
    /// An answer of this version.
    #[must_use]
    pub fn new(answer: Answer) -> Reply {
        Reply {
            version: VERSION,
            answer,
        }
    }

    /// As one line, its end included.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut line =
            serde_json::to_vec(self).expect("a reply holds numbers, texts and lists, which JSON can say");
        line.push(b'\n');
        line
    }

    /// Understands one line.
    ///
    /// # Errors
    /// [`ReplyError`] says what to do.
    pub fn parse(line: &[u8]) -> Result<Reply, ReplyError> {
        match serde_json::from_slice::<Versioned>(line)?.version {
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
        let line = Reply::new(Answer::Done(Done::Scaled { from: 2, to: 4 })).line();
        assert_eq!(
            String::from_utf8(line).expect("text"),
            "{\"version\":1,\"answer\":\"done\",\"did\":\"scaled\",\"from\":2,\"to\":4}\n"
        );
    }

    #[test]
    fn an_answer_comes_back_as_it_went_in() {
        for answer in [
            Answer::Begun,
            Answer::Done(Done::Scaled { from: 2, to: 4 }),
            Answer::Done(Done::Drained {
                slot: Slot(1),
                life: None,
                after_ms: u64::MAX,
            }),
            Answer::Failed(Box::new(Failed {
                reason: "no".to_owned(),
                cause: Failure::Stopped,
                generation: Generation(2),
                after_ms: 7,
                slots: Vec::new(),
                stderr: vec!["at\tlast".to_owned()],
            })),
            Answer::Refused {
                reason: "too \"many\"\nlines".to_owned(),
            },
        ] {
            let reply = Reply::new(answer);
            let line = reply.line();
            assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
            assert_eq!(Reply::parse(&line).expect("a reply"), reply);
        }
        assert!(matches!(
            Reply::parse(b"{\"version\":9}"),
            Err(ReplyError::Version(9))
        ));
        assert!(matches!(Reply::parse(b"200 OK\n"), Err(ReplyError::Unknown(_))));
    }
}
