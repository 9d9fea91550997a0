//! Accepting control clients: only those of the master's user or root, only as many as there is room for.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tracing::{debug, warn};

use super::client::ControlClient;
use super::server::{AcceptState, ClientId, ControlServer, MAX_CLIENTS, REQUEST_GRACE};
use crate::base::time::{Monotonic, span};
use crate::master::poller::{PollSource, Poller};
use crate::sys::credentials::{self, Peer};

/// How long no client is accepted after accepting one has failed.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

impl ControlServer {
    /// Accepts waiting clients, as far as there is room or a silent client can be evicted.
    pub(in crate::master) fn accept_clients(&mut self, now: Monotonic, poller: &Poller) {
        loop {
            let silent = self.longest_silent();
            if self.clients.len() >= MAX_CLIENTS {
                match silent {
                    None => return self.pause(AcceptState::Full, poller),
                    Some((_, since)) if now < since + REQUEST_GRACE => {
                        let until = since + REQUEST_GRACE;
                        return self.pause(AcceptState::Paused { until }, poller);
                    }
                    Some(_) => {}
                }
            }
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if let Some((id, _)) = silent.filter(|_| self.clients.len() >= MAX_CLIENTS) {
                        debug!("evicted a control client that has sent no request, for another client");
                        self.clients.remove(&id);
                    }
                    self.add_client(stream, now, poller);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    warn!(
                        "failed to accept a control client: {error}; the next attempt is in {}",
                        span(ACCEPT_RETRY)
                    );
                    let until = now + ACCEPT_RETRY;
                    return self.pause(AcceptState::Paused { until }, poller);
                }
            }
        }
    }

    /// The client that has been connected longest without a complete request, and since when.
    fn longest_silent(&self) -> Option<(ClientId, Monotonic)> {
        self.clients
            .iter()
            .find_map(|(id, client)| Some((*id, client.silent_since()?)))
    }

    fn pause(&mut self, accepting: AcceptState, poller: &Poller) {
        match poller.remove(&self.listener) {
            Ok(()) => self.accepting = accepting,
            Err(error) => warn!("failed to pause the control socket: {error}"),
        }
    }

    pub(super) fn resume(&mut self, poller: &Poller) {
        match poller.add(&self.listener, PollSource::Control) {
            Ok(()) => self.accepting = AcceptState::Open,
            Err(error) => warn!("failed to resume the control socket: {error}"),
        }
    }

    fn add_client(&mut self, stream: UnixStream, now: Monotonic, poller: &Poller) {
        let id = ClientId(self.last_id.0 + 1);
        let added = authorized_peer(&stream).and_then(|peer| {
            stream.set_nonblocking(true)?;
            poller.add(&stream, PollSource::Client(id))?;
            Ok(peer)
        });
        match added {
            Ok(peer) => {
                self.last_id = id;
                self.clients.insert(id, ControlClient::new(stream, peer, now));
            }
            Err(error) => warn!("refused a control client: {error}"),
        }
    }
}

/// The credentials of a client that may give commands. The socket's mode admits no other user; this check
/// holds even when the mode was changed.
fn authorized_peer(stream: &UnixStream) -> io::Result<Peer> {
    let (peer, own) = (credentials::of_peer(stream)?, nix::unistd::geteuid().as_raw());
    if may_control(peer.uid, own) {
        return Ok(peer);
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "user {} (pid {}) may not control a master of user {own}",
            peer.uid, peer.pid
        ),
    ))
}

fn may_control(uid: u32, own: u32) -> bool {
    uid == own || uid == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_masters_own_user_and_root_may_give_commands() {
        assert!(may_control(1000, 1000) && may_control(0, 1000) && may_control(0, 0));
        assert!(!may_control(1001, 1000) && !may_control(1000, 0));
    }
}
