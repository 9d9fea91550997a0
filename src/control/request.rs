//! What can be asked, as it stands on the wire, and its parsing from bytes that anybody may have sent. Pure.

use serde::{Deserialize, Serialize};

use crate::base::ids::Slot;

/// Of this conversation. Raised when a word changes its meaning; a master that reads another one says so and does nothing.
pub const VERSION: u32 = 1;

/// No request is longer, in bytes, its line end not counted.
pub const MAX_REQUEST: usize = 4096;

/// One request: `{"version":1,"ask":"reload"}` and a line end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// What is asked.
    pub ask: Ask,
    /// Whether the reply is wanted when what was asked has ended (left out: yes), or as soon as it has begun.
    #[serde(default = "yes")]
    pub wait: bool,
}

fn yes() -> bool {
    true
}

/// What can be asked of a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// How everything is now.
    Status,
    /// How the slot's last lives ended.
    Why {
        /// Which.
        slot: Slot,
    },
    /// Read the configuration and the binary again and replace the workers.
    Reload,
    /// Return to the generation before this one.
    Rollback,
    /// Have the master run the binary that is on disk now, with the same workers.
    Upgrade,
    /// Have this many slots. Any number can be asked for, so that the refusal can tell the bounds.
    Scale {
        /// How many.
        to: u32,
    },
    /// Replace the slot's worker by another of the same generation.
    Restart {
        /// Which.
        slot: Slot,
    },
    /// Let the slot's worker finish what it accepted and go, for another to take its place.
    Drain {
        /// Which.
        slot: Slot,
    },
    /// End the cluster.
    Stop {
        /// Without draining.
        now: bool,
    },
}

impl Ask {
    /// Whether its end may come long after it was asked.
    #[must_use]
    pub fn ends_later(self) -> bool {
        match self {
            Ask::Status | Ask::Why { .. } => false,
            Ask::Reload
            | Ask::Rollback
            | Ask::Upgrade
            | Ask::Scale { .. }
            | Ask::Restart { .. }
            | Ask::Drain { .. }
            | Ask::Stop { .. } => true,
        }
    }
}

/// Why bytes are no request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Longer than any request.
    #[error("the request is longer than {MAX_REQUEST} bytes; it is not read further")]
    TooLong,
    /// Written by another version of this program.
    #[error(
        "the request is of version {0}, this master speaks version {VERSION}; use the program that the master runs"
    )]
    Version(u64),
    /// Anything else.
    #[error("the request is none: {0}; expected one line such as {{\"version\":1,\"ask\":\"status\"}}")]
    Unknown(#[from] serde_json::Error),
}

/// Only this is looked at before the version is known to be ours.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

impl Request {
    /// A request of this version that waits for the end of what it asks for.
    #[must_use]
    pub fn new(ask: Ask) -> Request {
        Request {
            version: VERSION,
            ask,
            wait: true,
        }
    }

    /// As one line, its end included.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut line =
            serde_json::to_vec(self).expect("a request holds numbers and words, which JSON can say");
        line.push(b'\n');
        line
    }

    /// Understands one line, without its end.
    ///
    /// # Errors
    /// [`RequestError`] says what was expected.
    pub fn parse(line: &[u8]) -> Result<Request, RequestError> {
        if line.len() > MAX_REQUEST {
            return Err(RequestError::TooLong);
        }
        match serde_json::from_slice::<Versioned>(line)?.version {
            version if version == u64::from(VERSION) => Ok(serde_json::from_slice(line)?),
            version => Err(RequestError::Version(version)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Ask; 10] = [
        Ask::Status,
        Ask::Why { slot: Slot(3) },
        Ask::Reload,
        Ask::Rollback,
        Ask::Upgrade,
        Ask::Scale { to: 4 },
        Ask::Restart { slot: Slot(0) },
        Ask::Drain { slot: Slot(1) },
        Ask::Stop { now: true },
        Ask::Stop { now: false },
    ];

    #[test]
    fn every_request_comes_back_as_it_went_in() {
        for ask in ALL {
            let request = Request {
                wait: false,
                ..Request::new(ask)
            };
            let line = request.line();
            assert_eq!(line.last(), Some(&b'\n'));
            assert!(!line[..line.len() - 1].contains(&b'\n'));
            assert_eq!(
                Request::parse(&line[..line.len() - 1]).expect("a request"),
                request
            );
        }
    }

    #[test]
    fn the_words_of_the_wire_stay_what_they_are() {
        let line = |ask| String::from_utf8(Request::new(ask).line()).expect("text");
        assert_eq!(
            line(Ask::Status),
            "{\"version\":1,\"ask\":\"status\",\"wait\":true}\n"
        );
        assert_eq!(
            line(Ask::Scale { to: 4 }),
            "{\"version\":1,\"ask\":{\"scale\":{\"to\":4}},\"wait\":true}\n"
        );
        let short = Request::parse(b"{\"version\":1,\"ask\":\"reload\"}").expect("a request");
        assert_eq!(short, Request::new(Ask::Reload));
    }

    #[test]
    fn what_is_no_request_is_told_apart() {
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
                matches!(Request::parse(text.as_bytes()), Err(RequestError::Unknown(_))),
                "{text} was taken for a request"
            );
        }
        let later = Request::parse(b"{\"version\":2,\"ask\":\"dance\",\"to\":\"this\"}");
        assert!(matches!(later, Err(RequestError::Version(2))), "{later:?}");
        let deep = [b'['; MAX_REQUEST];
        assert!(matches!(Request::parse(&deep), Err(RequestError::Unknown(_))));
        let long = [b' '; MAX_REQUEST + 1];
        assert!(matches!(Request::parse(&long), Err(RequestError::TooLong)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
            let _refused_or_not = Request::parse(&bytes);
        }

        #[test]
        fn a_damaged_request_never_panics(which in 0..ALL.len(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut line = Request::new(ALL[which]).line();
            let at = at.index(line.len());
            line[at] = byte;
            let _refused_or_not = Request::parse(&line);
        }
    }
}
