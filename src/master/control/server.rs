//! The server of the control socket. Its clients are bounded in number, each has a deadline, and none can
//! block the master. It turns lines into requests and answers into lines; it must not know what the requests
//! mean.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::{debug, warn};

use super::client::{ClientProgress, ControlClient};
use crate::base::time::Monotonic;
use crate::control::{ControlAnswer, ControlCommand, ControlReply, ControlRequest};
use crate::master::poller::{PollSource, Poller};
use crate::master::report::lost_sockets::LostSockets;
use crate::sys::credentials::Peer;
use crate::sys::socket::FileId;
use crate::sys::{clock, private_file, socket};

/// Largest number of clients at once. A further client replaces one that has not sent its request yet, or
/// waits in the socket's queue.
pub(super) const MAX_CLIENTS: usize = 16;
/// A client is not evicted for a new one within this grace period, so that a client that sends its request at
/// once is served.
pub(super) const REQUEST_GRACE: Duration = Duration::from_millis(500);
/// Largest number of clients that wait for the end of a long command, so that `status` is always possible.
const MAX_WAITING: usize = 12;

/// So many more may wait for the end of a stop, which no other command is to prevent.
const WAITING_FOR_STOP: usize = 2;

/// The mode of the socket: only the master's user may connect.
const SOCKET_MODE: u32 = 0o600;

/// The number of a client; unique while this master runs, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::master) struct ClientId(pub(in crate::master) u64);

/// The control socket and its clients.
#[derive(Debug)]
pub(in crate::master) struct ControlServer {
    pub(super) path: PathBuf,
    /// The socket file at the path; `None` when it had been removed already.
    pub(super) file: Option<FileId>,
    pub(super) listener: UnixListener,
    pub(super) clients: BTreeMap<ClientId, ControlClient>,
    pub(super) last_id: ClientId,
    pub(super) accepting: AcceptState,
}

/// Whether clients are accepted. The socket is polled only while it is open; otherwise waiting clients would
/// wake the master for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum AcceptState {
    Open,
    /// No client is accepted until one leaves.
    Full,
    /// No client is accepted until then: no descriptor was free, or no client can be evicted yet.
    Paused {
        until: Monotonic,
    },
}

impl ControlServer {
    /// Listens at a path in the run directory, which only this user may enter.
    ///
    /// # Errors
    /// The error of the operating system.
    pub(in crate::master) fn open(path: &Path, poller: &Poller) -> io::Result<ControlServer> {
        let listener = UnixListener::from(socket::listen_unix(path, SOCKET_MODE)?);
        poller.add(&listener, PollSource::Control)?;
        Ok(ControlServer {
            path: path.to_owned(),
            file: FileId::at(path).ok(),
            listener,
            clients: BTreeMap::new(),
            last_id: ClientId(0),
            accepting: AcceptState::Open,
        })
    }

    /// Binds the path again if the socket file was removed or replaced, for example by a program that cleans
    /// up: otherwise this master could not be asked anything until it is stopped. To be called at each
    /// sampling of the workers.
    pub(in crate::master) fn rebind_if_removed(&mut self, poller: &Poller, lost: &mut LostSockets) {
        if self.file.as_ref().is_some_and(FileId::is_there) {
            return;
        }
        let bound = self.rebind(poller);
        lost.report(&format!("the control socket {}", self.path.display()), &bound);
    }

    /// Binds the path again. The clients stay connected.
    fn rebind(&mut self, poller: &Poller) -> io::Result<()> {
        // Somebody may have removed the whole directory.
        if let Some(directory) = self.path.parent() {
            private_file::create_directories(directory)?;
        }
        let listener = UnixListener::from(socket::listen_unix(&self.path, SOCKET_MODE)?);
        match self.accepting {
            AcceptState::Open => poller.add(&listener, PollSource::Control)?,
            // It is polled once clients are accepted again.
            AcceptState::Full | AcceptState::Paused { .. } => {}
        }
        // Closing the old listener removes it from the poller.
        self.listener = listener;
        self.file = FileId::at(&self.path).ok();
        Ok(())
    }

