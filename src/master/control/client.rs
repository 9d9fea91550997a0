//! One client of the control socket: it sends one line and receives one. The master never waits for it: a
//! client that does not send or receive in time is disconnected. This module must not know what a request
//! means.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::Monotonic;
use crate::control::MAX_REQUEST;
use crate::sys::credentials::Peer;

/// How long a client may take to send its request, and again to receive its answer.
pub(super) const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client and its stage.
#[derive(Debug)]
pub(super) struct ControlClient {
    stream: UnixStream,
    peer: Peer,
    stage: ClientStage,
}

/// What a client is doing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum ClientStage {
    /// Its request is not complete yet.
    Reading {
        received: Vec<u8>,
        since: Monotonic,
        until: Monotonic,
    },
    /// Its answer is not known yet.
    Waiting,
    /// It has not received its whole answer yet.
    Writing {
        answer: Vec<u8>,
        sent: usize,
        until: Monotonic,
    },
}

/// The readiness of a client that the master waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::master) enum Interest {
    /// The client may have sent something.
    Readable,
    /// The client may have disconnected.
    Gone,
    /// The client may receive more.
    Writable,
}

/// How far a client has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ClientProgress {
    /// The client is not done with its stage yet.
    Pending,
    /// Its request, without the line end.
    Line(Vec<u8>),
    /// It sent more than a request may have.
    TooLong,
    /// It received its answer, or disconnected.
    Finished,
    /// It disconnected after this many bytes of its request.
    Truncated(usize),
}

impl ControlClient {
    /// A client that has just connected.
    pub(super) fn new(stream: UnixStream, peer: Peer, now: Monotonic) -> ControlClient {
        let (received, since, until) = (Vec::new(), now, now + CLIENT_TIMEOUT);
        ControlClient {
            stream,
            peer,
            stage: ClientStage::Reading {
                received,
                since,
                until,
            },
        }
    }

    /// A client of the master before this binary.
    pub(super) fn restored(stream: UnixStream, peer: Peer, stage: ClientStage) -> ControlClient {
        ControlClient { stream, peer, stage }
    }

    pub(super) fn stage(&self) -> &ClientStage {
        &self.stage
    }

    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Its credentials.
    pub(super) fn peer(&self) -> Peer {
        self.peer
    }

    /// When its stage must have ended; `None` while the client waits for the master.
    pub(super) fn deadline(&self) -> Option<Monotonic> {
        match self.stage {
            ClientStage::Reading { until, .. } | ClientStage::Writing { until, .. } => Some(until),
            ClientStage::Waiting => None,
        }
    }

    /// When it connected, while its request is not complete.
    pub(super) fn silent_since(&self) -> Option<Monotonic> {
        match self.stage {
            ClientStage::Reading { since, .. } => Some(since),
            ClientStage::Waiting | ClientStage::Writing { .. } => None,
        }
    }

    pub(super) fn interest(&self) -> Interest {
        match self.stage {
            ClientStage::Reading { .. } => Interest::Readable,
            ClientStage::Waiting => Interest::Gone,
            ClientStage::Writing { .. } => Interest::Writable,
        }
    }

    /// What its deadline is for, in words.
    pub(super) fn late_with(&self) -> &'static str {
        match self.stage {
            ClientStage::Reading { .. } => "sending its request",
            ClientStage::Waiting => "nothing",
            ClientStage::Writing { .. } => "receiving its answer",
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.stage, ClientStage::Waiting)
    }

    /// Handles a readiness event.
    ///
    /// # Errors
    /// The error of the operating system; the client is to be disconnected then.
    pub(super) fn proceed(&mut self) -> io::Result<ClientProgress> {
        match &mut self.stage {
            ClientStage::Reading { received, .. } => {
                let progress = receive(&mut self.stream, received)?;
                if matches!(progress, ClientProgress::Line(_)) {
                    self.stage = ClientStage::Waiting;
                }
                Ok(progress)
            }
            // Only its disconnecting wakes a client that waits.
            ClientStage::Waiting => Ok(ClientProgress::Finished),
            ClientStage::Writing { .. } => self.send(),
        }
    }

    /// Sends as much of the answer as the client receives now.
    ///
    /// # Errors
    /// The error of the operating system; the client is to be disconnected then.
    pub(super) fn answer(&mut self, answer: Vec<u8>, now: Monotonic) -> io::Result<ClientProgress> {
        let (sent, until) = (0, now + CLIENT_TIMEOUT);
        self.stage = ClientStage::Writing { answer, sent, until };
        self.send()
    }

    fn send(&mut self) -> io::Result<ClientProgress> {
        let ClientStage::Writing { answer, sent, .. } = &mut self.stage else {
            return Ok(ClientProgress::Pending);
        };
        while *sent < answer.len() {
            match self.stream.write(&answer[*sent..]) {
                Ok(written) => *sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(ClientProgress::Pending);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ClientProgress::Finished)
    }
}

