//! One client of the control socket: it says one line, and is told one. It is never waited for: what it does not say or take in
//! time cuts it. It must not know what its request means.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::Monotonic;
use crate::control::MAX_REQUEST;
use crate::sys::credentials::Peer;

/// How long a client may take to say its line, and again to take its answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A client and how far it has come.
#[derive(Debug)]
pub(super) struct Client {
    stream: UnixStream,
    peer: Peer,
    stage: Stage,
}

/// What it does now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Its line is not whole yet.
    Speaking {
        heard: Vec<u8>,
        came: Monotonic,
        until: Monotonic,
    },
    /// Its answer is not known yet.
    Waiting,
    /// It has not taken all of its answer yet.
    Listening {
        answer: Vec<u8>,
        taken: usize,
        until: Monotonic,
    },
}

/// What a client is to be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::master) enum Interest {
    /// It may say something.
    Readable,
    /// It may have gone.
    Gone,
    /// It may take more.
    Writable,
}

/// What came of a look at a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing to do yet.
    Nothing,
    /// Its line, without the end.
    Line(Vec<u8>),
    /// More than any request has.
    TooLong,
    /// It took its answer, or left.
    Over,
    /// It left in the middle of its line.
    Unfinished(usize),
}

impl Client {
    /// A client that has just come.
    pub(super) fn new(stream: UnixStream, peer: Peer, now: Monotonic) -> Client {
        let (heard, came, until) = (Vec::new(), now, now + PATIENCE);
        Client {
            stream,
            peer,
            stage: Stage::Speaking { heard, came, until },
        }
    }

    /// One that came to the master before this binary.
    pub(super) fn kept(stream: UnixStream, peer: Peer, stage: Stage) -> Client {
        Client { stream, peer, stage }
    }

    pub(super) fn stage(&self) -> &Stage {
        &self.stage
    }

    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Who it is.
    pub(super) fn peer(&self) -> Peer {
        self.peer
    }

    /// Until when it has to have done something; `None` while it is the client who waits.
    pub(super) fn deadline(&self) -> Option<Monotonic> {
        match self.stage {
            Stage::Speaking { until, .. } | Stage::Listening { until, .. } => Some(until),
            Stage::Waiting => None,
        }
    }

    /// When it came, while its request is not whole.
    pub(super) fn silent_since(&self) -> Option<Monotonic> {
        match self.stage {
            Stage::Speaking { came, .. } => Some(came),
            Stage::Waiting | Stage::Listening { .. } => None,
        }
    }

    pub(super) fn interest(&self) -> Interest {
        match self.stage {
            Stage::Speaking { .. } => Interest::Readable,
            Stage::Waiting => Interest::Gone,
            Stage::Listening { .. } => Interest::Writable,
        }
    }

    /// What it was late with, in words.
    pub(super) fn late_with(&self) -> &'static str {
        match self.stage {
            Stage::Speaking { .. } => "saying its request",
            Stage::Waiting => "nothing",
            Stage::Listening { .. } => "taking its answer",
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting)
    }

    /// It was woken.
    ///
    /// # Errors
    /// The system's, which end the conversation.
    pub(super) fn look(&mut self) -> io::Result<Heard> {
        match &mut self.stage {
            Stage::Speaking { heard, .. } => {
                let found = hear(&mut self.stream, heard)?;
                if matches!(found, Heard::Line(_)) {
                    self.stage = Stage::Waiting;
                }
                Ok(found)
            }
            // Nothing but its going wakes one that waits.
            Stage::Waiting => Ok(Heard::Over),
            Stage::Listening { .. } => self.tell(),
        }
    }

    /// Its answer is known: as much of it is said as the client takes now.
    ///
    /// # Errors
    /// The system's, which end the conversation.
    pub(super) fn answer(&mut self, answer: Vec<u8>, now: Monotonic) -> io::Result<Heard> {
        let (taken, until) = (0, now + PATIENCE);
        self.stage = Stage::Listening { answer, taken, until };
        self.tell()
    }

    fn tell(&mut self) -> io::Result<Heard> {
        let Stage::Listening { answer, taken, .. } = &mut self.stage else {
            return Ok(Heard::Nothing);
        };
        while *taken < answer.len() {
            match self.stream.write(&answer[*taken..]) {
                Ok(written) => *taken += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Heard::Nothing),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Heard::Over)
    }
}