    /// Handles a readiness event of a client; returns its request once that is complete.
    pub(in crate::master) fn read_request(
        &mut self,
        id: ClientId,
        poller: &Poller,
    ) -> Option<ControlRequest> {
        let progress = self.clients.get_mut(&id)?.proceed();
        match progress {
            Ok(ClientProgress::Line(line)) => self.parse(id, &line, poller),
            other => {
                self.proceed(id, other, poller);
                None
            }
        }
    }

    fn parse(&mut self, id: ClientId, line: &[u8], poller: &Poller) -> Option<ControlRequest> {
        let request = ControlRequest::parse(line).map_err(|error| error.to_string());
        let waiting = self.clients.values().filter(|client| client.is_waiting()).count();
        match request {
            Ok(request) if waiting > most_waiting(request.command) => {
                let reason =
                    format!("{MAX_WAITING} clients already wait for the end of a command; ask again later");
                self.refuse(id, reason, poller);
                None
            }
            Ok(request) => {
                // Until its answer is known, only its disconnecting is of interest.
                self.proceed(id, Ok(ClientProgress::Pending), poller);
                Some(request)
            }
            Err(reason) => {
                warn!(
                    "refused a control client's line of {} bytes: {reason}",
                    line.len()
                );
                self.refuse(id, reason, poller);
                None
            }
        }
    }

    fn refuse(&mut self, id: ClientId, reason: String, poller: &Poller) {
        self.answer(id, ControlAnswer::Refused { reason }, poller);
    }

    /// Sends a client its answer; does nothing when the client has left.
    pub(in crate::master) fn answer(&mut self, id: ClientId, answer: ControlAnswer, poller: &Poller) {
        if let Some(client) = self.clients.get_mut(&id) {
            let progress = client.answer(ControlReply::new(answer).line(), clock::now());
            self.proceed(id, progress, poller);
        }
    }

    /// The credentials of a client, while it is connected.
    pub(in crate::master) fn peer(&self, id: ClientId) -> Option<Peer> {
        self.clients.get(&id).map(ControlClient::peer)
    }

    /// Whether the client is still connected and has no answer yet.
    pub(in crate::master) fn is_waiting(&self, id: ClientId) -> bool {
        self.clients.get(&id).is_some_and(ControlClient::is_waiting)
    }

    fn proceed(&mut self, id: ClientId, progress: io::Result<ClientProgress>, poller: &Poller) {
        match progress {
            Ok(ClientProgress::Pending | ClientProgress::Line(_)) => self.update_interest(id, poller),
            Ok(ClientProgress::Finished) => self.leave(id, poller),
            Ok(ClientProgress::TooLong) => {
                warn!(
                    "disconnected a control client: its request is longer than {} bytes",
                    crate::control::MAX_REQUEST
                );
                let reason = crate::control::RequestError::TooLong.to_string();
                self.refuse(id, reason, poller);
            }
            Ok(ClientProgress::Truncated(bytes)) => {
                warn!("a control client disconnected after {bytes} bytes of a request");
                self.leave(id, poller);
            }
            Err(error) => {
                debug!("a control client disconnected: {error}");
                self.leave(id, poller);
            }
        }
    }

