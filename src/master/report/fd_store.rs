//! The descriptors that the service manager keeps for the next start of this service: what it has, compared
//! with what it should have. What the descriptors are is not known here.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use tracing::{debug, warn};

use crate::base::time::Monotonic;
use crate::sys::notify;

/// So many messages are sent at once, so that there is room for others in the service manager's queue: in ten
/// places, at worst, and READY=1 is sent once.
const PER_TURN: usize = 5;
/// The wait before the next ones.
const RETRY: Duration = Duration::from_millis(20);

/// The store of the service manager.
#[derive(Debug)]
pub(super) struct FdStore {
    /// How many descriptors it takes; further ones it would close.
    room: usize,
    /// The names of those that it has.
    stored: BTreeSet<String>,
    /// Whether what it has may not be what it should have.
    outdated: bool,
    /// When to send the rest.
    pub(super) retry_at: Option<Monotonic>,
    /// Whether a warning was logged that it is too small.
    warned: bool,
}

impl FdStore {
    /// A store that takes this many descriptors.
    pub(super) fn with_room(room: usize) -> FdStore {
        FdStore {
            room,
            stored: BTreeSet::new(),
            outdated: true,
            retry_at: None,
            warned: false,
        }
    }

    /// As `FDSTORE` says. systemd 254 and newer set it to `FileDescriptorStoreMax=` of the unit.
    pub(super) fn from_text(text: Option<&str>) -> Result<Option<FdStore>, String> {
        match text.map(|text| (text, text.parse())) {
            None | Some((_, Ok(0))) => Ok(None),
            Some((_, Ok(room))) => Ok(Some(FdStore::with_room(room))),
            Some((text, Err(_))) => Err(format!(
                "FDSTORE={text:?} is not a number of descriptors, so no listener is kept over a restart"
            )),
        }
    }

    /// The service manager has descriptors with these names.
    pub(super) fn has(&mut self, names: impl IntoIterator<Item = String>) {
        self.stored.extend(names);
    }

    /// What it should have may have changed.
    pub(super) fn set_outdated(&mut self) {
        self.outdated = true;
    }

    /// Whether there is something to send now.
    pub(super) fn is_due(&self, now: Monotonic) -> bool {
        self.outdated && self.retry_at.is_none_or(|at| at <= now)
    }

    /// Sends what the service manager lacks, and has it drop what it should not have.
    pub(super) fn send(&mut self, to: &OsStr, wanted: &[(String, BorrowedFd<'_>)], now: Monotonic) {
        if wanted.len() > self.room && !std::mem::replace(&mut self.warned, true) {
            warn!(
                "the service manager keeps {} of {} listeners over a restart; raise FileDescriptorStoreMax= \
                 of the unit",
                self.room,
                wanted.len()
            );
        }
        let wanted = &wanted[..wanted.len().min(self.room)];
        let steps = self.steps(wanted);
        let more = steps.len() > PER_TURN;
        let mut now_sent = steps.into_iter().take(PER_TURN);
        match now_sent.try_for_each(|step| self.perform(to, step)) {
            Ok(()) if !more => (self.outdated, self.retry_at) = (false, None),
            Ok(()) => self.retry_at = Some(now + RETRY),
            Err(error) if is_full(&error) => self.retry_at = Some(now + RETRY),
            Err(error) => {
                debug!("failed to store listeners in the service manager: {error}");
                // The next change is the next try.
                (self.outdated, self.retry_at) = (false, None);
            }
        }
    }

    /// What is to be done until it has what it should have.
    fn steps<'a>(&self, wanted: &[(String, BorrowedFd<'a>)]) -> Vec<StoreStep<'a>> {
        let is_wanted = |name: &&String| wanted.iter().any(|(wanted, _)| wanted == *name);
        let unwanted = self.stored.iter().filter(|name| !is_wanted(name));
        let lacking = wanted.iter().filter(|(name, _)| !self.stored.contains(name));
        unwanted
            .map(|name| StoreStep::Remove(name.clone()))
            .chain(lacking.map(|(name, fd)| StoreStep::Add(name.clone(), *fd)))
            .collect()
    }

    fn perform(&mut self, to: &OsStr, step: StoreStep<'_>) -> io::Result<()> {
        match step {
            StoreStep::Remove(name) => {
                notify::send(to, &format!("FDSTOREREMOVE=1\nFDNAME={name}"))?;
                self.stored.remove(&name);
            }
            StoreStep::Add(name, fd) => {
                // A listener is not dropped from the store for what happens on it.
                notify::send_with(to, &format!("FDSTORE=1\nFDPOLL=0\nFDNAME={name}"), fd)?;
                self.stored.insert(name);
            }
        }
        Ok(())
    }
}

