//! The control socket and everybody at it: bounded in number, each with a deadline, none able to hold up the master. It turns
//! lines into requests and answers into lines, and must not know what lies between.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::{debug, warn};

use super::client::{Client, Heard};
use crate::base::time::Monotonic;
use crate::control::{ControlAnswer, ControlReply, ControlRequest};
use crate::master::poller::{Source, Watch};
use crate::sys::credentials::{self, Peer};
use crate::sys::socket::FileId;
use crate::sys::{clock, socket};

/// How many clients may be at the desk at once; the next ones take the place of whoever has said no request yet, or wait in the
/// socket's queue.
const PLACES: usize = 16;
/// Nobody goes for a newcomer before that: whoever says a request at once is heard.
const GRACE: Duration = Duration::from_millis(50);
/// Of those, how many may wait for the end of something long, so that `status` always finds a place.
const WAITING: usize = 12;

/// The socket's mode: it is this user's alone.
const PRIVATE: u32 = 0o600;

/// Names one client for as long as this master lives; never 0, never given out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::master) struct ClientId(pub(in crate::master) u64);

/// The socket and its clients.
#[derive(Debug)]
pub(in crate::master) struct Desk {
    pub(super) path: PathBuf,
    /// The socket file there; none when it was gone already.
    pub(super) file: Option<FileId>,
    pub(super) listener: UnixListener,
    pub(super) clients: BTreeMap<ClientId, Client>,
    pub(super) last: ClientId,
    pub(super) door: Door,
    /// It was said that the socket is gone and cannot be made again.
    pub(super) complained: bool,
}

/// Whether anybody is let in. The socket is watched while it is open, and only then: whoever waits outside would wake the master
/// for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Door {
    Open,
    /// Until somebody leaves.
    Full,
    /// Until then: the system had no descriptor for the next one, or nobody here has been silent for long enough.
    Shut {
        until: Monotonic,
    },
}

/// How long the door stays shut.
const SHUT_FOR: Duration = Duration::from_secs(1);

impl Desk {
    /// Listens at a path in the run directory, which is this user's alone.
    ///
    /// # Errors
    /// The system's.
    pub(in crate::master) fn open(path: &Path, watch: &Watch) -> io::Result<Desk> {
        let listener = UnixListener::from(socket::listen_unix(path, PRIVATE)?);
        watch.add(&listener, Source::Control)?;
        Ok(Desk {
            path: path.to_owned(),
            file: FileId::at(path).ok(),
            listener,
            clients: BTreeMap::new(),
            last: ClientId(0),
            door: Door::Open,
            complained: false,
        })
    }

    /// Listens at the path again if the socket there is gone or is another one (somebody cleaned up): otherwise nobody could ask
    /// anything of this master until it is stopped. To be called with each look at the workers.
    pub(in crate::master) fn mend(&mut self, watch: &Watch) {
        if self.file.as_ref().is_some_and(FileId::is_there) {
            return;
        }
        let made = self.listen_again(watch);
        let path = self.path.display();
        match made {
            Ok(()) => {
                self.complained = false;
                warn!("the control socket {path} was gone, and is made again");
            }
            Err(error) if !std::mem::replace(&mut self.complained, true) => {
                warn!(
                    "the control socket {path} is gone: failed to make it again: {error}; tried with each look at the workers"
                );
            }
            Err(_) => {}
        }
    }

    /// Whoever is at the desk stays.
    fn listen_again(&mut self, watch: &Watch) -> io::Result<()> {
        let listener = UnixListener::from(socket::listen_unix(&self.path, PRIVATE)?);
        match self.door {
            Door::Open => watch.add(&listener, Source::Control)?,
            // It is watched when the door opens.
            Door::Full | Door::Shut { .. } => {}
        }
        // The old one leaves the watch as it is closed.
        self.listener = listener;
        self.file = FileId::at(&self.path).ok();
        Ok(())
    }