/// Reads what is available, at most one request.
fn receive(stream: &mut impl Read, received: &mut Vec<u8>) -> io::Result<ClientProgress> {
    let mut buffer = vec![0; MAX_REQUEST + 1];
    while received.len() <= MAX_REQUEST {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(disconnected(received)),
            Ok(read) => received.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(ClientProgress::Pending),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if let Some(end) = received.iter().position(|&byte| byte == b'\n') {
            received.truncate(end);
            break;
        }
    }
    if received.len() > MAX_REQUEST {
        return Ok(ClientProgress::TooLong);
    }
    Ok(ClientProgress::Line(std::mem::take(received)))
}

fn disconnected(received: &[u8]) -> ClientProgress {
    if received.is_empty() {
        ClientProgress::Finished
    } else {
        ClientProgress::Truncated(received.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Monotonic = Monotonic(1_000);

    fn client() -> (UnixStream, ControlClient) {
        let (theirs, ours) = UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("set");
        let peer = crate::sys::credentials::of_peer(&ours).expect("known");
        (theirs, ControlClient::new(ours, peer, NOW))
    }

    #[test]
    fn a_line_may_arrive_in_pieces_and_what_follows_it_is_ignored() {
        let (mut theirs, mut client) = client();
        assert_eq!(client.proceed().expect("no error"), ClientProgress::Pending);
        theirs.write_all(b"{\"a\"").expect("sent");
        assert_eq!(client.proceed().expect("no error"), ClientProgress::Pending);
        assert_eq!(
            (client.interest(), client.deadline()),
            (Interest::Readable, Some(NOW + CLIENT_TIMEOUT))
        );
        theirs.write_all(b":1}\nmore").expect("sent");
        assert_eq!(
            client.proceed().expect("no error"),
            ClientProgress::Line(b"{\"a\":1}".to_vec())
        );
        assert_eq!((client.interest(), client.deadline()), (Interest::Gone, None));
    }

    #[test]
    fn a_line_without_end_is_refused_at_the_limit() {
        let (mut theirs, mut client) = client();
        // In pieces, because the socket need not take it all at once.
        let mut progress = ClientProgress::Pending;
        while progress == ClientProgress::Pending {
            theirs.write_all(&[b'x'; 1000]).expect("sent");
            progress = client.proceed().expect("no error");
        }
        assert_eq!(progress, ClientProgress::TooLong);
        let (mut theirs, mut client) = self::client();
        let mut longest = vec![b' '; MAX_REQUEST];
        longest.push(b'\n');
        theirs.write_all(&longest).expect("sent");
        assert!(
            matches!(client.proceed().expect("no error"), ClientProgress::Line(line) if line.len() == MAX_REQUEST)
        );
    }

    #[test]
    fn a_client_that_disconnects_early_is_told_apart() {
        let (theirs, mut client) = client();
        drop(theirs);
        assert_eq!(client.proceed().expect("no error"), ClientProgress::Finished);
        let (mut theirs, mut client) = self::client();
        theirs.write_all(b"half").expect("sent");
        drop(theirs);
        assert_eq!(client.proceed().expect("no error"), ClientProgress::Truncated(4));
    }

    #[test]
    fn an_answer_that_is_not_received_waits_until_its_deadline_without_blocking() {
        let (mut theirs, mut client) = client();
        let long = vec![b'y'; 4 << 20];
        let later = Monotonic(2_000);
        assert_eq!(
            client.answer(long.clone(), later).expect("begun"),
            ClientProgress::Pending
        );
        assert_eq!(
            (client.interest(), client.deadline()),
            (Interest::Writable, Some(later + CLIENT_TIMEOUT))
        );
        theirs.set_nonblocking(true).expect("set");
        let mut sent = Vec::new();
        loop {
            // Reading ends with an error when nothing is available.
            let _nothing_yet = theirs.read_to_end(&mut sent);
            if client.proceed().expect("no error") == ClientProgress::Finished {
                break;
            }
        }
        drop(client);
        theirs.read_to_end(&mut sent).expect("the end");
        assert!(sent == long);
    }
}
