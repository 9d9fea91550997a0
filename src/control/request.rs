//! The commands of the control socket in their wire format, and their parser, which takes any bytes. Pure.

use serde::{Deserialize, Serialize};

use super::logs::OutputPosition;
use crate::base::ids::Slot;

/// Version of this protocol. It is raised when a word changes its meaning; a master refuses requests of
/// another version.
pub const VERSION: u32 = 1;

/// Largest size of a request, in bytes, without its line end: the positions of a client that follows what a
/// thousand workers print.
pub const MAX_REQUEST: usize = 32 * 1024;

/// One request: `{"version":1,"ask":"reload"}` and a line end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlRequest {
    /// The version of the protocol, [`VERSION`].
    pub version: u32,
    /// The command; the wire calls it `ask`.
    #[serde(rename = "ask")]
    pub command: ControlCommand,
    /// Whether the answer is sent when the command has ended (the default), or as soon as it has begun.
    #[serde(default = "yes")]
    pub wait: bool,
    /// How far the client of `logs` has read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<OutputPosition>,
}

fn yes() -> bool {
    true
}

/// A command to the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ControlCommand {
    /// Report the state of the cluster.
    Status,
    /// Report how the slot's last workers ended.
    Why {
        /// The number of the slot.
        slot: Slot,
    },
    /// Report what the programs printed.
    Logs {
        /// The number of one slot, or all.
        slot: Option<Slot>,
        /// The number of lines that are wanted of a life of which no position is given.
        lines: u32,
    },
    /// Read the configuration and the binary again and replace the workers.
    Reload,
    /// Return to the generation before this one.
    Rollback,
    /// Replace the master's binary by the one that is on disk now, with the same workers.
    Upgrade,
    /// Change the number of slots. The wire takes any number, so that a refusal can tell the bounds.
    Scale {
        /// The number of slots.
        to: u32,
    },
    /// Replace the slot's worker by another of the same generation.
    Restart {
        /// The number of the slot.
        slot: Slot,
    },
    /// Let the slot's worker finish what it accepted and exit; the slot stays empty.
    Drain {
        /// The number of the slot.
        slot: Slot,
    },
    /// Stop the cluster.
    Stop {
        /// Whether the workers are killed without draining.
        now: bool,
    },
}

impl ControlCommand {
    /// The command as it is typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ControlCommand::Status => "status",
            ControlCommand::Why { .. } => "why",
            ControlCommand::Logs { .. } => "logs",
            ControlCommand::Reload => "reload",
            ControlCommand::Rollback => "rollback",
            ControlCommand::Upgrade => "upgrade",
            ControlCommand::Scale { .. } => "scale",
            ControlCommand::Restart { .. } => "restart",
            ControlCommand::Drain { .. } => "drain",
            ControlCommand::Stop { .. } => "stop",
        }
    }

    /// The slot that the command names.
    #[must_use]
    pub fn slot(self) -> Option<Slot> {
        match self {
            ControlCommand::Why { slot }
            | ControlCommand::Restart { slot }
            | ControlCommand::Drain { slot } => Some(slot),
            ControlCommand::Logs { slot, .. } => slot,
            ControlCommand::Status
            | ControlCommand::Reload
            | ControlCommand::Rollback
            | ControlCommand::Upgrade
            | ControlCommand::Scale { .. }
            | ControlCommand::Stop { .. } => None,
        }
    }

    /// The number of slots that the command asks for.
    #[must_use]
    pub fn size(self) -> Option<u32> {
        match self {
            ControlCommand::Scale { to } => Some(to),
            _ => None,
        }
    }

    /// Whether the command stops the cluster without a drain; `None` when it does not stop the cluster.
    #[must_use]
    pub fn at_once(self) -> Option<bool> {
        match self {
            ControlCommand::Stop { now } => Some(now),
            _ => None,
        }
    }

    /// Whether the command may end long after it was given.
    #[must_use]
    pub fn ends_later(self) -> bool {
        match self {
            ControlCommand::Status | ControlCommand::Why { .. } | ControlCommand::Logs { .. } => false,
            ControlCommand::Reload
            | ControlCommand::Rollback
            | ControlCommand::Upgrade
            | ControlCommand::Scale { .. }
            | ControlCommand::Restart { .. }
            | ControlCommand::Drain { .. }
            | ControlCommand::Stop { .. } => true,
        }
    }
}

/// Why bytes are not a request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The line is longer than [`MAX_REQUEST`].
    #[error("the request is longer than {MAX_REQUEST} bytes; the rest is not read")]
    TooLong,
    /// The request is of another version of the protocol.
    #[error(
        "the request is of version {0}, this master understands version {VERSION}; use the program that the \
         master runs"
    )]
    Version(u64),
    /// The line is not a request.
    #[error("the line is not a request: {0}; expected one line such as {{\"version\":1,\"ask\":\"status\"}}")]
    Malformed(#[from] serde_json::Error),
}

/// The version of a line, which is read before anything else: other versions may have other fields.
pub(super) fn version_of(line: &[u8]) -> serde_json::Result<u64> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    serde_json::from_slice(line).map(|Versioned { version }| version)
}