/// One message to the store.
enum StoreStep<'a> {
    Remove(String),
    Add(String, BorrowedFd<'a>),
}

/// Whether the service manager has to read before more can be sent.
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(Errno::ETOOMANYREFS as i32)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::sys::seqpacket::{self, PacketRead};

    /// A service manager that reads its messages now and then.
    struct Manager {
        socket: UnixDatagram,
        store: BTreeMap<String, OwnedFd>,
        directory: tempfile::TempDir,
    }

    impl Manager {
        fn new() -> Manager {
            let directory = tempfile::tempdir().expect("a directory");
            Manager {
                socket: UnixDatagram::bind(directory.path().join("notify")).expect("bound"),
                store: BTreeMap::new(),
                directory,
            }
        }

        /// Handles all messages; returns whether there was any.
        fn read(&mut self) -> bool {
            let mut any = false;
            loop {
                let mut buffer = [0; 4096];
                let (read, mut fds) =
                    seqpacket::receive_with(self.socket.as_fd(), &mut buffer).expect("read");
                let PacketRead::Packet(length) = read else {
                    return any;
                };
                any = true;
                let text = std::str::from_utf8(&buffer[..length]).expect("text");
                let (_, name) = text.split_once("FDNAME=").expect("a name");
                if text.starts_with("FDSTORE=1\nFDPOLL=0\n") {
                    self.store
                        .insert(name.to_owned(), fds.pop().expect("a descriptor"));
                } else {
                    assert!(text.starts_with("FDSTOREREMOVE=1\n"), "{text}");
                    self.store.remove(name);
                }
            }
        }
    }

    #[test]
    fn the_store_follows_however_seldom_it_reads() {
        let mut manager = Manager::new();
        let to = manager.directory.path().join("notify");
        let file = std::fs::File::open("/dev/null").expect("there");
        let mut store = FdStore::with_room(1000);
        store.has(["old".to_owned()]);
        for names in [0..700, 700..1400] {
            let names: Vec<String> = names.map(|number| number.to_string()).collect();
            let wanted: Vec<_> = names.iter().map(|name| (name.clone(), file.as_fd())).collect();
            store.set_outdated();
            let mut now = Monotonic(0);
            let mut waited = false;
            while store.outdated {
                assert!(store.is_due(now));
                store.send(to.as_os_str(), &wanted, now);
                if store.outdated {
                    waited = true;
                    assert!(!store.is_due(now) && manager.read());
                }
                now = now + RETRY;
            }
            assert!(waited, "its queue was never full");
            manager.read();
            let has: BTreeSet<&String> = manager.store.keys().collect();
            assert_eq!(has, names.iter().collect());
        }
    }

    #[test]
    fn a_store_that_is_too_small_has_the_first_ones() {
        let mut manager = Manager::new();
        let to = manager.directory.path().join("notify");
        let file = std::fs::File::open("/dev/null").expect("there");
        let wanted = ["a", "b", "c"].map(|name| (name.to_owned(), file.as_fd()));
        let mut store = FdStore::with_room(2);
        store.send(to.as_os_str(), &wanted, Monotonic(0));
        manager.read();
        assert_eq!(manager.store.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert!(!store.is_due(Monotonic(1)) && store.warned);
    }

    #[test]
    fn the_room_is_what_the_unit_says() {
        let room = |text| FdStore::from_text(text).map(|store| store.map(|store| store.room));
        assert_eq!(room(None), Ok(None));
        assert_eq!(room(Some("0")), Ok(None));
        assert_eq!(room(Some("512")), Ok(Some(512)));
        assert!(room(Some("many")).expect_err("refused").contains("\"many\""));
    }
}