    /// Lets in who waits outside, as far as there is room or somebody has not said a request for a while.
    pub(in crate::master) fn welcome(&mut self, now: Monotonic, watch: &Watch) {
        loop {
            let silent = self.first_silent();
            if self.clients.len() >= PLACES {
                match silent {
                    None => return self.close(Door::Full, watch),
                    Some((_, came)) if now < came + GRACE => {
                        let until = came + GRACE;
                        return self.close(Door::Shut { until }, watch);
                    }
                    Some(_) => {}
                }
            }
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if let Some((id, _)) = silent.filter(|_| self.clients.len() >= PLACES) {
                        debug!("a control client that says nothing goes for another one");
                        self.clients.remove(&id);
                    }
                    self.seat(stream, now, watch);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    warn!("failed to let a control client in: {error}; the next try is in {SHUT_FOR:?}");
                    let until = now + SHUT_FOR;
                    return self.close(Door::Shut { until }, watch);
                }
            }
        }
    }

    /// Who has been here longest of those whose request is not whole, and since when.
    fn first_silent(&self) -> Option<(ClientId, Monotonic)> {
        self.clients
            .iter()
            .find_map(|(id, client)| Some((*id, client.silent_since()?)))
    }

    fn close(&mut self, door: Door, watch: &Watch) {
        match watch.remove(&self.listener) {
            Ok(()) => self.door = door,
            Err(error) => warn!("failed to leave the control socket alone for a while: {error}"),
        }
    }

    fn reopen(&mut self, watch: &Watch) {
        match watch.add(&self.listener, Source::Control) {
            Ok(()) => self.door = Door::Open,
            Err(error) => warn!("failed to listen on the control socket again: {error}"),
        }
    }

    fn seat(&mut self, stream: UnixStream, now: Monotonic, watch: &Watch) {
        let id = ClientId(self.last.0 + 1);
        let seated = welcome_at(&stream).and_then(|peer| {
            stream.set_nonblocking(true)?;
            watch.add(&stream, Source::Client(id))?;
            Ok(peer)
        });
        match seated {
            Ok(peer) => {
                self.last = id;
                self.clients.insert(id, Client::new(stream, peer, now));
            }
            Err(error) => warn!("turned a control client away: {error}"),
        }
    }

    /// A client was woken: its request, when that is whole.
    pub(in crate::master) fn hear(&mut self, id: ClientId, watch: &Watch) -> Option<ControlRequest> {
        let looked = self.clients.get_mut(&id)?.look();
        match looked {
            Ok(Heard::Line(line)) => self.understand(id, &line, watch),
            other => {
                self.follow_up(id, other, watch);
                None
            }
        }
    }

    fn understand(&mut self, id: ClientId, line: &[u8], watch: &Watch) -> Option<ControlRequest> {
        let request = ControlRequest::parse(line).map_err(|error| error.to_string());
        let crowded = self.clients.values().filter(|client| client.is_waiting()).count() > WAITING;
        match request {
            Ok(request) if crowded && request.command.ends_later() => {
                let reason =
                    format!("{WAITING} clients wait for the end of something already; ask again later");
                self.refuse(id, reason, watch);
                None
            }
            Ok(request) => {
                // Until its answer is known, only its leaving is of interest.
                self.follow_up(id, Ok(Heard::Nothing), watch);
                Some(request)
            }
            Err(reason) => {
                warn!(
                    "refused a control client's line of {} bytes: {reason}",
                    line.len()
                );
                self.refuse(id, reason, watch);
                None
            }
        }
    }

    fn refuse(&mut self, id: ClientId, reason: String, watch: &Watch) {
        self.answer(id, ControlAnswer::Refused { reason }, watch);
    }

    /// Tells a client its answer; nothing to do when it has left.
    pub(in crate::master) fn answer(&mut self, id: ClientId, answer: ControlAnswer, watch: &Watch) {
        if let Some(client) = self.clients.get_mut(&id) {
            let told = client.answer(ControlReply::new(answer).line(), clock::now());
            self.follow_up(id, told, watch);
        }
    }

    /// Who that client is, while it is here.
    pub(in crate::master) fn peer(&self, id: ClientId) -> Option<Peer> {
        self.clients.get(&id).map(Client::peer)
    }

    /// Whether that client is still here and has no answer yet.
    pub(in crate::master) fn awaits(&self, id: ClientId) -> bool {
        self.clients.get(&id).is_some_and(Client::is_waiting)
    }

    fn follow_up(&mut self, id: ClientId, found: io::Result<Heard>, watch: &Watch) {
        match found {
            Ok(Heard::Nothing | Heard::Line(_)) => self.watch_for_next(id, watch),
            Ok(Heard::Over) => self.leave(id, watch),
            Ok(Heard::TooLong) => {
                warn!("cut a control client that said more than any request has");
                let reason = crate::control::RequestError::TooLong.to_string();
                self.refuse(id, reason, watch);
            }
            Ok(Heard::Unfinished(bytes)) => {
                warn!("a control client left after {bytes} bytes of a request");
                self.leave(id, watch);
            }
            Err(error) => {
                debug!("a control client is gone: {error}");
                self.leave(id, watch);
            }
        }
    }

    fn watch_for_next(&mut self, id: ClientId, watch: &Watch) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        if let Err(error) = watch.change(client.stream(), Source::Client(id), client.interest()) {
            warn!("failed to watch a control client: {error}");
            self.leave(id, watch);
        }
    }

    fn leave(&mut self, id: ClientId, watch: &Watch) {
        // Its descriptor leaves the watch as it is closed.
        self.clients.remove(&id);
        match self.door {
            Door::Full => self.reopen(watch),
            Door::Open | Door::Shut { .. } => {}
        }
    }

    /// When something is due here, if nothing happens before.
    pub(in crate::master) fn deadline(&self) -> Option<Monotonic> {
        let door = match self.door {
            Door::Shut { until } => Some(until),
            Door::Open | Door::Full => None,
        };
        self.clients
            .values()
            .filter_map(Client::deadline)
            .chain(door)
            .min()
    }

    /// Cuts whoever is too slow, and opens the door again.
    pub(in crate::master) fn expire(&mut self, now: Monotonic, watch: &Watch) {
        if matches!(self.door, Door::Shut { until } if until <= now) {
            self.reopen(watch);
        }
        let late = |client: &Client| client.deadline().is_some_and(|deadline| deadline <= now);
        let late: Vec<ClientId> = self
            .clients
            .iter()
            .filter(|(_, client)| late(client))
            .map(|(&id, _)| id)
            .collect();
        for id in late {
            if let Some(client) = self.clients.get(&id) {
                warn!("cut a control client that was too slow in {}", client.late_with());
            }
            self.leave(id, watch);
        }
    }
}