    fn update_interest(&mut self, id: ClientId, poller: &Poller) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        if let Err(error) = poller.change(client.stream(), PollSource::Client(id), client.interest()) {
            warn!("failed to poll a control client: {error}");
            self.leave(id, poller);
        }
    }

    fn leave(&mut self, id: ClientId, poller: &Poller) {
        // Closing its descriptor removes it from the poller.
        self.clients.remove(&id);
        match self.accepting {
            AcceptState::Full => self.resume(poller),
            AcceptState::Open | AcceptState::Paused { .. } => {}
        }
    }

    /// The earliest deadline of a client or of a paused socket.
    pub(in crate::master) fn deadline(&self) -> Option<Monotonic> {
        let resume_at = match self.accepting {
            AcceptState::Paused { until } => Some(until),
            AcceptState::Open | AcceptState::Full => None,
        };
        self.clients
            .values()
            .filter_map(ControlClient::deadline)
            .chain(resume_at)
            .min()
    }

    /// Disconnects clients whose deadline has passed, and accepts clients again once a pause is over.
    pub(in crate::master) fn expire(&mut self, now: Monotonic, poller: &Poller) {
        if matches!(self.accepting, AcceptState::Paused { until } if until <= now) {
            self.resume(poller);
        }
        let late = |client: &ControlClient| client.deadline().is_some_and(|deadline| deadline <= now);
        let late: Vec<ClientId> = self
            .clients
            .iter()
            .filter(|(_, client)| late(client))
            .map(|(&id, _)| id)
            .collect();
        for id in late {
            if let Some(client) = self.clients.get(&id) {
                warn!(
                    "disconnected a control client that was too slow in {}",
                    client.late_with()
                );
            }
            self.leave(id, poller);
        }
    }
}

impl Drop for ControlServer {
    /// Removes the socket file, unless another program's socket is at the path by now. If it cannot be
    /// removed, the next master replaces it.
    fn drop(&mut self) {
        let _ = self.file.as_ref().map(FileId::remove);
    }
}