/// Reads what there is, at most one request's worth.
fn hear(stream: &mut impl Read, heard: &mut Vec<u8>) -> io::Result<Heard> {
    let mut buffer = [0; MAX_REQUEST + 1];
    while heard.len() <= MAX_REQUEST {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(left(heard)),
            Ok(read) => heard.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Heard::Nothing),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if let Some(end) = heard.iter().position(|&byte| byte == b'\n') {
            heard.truncate(end);
            break;
        }
    }
    if heard.len() > MAX_REQUEST {
        return Ok(Heard::TooLong);
    }
    Ok(Heard::Line(std::mem::take(heard)))
}

fn left(heard: &[u8]) -> Heard {
    if heard.is_empty() {
        Heard::Over
    } else {
        Heard::Unfinished(heard.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Monotonic = Monotonic(1_000);

    fn client() -> (UnixStream, Client) {
        let (theirs, ours) = UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("set");
        let peer = crate::sys::credentials::of_peer(&ours).expect("known");
        (theirs, Client::new(ours, peer, NOW))
    }

    #[test]
    fn a_line_may_come_in_pieces_and_what_follows_it_is_nobodys() {
        let (mut theirs, mut client) = client();
        assert_eq!(client.look().expect("looked"), Heard::Nothing);
        theirs.write_all(b"{\"a\"").expect("said");
        assert_eq!(client.look().expect("looked"), Heard::Nothing);
        assert_eq!(
            (client.interest(), client.deadline()),
            (Interest::Readable, Some(NOW + PATIENCE))
        );
        theirs.write_all(b":1}\nmore").expect("said");
        assert_eq!(client.look().expect("looked"), Heard::Line(b"{\"a\":1}".to_vec()));
        assert_eq!((client.interest(), client.deadline()), (Interest::Gone, None));
    }

    #[test]
    fn a_line_without_end_is_not_read_to_its_end() {
        let (mut theirs, mut client) = client();
        theirs.write_all(&[b'x'; 3 * MAX_REQUEST]).expect("said");
        assert_eq!(client.look().expect("looked"), Heard::TooLong);
        let (mut theirs, mut client) = self::client();
        let mut longest = vec![b' '; MAX_REQUEST];
        longest.push(b'\n');
        theirs.write_all(&longest).expect("said");
        assert!(matches!(client.look().expect("looked"), Heard::Line(line) if line.len() == MAX_REQUEST));
    }

    #[test]
    fn whoever_leaves_early_is_told_apart() {
        let (theirs, mut client) = client();
        drop(theirs);
        assert_eq!(client.look().expect("looked"), Heard::Over);
        let (mut theirs, mut client) = self::client();
        theirs.write_all(b"half").expect("said");
        drop(theirs);
        assert_eq!(client.look().expect("looked"), Heard::Unfinished(4));
    }

    #[test]
    fn an_answer_that_is_not_taken_waits_until_its_deadline_and_blocks_nobody() {
        let (mut theirs, mut client) = client();
        let long = vec![b'y'; 4 << 20];
        let later = Monotonic(2_000);
        assert_eq!(client.answer(long.clone(), later).expect("begun"), Heard::Nothing);
        assert_eq!(
            (client.interest(), client.deadline()),
            (Interest::Writable, Some(later + PATIENCE))
        );
        theirs.set_nonblocking(true).expect("set");
        let mut taken = Vec::new();
        loop {
            // Reads until nothing is there, which is an error here.
            let _nothing_yet = theirs.read_to_end(&mut taken);
            if client.look().expect("looked") == Heard::Over {
                break;
            }
        }
        drop(client);
        theirs.read_to_end(&mut taken).expect("the end");
        assert!(taken == long);
    }
}
