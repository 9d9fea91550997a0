//! The control socket and its clients in an upgrade: a client that waits for a verdict gets it from the next
//! master binary.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::client::{ClientStage, ControlClient};
use super::server::{AcceptState, ClientId, ControlServer};
use crate::master::poller::{PollSource, Poller};
use crate::master::upgrade::{FdKind, FdNumber, HandoverFdError, HandoverFds};
use crate::sys::credentials;
use crate::sys::socket::FileId;

/// The control server without its behaviour: dropping this value closes sockets and removes no path. `F` is
/// the number of a descriptor in the written state, and the descriptor itself once the new master has taken
/// it over.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::master) struct ControlServerState<F> {
    path: PathBuf,
    file: Option<FileId>,
    listener: F,
    clients: Vec<ClientState<F>>,
    last_id: ClientId,
    accepting: AcceptState,
}

#[derive(Debug, Serialize, Deserialize)]
struct ClientState<F> {
    id: ClientId,
    stream: F,
    stage: ClientStage,
}

impl ControlServer {
    /// The state to hand over.
    pub(in crate::master) fn state(&self, fds: &mut HandoverFds) -> ControlServerState<FdNumber> {
        let client = |(id, client): (&ClientId, &ControlClient)| ClientState {
            id: *id,
            stream: fds.add(client.stream(), FdKind::Client),
            stage: client.stage().clone(),
        };
        let clients = self.clients.iter().map(client).collect();
        ControlServerState {
            path: self.path.clone(),
            file: self.file.clone(),
            listener: fds.add(&self.listener, FdKind::Listener),
            clients,
            last_id: self.last_id,
            accepting: self.accepting,
        }
    }

    /// The control server of the master before this binary.
    pub(in crate::master) fn restored(
        state: ControlServerState<OwnedFd>,
        poller: &Poller,
    ) -> io::Result<ControlServer> {
        let listener = UnixListener::from(state.listener);
        match state.accepting {
            AcceptState::Open => poller.add(&listener, PollSource::Control)?,
            AcceptState::Full | AcceptState::Paused { .. } => {}
        }
        let clients = state.clients.into_iter().map(|client| client.restored(poller));
        Ok(ControlServer {
            path: state.path,
            file: state.file,
            listener,
            clients: clients.collect::<io::Result<BTreeMap<_, _>>>()?,
            last_id: state.last_id,
            accepting: state.accepting,
        })
    }
}

impl ClientState<OwnedFd> {
    fn restored(self, poller: &Poller) -> io::Result<(ClientId, ControlClient)> {
        let stream = UnixStream::from(self.stream);
        let peer = credentials::of_peer(&stream)?;
        let client = ControlClient::restored(stream, peer, self.stage);
        poller.add(client.stream(), PollSource::Client(self.id))?;
        poller.change(client.stream(), PollSource::Client(self.id), client.interest())?;
        Ok((self.id, client))
    }
}

impl ControlServerState<FdNumber> {
    /// Takes over the sockets.
    pub(in crate::master) fn take_over(
        self,
        fds: &mut HandoverFds,
    ) -> Result<ControlServerState<OwnedFd>, HandoverFdError> {
        let listener = fds.take(self.listener, FdKind::Listener)?;
        let mut client = |client: ClientState<FdNumber>| {
            Ok(ClientState {
                id: client.id,
                stream: fds.take(client.stream, FdKind::Client)?,
                stage: client.stage,
            })
        };
        let clients = self.clients.into_iter().map(&mut client);
        Ok(ControlServerState {
            path: self.path,
            file: self.file,
            listener,
            clients: clients.collect::<Result<_, _>>()?,
            last_id: self.last_id,
            accepting: self.accepting,
        })
    }
}
