//! The answers of the control socket in their wire format: one line of JSON whose `answer` names the kind.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::death::DeathReport;
use super::logs::OutputReport;
use super::report::ClusterStatus;
use super::request::{VERSION, version_of};
use crate::base::ids::Generation;
use crate::base::millis;
use crate::pool::{Done, Failure, Replaced};

/// An answer with the version of the protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlReply {
    /// The version of the protocol, [`VERSION`].
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
    /// The answer to `logs`.
    Output(OutputReport),
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

/// A command that was begun and failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The reason, in words.
    pub reason: String,
    /// The reason, for programs.
    pub cause: Failure,
    /// The generation that was tried.
    pub generation: Generation,
    /// Time since the command was begun.
    #[serde(rename = "after_ms", with = "millis")]
    pub after: Duration,
    /// The slots that had been replaced by then; they were given back.
    pub slots: Vec<Replaced>,
    /// The last lines that the failed worker wrote to stderr.
    pub stderr: Vec<String>,
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
    use crate::base::ids::{Life, Slot};
    use crate::pool::{Outcome, Rolled};

    #[test]
    fn the_words_of_the_wire_stay_what_they_are() {
        let line = ControlReply::new(ControlAnswer::Done(Done::Scaled { from: 2, to: 4 })).line();
        assert_eq!(
            String::from_utf8(line).expect("text"),
            "{\"version\":1,\"answer\":\"done\",\"did\":\"scaled\",\"from\":2,\"to\":4}\n"
        );
    }

    const SEVEN: Life = Life::of(3, 1, 7);
    const EIGHT: Life = Life::of(3, 1, 8);
    const AFTER: Duration = Duration::from_micros(1_500_999);
    const REPLACED: Replaced = Replaced {
        slot: Slot(1),
        life: EIGHT,
        ready_after: Duration::from_millis(20),
        replaced_after: Duration::from_millis(30),
    };
    const REPLACED_JSON: &str = r#"{"slot":1,"life":"3/1/8","ready_after_ms":20,"replaced_after_ms":30}"#;

    /// Every way in which a command may be done, with what follows `"did":` in its JSON.
    fn every_done() -> Vec<(Done, String)> {
        let rolled = Rolled {
            generation: Generation(2),
            from: Generation(1),
            after: AFTER,
            slots: vec![REPLACED],
            runs_programs: false,
        };
        let rolled_json = format!(r#""generation":2,"from":1,"after_ms":1500,"slots":[{REPLACED_JSON}]"#);
        let (slot, after) = (Slot(1), AFTER);
        let (from, to, life) = (Some(SEVEN), EIGHT, None);
        let restarted = Done::Restarted {
            slot,
            from,
            to,
            after,
        };
        let version = "2.0".to_owned();
        let stopped = |outcome, counted| Done::Stopped { outcome, counted };
        vec![
            (
                Done::Reloaded(rolled.clone()),
                format!(r#""reloaded",{rolled_json}"#),
            ),
            (
                Done::RolledBack(rolled),
                format!(r#""rolled_back",{rolled_json}"#),
            ),
            (
                Done::Scaled { from: 2, to: 4 },
                r#""scaled","from":2,"to":4"#.to_owned(),
            ),
            (
                restarted,
                r#""restarted","slot":1,"from":"3/1/7","to":"3/1/8","after_ms":1500"#.to_owned(),
            ),
            (
                Done::Drained { slot, life, after },
                r#""drained","slot":1,"life":null,"after_ms":1500"#.to_owned(),
            ),
            (
                Done::Upgraded { version, after },
                r#""upgraded","to":"2.0","after_ms":1500"#.to_owned(),
            ),
            (
                stopped(Outcome::Stopped, true),
                r#""stopped","whole":true"#.to_owned(),
            ),
            (
                stopped(Outcome::Cut, true),
                r#""stopped","whole":false"#.to_owned(),
            ),
            (
                stopped(Outcome::Stopped, false),
                r#""stopped","whole":true,"counted":false"#.to_owned(),
            ),
        ]
    }

    fn assert_json(answer: ControlAnswer, json: &str) {
        let line = ControlReply::new(answer).line();
        let expected = format!("{{\"version\":1,\"answer\":{json}}}\n");
        assert_eq!(String::from_utf8(line.clone()).expect("text"), expected);
        let read_and_written = ControlReply::parse(&line).expect("a reply").line();
        assert_eq!(read_and_written, line);
    }

    /// The contract with programs that read `--json`: a change here breaks them.
    #[test]
    fn the_json_of_every_verdict_stays_what_it_is() {
        for (done, json) in every_done() {
            assert_json(ControlAnswer::Done(done), &format!(r#""done","did":{json}"#));
        }
        let failed = Failed {
            reason: "no".to_owned(),
            cause: Failure::NeverReady { life: EIGHT },
            generation: Generation(2),
            after: AFTER,
            slots: vec![REPLACED],
            stderr: vec!["last".to_owned()],
        };
        let cause = r#"{"failure":"never_ready","life":"3/1/8"}"#;
        let rest = format!(r#""generation":2,"after_ms":1500,"slots":[{REPLACED_JSON}],"stderr":["last"]"#);
        let json = format!(r#""failed","reason":"no","cause":{cause},{rest}"#);
        assert_json(ControlAnswer::Failed(Box::new(failed)), &json);
    }

    #[test]
    fn an_answer_comes_back_as_it_went_in() {
        for answer in [
            ControlAnswer::Begun,
            ControlAnswer::Done(Done::Scaled { from: 2, to: 4 }),
            ControlAnswer::Done(Done::Drained {
                slot: Slot(1),
                life: None,
                after: Duration::from_millis(u64::MAX),
            }),
            ControlAnswer::Failed(Box::new(Failed {
                reason: "no".to_owned(),
                cause: Failure::Stopped,
                generation: Generation(2),
                after: Duration::from_millis(7),
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
