//! The control socket and whoever is at it, on their way to another master binary: whoever waits for a verdict gets it there.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::client::{Client, Stage};
use super::server::{ClientId, Desk, Door};
use crate::master::poller::{Source, Watch};
use crate::master::upgrade::{Fd, Luggage, LuggageError, What};
use crate::sys::credentials;
use crate::sys::socket::FileId;

/// As it is written down.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::master) struct PackedDesk {
    path: PathBuf,
    file: Option<FileId>,
    listener: Fd,
    clients: Vec<PackedClient>,
    last: ClientId,
    door: Door,
}

#[derive(Debug, Serialize, Deserialize)]
struct PackedClient {
    id: ClientId,
    stream: Fd,
    stage: Stage,
}

/// As it was read; nothing is watched yet.
pub(in crate::master) struct UnpackedDesk {
    path: PathBuf,
    file: Option<FileId>,
    listener: OwnedFd,
    clients: Vec<(ClientId, OwnedFd, Stage)>,
    last: ClientId,
    door: Door,
}

impl Desk {
    /// Writes everybody down.
    pub(in crate::master) fn pack(&self, luggage: &mut Luggage) -> PackedDesk {
        let pack = |(id, client): (&ClientId, &Client)| PackedClient {
            id: *id,
            stream: luggage.pack(client.stream(), What::Client),
            stage: client.stage().clone(),
        };
        let clients = self.clients.iter().map(pack).collect();
        PackedDesk {
            path: self.path.clone(),
            file: self.file.clone(),
            listener: luggage.pack(&self.listener, What::Listener),
            clients,
            last: self.last,
            door: self.door,
        }
    }

    /// Goes on with them.
    pub(in crate::master) fn kept(unpacked: UnpackedDesk, watch: &Watch) -> io::Result<Desk> {
        let listener = UnixListener::from(unpacked.listener);
        match unpacked.door {
            Door::Open => watch.add(&listener, Source::Control)?,
            Door::Full | Door::Shut { .. } => {}
        }
        let mut clients = BTreeMap::new();
        for (id, stream, stage) in unpacked.clients {
            let stream = UnixStream::from(stream);
            let peer = credentials::of_peer(&stream)?;
            let client = Client::kept(stream, peer, stage);
            watch.add(client.stream(), Source::Client(id))?;
            watch.change(client.stream(), Source::Client(id), client.interest())?;
            clients.insert(id, client);
        }
        Ok(Desk {
            path: unpacked.path,
            file: unpacked.file,
            listener,
            clients,
            last: unpacked.last,
            door: unpacked.door,
            complained: false,
        })
    }
}

impl PackedDesk {
    /// Takes the sockets over.
    pub(in crate::master) fn unpack(self, luggage: &mut Luggage) -> Result<UnpackedDesk, LuggageError> {
        let listener = luggage.unpack(self.listener, What::Listener)?;
        let mut client = |packed: PackedClient| {
            let stream = luggage.unpack(packed.stream, What::Client)?;
            Ok((packed.id, stream, packed.stage))
        };
        Ok(UnpackedDesk {
            path: self.path,
            file: self.file,
            listener,
            clients: self
                .clients
                .into_iter()
                .map(&mut client)
                .collect::<Result<_, _>>()?,
            last: self.last,
            door: self.door,
        })
    }
}