impl ControlRequest {
    /// A request of this version that waits for the end of the command.
    #[must_use]
    pub fn new(command: ControlCommand) -> ControlRequest {
        ControlRequest {
            version: VERSION,
            command,
            wait: true,
            positions: Vec::new(),
        }
    }

    /// The request as one line, with its line end.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut line =
            serde_json::to_vec(self).expect("a request holds numbers and texts, which JSON can express");
        line.push(b'\n');
        line
    }

    /// Parses one line, without its line end.
    ///
    /// # Errors
    /// [`RequestError`] names what was read and what was expected.
    pub fn parse(line: &[u8]) -> Result<ControlRequest, RequestError> {
        if line.len() > MAX_REQUEST {
            return Err(RequestError::TooLong);
        }
        match version_of(line)? {
            version if version == u64::from(VERSION) => Ok(serde_json::from_slice(line)?),
            version => Err(RequestError::Version(version)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::ids::Life;

    const ALL: [ControlCommand; 12] = [
        ControlCommand::Status,
        ControlCommand::Why { slot: Slot(3) },
        ControlCommand::Logs {
            slot: None,
            lines: 10,
        },
        ControlCommand::Logs {
            slot: Some(Slot(3)),
            lines: 0,
        },
        ControlCommand::Reload,
        ControlCommand::Rollback,
        ControlCommand::Upgrade,
        ControlCommand::Scale { to: 4 },
        ControlCommand::Restart { slot: Slot(0) },
        ControlCommand::Drain { slot: Slot(1) },
        ControlCommand::Stop { now: true },
        ControlCommand::Stop { now: false },
    ];

    #[test]
    fn every_request_comes_back_as_it_went_in() {
        for command in ALL {
            let request = ControlRequest {
                wait: false,
                positions: vec![OutputPosition(Life::of(7, 0, 3), u64::MAX)],
                ..ControlRequest::new(command)
            };
            let line = request.line();
            assert_eq!(line.last(), Some(&b'\n'));
            assert!(!line[..line.len() - 1].contains(&b'\n'));
            assert_eq!(
                ControlRequest::parse(&line[..line.len() - 1]).expect("a request"),
                request
            );
        }
    }

    #[test]
    fn the_words_of_the_wire_stay_what_they_are() {
        let line = |command| String::from_utf8(ControlRequest::new(command).line()).expect("text");
        assert_eq!(
            line(ControlCommand::Status),
            "{\"version\":1,\"ask\":\"status\",\"wait\":true}\n"
        );
        assert_eq!(
            line(ControlCommand::Scale { to: 4 }),
            "{\"version\":1,\"ask\":{\"scale\":{\"to\":4}},\"wait\":true}\n"
        );
        let (slot, lines) = (None, 9);
        let logs = ControlRequest {
            positions: vec![OutputPosition(Life::of(7, 0, 3), 12)],
            ..ControlRequest::new(ControlCommand::Logs { slot, lines })
        };
        assert_eq!(
            String::from_utf8(logs.line()).expect("text"),
            "{\"version\":1,\"ask\":{\"logs\":{\"slot\":null,\"lines\":9}},\"wait\":true,\
             \"positions\":[[\"7/0/3\",12]]}\n"
        );
        let short = ControlRequest::parse(b"{\"version\":1,\"ask\":\"reload\"}").expect("a request");
        assert_eq!(short, ControlRequest::new(ControlCommand::Reload));
    }

    #[test]
    fn a_line_that_is_not_a_request_is_refused() {
        for text in [
            "",
            "{}",
            "null",
            "[]",
            "\"status\"",
            "{\"version\":1}",
            "{\"version\":1,\"ask\":\"explode\"}",
            "{\"version\":1,\"ask\":\"status\",\"force\":true}",
            "{\"version\":1,\"ask\":{\"why\":{\"slot\":70000}}}",
            "{\"version\":1,\"ask\":{\"why\":{\"slot\":-1}}}",
            "{\"version\":1,\"ask\":{\"scale\":{\"to\":4,\"by\":1}}}",
            "{\"version\":1,\"ask\":\"status\"} {\"version\":1,\"ask\":\"status\"}",
        ] {
            assert!(
                matches!(
                    ControlRequest::parse(text.as_bytes()),
                    Err(RequestError::Malformed(_))
                ),
                "{text} was accepted as a request"
            );
        }
        let later = ControlRequest::parse(b"{\"version\":2,\"ask\":\"dance\",\"to\":\"this\"}");
        assert!(matches!(later, Err(RequestError::Version(2))), "{later:?}");
        let deep = [b'['; MAX_REQUEST];
        assert!(matches!(
            ControlRequest::parse(&deep),
            Err(RequestError::Malformed(_))
        ));
        let long = [b' '; MAX_REQUEST + 1];
        assert!(matches!(ControlRequest::parse(&long), Err(RequestError::TooLong)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
            let _any_result = ControlRequest::parse(&bytes);
        }

        #[test]
        fn a_damaged_request_never_panics(which in 0..ALL.len(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut line = ControlRequest::new(ALL[which]).line();
            let at = at.index(line.len());
            line[at] = byte;
            let _any_result = ControlRequest::parse(&line);
        }
    }
}