impl Drop for Desk {
    /// A path outlives its listener. That it cannot be removed is no harm: the next master replaces it. Another's stays.
    fn drop(&mut self) {
        let _ = self.file.as_ref().map(FileId::remove);
    }
}

/// The socket's mode lets nobody else in; this holds even when somebody has changed that.
fn welcome_at(stream: &UnixStream) -> io::Result<Peer> {
    let (peer, own) = (credentials::of_peer(stream)?, nix::unistd::geteuid().as_raw());
    if may_ask(peer.uid, own) {
        return Ok(peer);
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "user {} (pid {}) may not ask anything of a master of user {own}",
            peer.uid, peer.pid
        ),
    ))
}

fn may_ask(uid: u32, own: u32) -> bool {
    uid == own || uid == 0
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn only_the_masters_own_user_and_root_may_ask() {
        assert!(may_ask(1000, 1000) && may_ask(0, 1000) && may_ask(0, 0));
        assert!(!may_ask(1001, 1000) && !may_ask(1000, 0));
    }

    #[test]
    fn a_full_desk_lets_nobody_in_and_goes_on_when_somebody_leaves() {
        let directory = tempfile::tempdir().expect("a directory");
        let watch = Watch::new().expect("a watch");
        let path = directory.path().join("control.sock");
        let mut desk = Desk::open(&path, &watch).expect("a desk");
        let mut clients: Vec<UnixStream> = (0..PLACES + 2)
            .map(|_| {
                let mut client = UnixStream::connect(&path).expect("connected");
                client
                    .write_all(b"{\"version\":1,\"ask\":\"status\"}\n")
                    .expect("said");
                client
            })
            .collect();
        let now = Monotonic(1);
        desk.welcome(now, &watch);
        for id in 1..=PLACES as u64 {
            desk.hear(ClientId(id), &watch).expect("a request");
        }
        desk.expire(now + GRACE, &watch);
        desk.welcome(now + GRACE, &watch);
        assert!(desk.door == Door::Full && desk.clients.len() == PLACES);
        drop(clients.remove(0));
        let woken = watch
            .wait(Some(std::time::Duration::from_secs(10)))
            .expect("waited");
        assert_eq!(woken, [Source::Client(ClientId(1))]);
        assert_eq!(desk.hear(ClientId(1), &watch), None);
        assert!(desk.door == Door::Open && desk.clients.len() == PLACES - 1);
    }

    #[test]
    fn who_says_nothing_goes_for_a_newcomer_after_a_while() {
        let directory = tempfile::tempdir().expect("a directory");
        let watch = Watch::new().expect("a watch");
        let path = directory.path().join("control.sock");
        let mut desk = Desk::open(&path, &watch).expect("a desk");
        let _clients: Vec<UnixStream> = (0..PLACES + 2)
            .map(|_| UnixStream::connect(&path).expect("connected"))
            .collect();
        let now = Monotonic(1);
        let first = |desk: &Desk| *desk.clients.keys().next().expect("somebody");
        desk.welcome(now, &watch);
        let until = now + GRACE;
        assert!(desk.door == Door::Shut { until } && desk.clients.len() == PLACES);
        assert!(first(&desk) == ClientId(1) && desk.deadline() == Some(until));
        desk.expire(until, &watch);
        desk.welcome(until, &watch);
        assert!(desk.door == Door::Open && desk.clients.len() == PLACES);
        assert_eq!(first(&desk), ClientId(3));
        desk.expire(desk.deadline().expect("a deadline"), &watch);
        assert!(desk.clients.len() < PLACES, "nobody was cut");
    }

    #[test]
    fn a_socket_that_somebody_removed_is_made_again_and_whoever_is_at_the_desk_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let watch = Watch::new().expect("a watch");
        let path = directory.path().join("control.sock");
        let mut desk = Desk::open(&path, &watch).expect("a desk");
        let _before = UnixStream::connect(&path).expect("connected");
        desk.welcome(Monotonic(1), &watch);
        std::fs::remove_file(&path).expect("removed");
        desk.mend(&watch);
        let _after = UnixStream::connect(&path).expect("connected");
        let woken = watch.wait(Some(Duration::from_secs(10))).expect("waited");
        assert_eq!(woken, [Source::Control]);
        desk.welcome(Monotonic(2), &watch);
        assert_eq!(desk.clients.len(), 2);
        let file = desk.file.clone();
        desk.mend(&watch);
        assert_eq!(desk.file, file, "one that is there is left alone");
    }

    #[test]
    fn a_second_master_does_not_take_the_socket_and_a_dead_ones_is_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let watch = Watch::new().expect("a watch");
        let path = directory.path().join("control.sock");
        let desk = Desk::open(&path, &watch).expect("a desk");
        assert!(Desk::open(&path, &watch).is_err());
        drop(desk);
        assert!(!path.exists());
        let mut desk = Desk::open(&path, &watch).expect("a desk");
        std::fs::remove_file(&path).expect("removed");
        let _theirs = UnixListener::bind(&path).expect("another's");
        desk.mend(&watch);
        assert!(desk.complained, "it answers, so it stays");
        drop(desk);
        assert!(path.exists(), "it was another's");
    }
}