/// The largest number of clients that wait, this one included, at which the command is carried out.
fn most_waiting(command: ControlCommand) -> usize {
    match command {
        ControlCommand::Stop { .. } => MAX_WAITING + WAITING_FOR_STOP,
        command if command.ends_later() => MAX_WAITING,
        _ => MAX_CLIENTS,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_full_server_accepts_a_client_again_when_one_leaves() {
        let directory = tempfile::tempdir().expect("a directory");
        let poller = Poller::new().expect("a poller");
        let path = directory.path().join("control.sock");
        let mut server = ControlServer::open(&path, &poller).expect("a server");
        let mut clients: Vec<UnixStream> = (0..MAX_CLIENTS + 2)
            .map(|_| {
                let mut client = UnixStream::connect(&path).expect("connected");
                client
                    .write_all(b"{\"version\":1,\"ask\":\"status\"}\n")
                    .expect("sent");
                client
            })
            .collect();
        let now = Monotonic(1);
        server.accept_clients(now, &poller);
        for id in 1..=MAX_CLIENTS as u64 {
            server.read_request(ClientId(id), &poller).expect("a request");
        }
        server.expire(now + REQUEST_GRACE, &poller);
        server.accept_clients(now + REQUEST_GRACE, &poller);
        assert!(server.accepting == AcceptState::Full && server.clients.len() == MAX_CLIENTS);
        drop(clients.remove(0));
        let woken = poller
            .wait(Some(std::time::Duration::from_secs(10)))
            .expect("waited");
        assert_eq!(woken, [PollSource::Client(ClientId(1))]);
        assert_eq!(server.read_request(ClientId(1), &poller), None);
        assert!(server.accepting == AcceptState::Open && server.clients.len() == MAX_CLIENTS - 1);
    }

    #[test]
    fn clients_that_wait_for_a_long_command_leave_room_for_a_stop_and_for_status() {
        let directory = tempfile::tempdir().expect("a directory");
        let poller = Poller::new().expect("a poller");
        let path = directory.path().join("control.sock");
        let mut server = ControlServer::open(&path, &poller).expect("a server");
        let mut clients = Vec::new();
        let mut asked = |server: &mut ControlServer, ask: &str| {
            let mut client = UnixStream::connect(&path).expect("connected");
            let line = format!("{{\"version\":1,\"ask\":{ask}}}\n");
            client.write_all(line.as_bytes()).expect("sent");
            clients.push(client);
            server.accept_clients(Monotonic(1), &poller);
            let id = server.last_id;
            server.read_request(id, &poller).is_some()
        };
        for _ in 0..MAX_WAITING {
            assert!(asked(&mut server, "\"reload\""));
        }
        assert!(!asked(&mut server, "\"reload\""), "too many wait");
        assert!(asked(&mut server, "{\"stop\":{\"now\":false}}"));
        assert!(asked(&mut server, "\"status\""));
    }

    #[test]
    fn a_silent_client_is_evicted_for_a_new_one_after_the_grace_period() {
        let directory = tempfile::tempdir().expect("a directory");
        let poller = Poller::new().expect("a poller");
        let path = directory.path().join("control.sock");
        let mut server = ControlServer::open(&path, &poller).expect("a server");
        let _clients: Vec<UnixStream> = (0..MAX_CLIENTS + 2)
            .map(|_| UnixStream::connect(&path).expect("connected"))
            .collect();
        let now = Monotonic(1);
        let first = |server: &ControlServer| *server.clients.keys().next().expect("a client");
        server.accept_clients(now, &poller);
        let until = now + REQUEST_GRACE;
        assert!(server.accepting == AcceptState::Paused { until } && server.clients.len() == MAX_CLIENTS);
        assert!(first(&server) == ClientId(1) && server.deadline() == Some(until));
        server.expire(until, &poller);
        server.accept_clients(until, &poller);
        assert!(server.accepting == AcceptState::Open && server.clients.len() == MAX_CLIENTS);
        assert_eq!(first(&server), ClientId(3));
        server.expire(server.deadline().expect("a deadline"), &poller);
        assert!(server.clients.len() < MAX_CLIENTS, "none was disconnected");
    }

    #[test]
    fn a_removed_socket_is_bound_again_and_its_clients_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let poller = Poller::new().expect("a poller");
        let path = directory.path().join("control.sock");
        let mut server = ControlServer::open(&path, &poller).expect("a server");
        let _before = UnixStream::connect(&path).expect("connected");
        server.accept_clients(Monotonic(1), &poller);
        std::fs::remove_file(&path).expect("removed");
        server.rebind_if_removed(&poller, &mut LostSockets::default());
        let _after = UnixStream::connect(&path).expect("connected");
        let woken = poller.wait(Some(Duration::from_secs(10))).expect("waited");
        assert_eq!(woken, [PollSource::Control]);
        server.accept_clients(Monotonic(2), &poller);
        assert_eq!(server.clients.len(), 2);
        let file = server.file.clone();
        server.rebind_if_removed(&poller, &mut LostSockets::default());
        assert_eq!(server.file, file, "a socket that is there is not bound again");
        let run_dir = path.parent().expect("a directory");
        std::fs::remove_dir_all(run_dir).expect("removed");
        server.rebind_if_removed(&poller, &mut LostSockets::default());
        let _again = UnixStream::connect(&path).expect("the directory was made again");
        let mode = run_dir.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_living_masters_socket_is_kept_and_a_dead_ones_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let poller = Poller::new().expect("a poller");
        let path = directory.path().join("control.sock");
        let server = ControlServer::open(&path, &poller).expect("a server");
        assert!(ControlServer::open(&path, &poller).is_err());
        drop(server);
        assert!(!path.exists());
        let mut server = ControlServer::open(&path, &poller).expect("a server");
        std::fs::remove_file(&path).expect("removed");
        let _theirs = UnixListener::bind(&path).expect("bound by another");
        let mut lost = LostSockets::default();
        server.rebind_if_removed(&poller, &mut lost);
        let name = format!("the control socket {}", path.display());
        assert!(lost.has(&name), "a program answers there, so it is not replaced");
        drop(server);
        assert!(path.exists(), "it belongs to another");
    }
}
