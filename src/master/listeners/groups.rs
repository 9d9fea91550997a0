//! The listeners: one SO_REUSEPORT group per TCP address with a member per slot, one shared listener per path. They are opened
//! once and closed when the group goes, never before, so nothing that waits in a queue is lost.
//!
//! A reload may ask for other addresses: those that are new are opened beside the old ones before its first worker is started,
//! and those that went are let go of when the reload is done.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use super::admin::{self, Admin};
use crate::base::ids::Slot;
use crate::config::{Address, FileMode};
use crate::master::start::orphans::{AddressError, probe};
use crate::pool::steering;
use crate::sys::socket::{self, FileId};

/// So long is looked for whoever has an address: the whole cluster waits for it.
const IN_PASSING: Duration = Duration::from_millis(50);

/// Every address with its sockets.
#[derive(Debug, Default)]
pub(in crate::master) struct Listeners {
    pub(super) groups: Vec<Group>,
    pub(super) paths: Vec<SharedPath>,
    pub(super) slots: u16,
    /// Where metrics are read, if anywhere.
    pub(in crate::master) admin: Option<Admin>,
}

#[derive(Debug)]
pub(super) struct Group {
    /// As the configuration has it, where port 0 leaves the choice to the kernel.
    pub(super) asked: SocketAddr,
    pub(super) address: SocketAddr,
    pub(super) members: Vec<OwnedFd>,
}

#[derive(Debug)]
pub(super) struct SharedPath {
    pub(super) path: PathBuf,
    /// The socket file there; none when it was gone already.
    pub(super) file: Option<FileId>,
    pub(super) listener: OwnedFd,
}

impl Listeners {
    /// Opens what of these addresses is not open yet, each with a member per slot, or nothing. New connections of what is new are
    /// steered by `weights` from the first one on.
    ///
    /// # Errors
    /// The address that somebody else has, or the system's words about it.
    pub(in crate::master) fn open(
        &mut self,
        addresses: &[Address],
        mode: FileMode,
        weights: &[(Slot, u16)],
    ) -> Result<Vec<Address>, AddressError> {
        let mut fresh = Listeners {
            slots: self.slots,
            ..Listeners::default()
        };
        for address in addresses.iter().filter(|address| !self.has(address)) {
            self.refuse_taken(address)?;
            fresh
                .add(address, mode, weights)
                .map_err(|source| AddressError::Io {
                    address: address.clone(),
                    source,
                })?;
        }
        let opened = fresh.addresses();
        self.groups.append(&mut fresh.groups);
        self.paths.append(&mut fresh.paths);
        Ok(opened)
    }

    fn has(&self, address: &Address) -> bool {
        match address {
            Address::Tcp(tcp) => self.groups.iter().any(|group| group.asked == *tcp),
            Address::Unix(path) => self
                .paths
                .iter()
                .any(|shared| shared.path == *path && shared.is_there()),
        }
    }

    /// An own group may stand in the way of the probe (`0.0.0.0:80` beside `127.0.0.1:80`), which cannot tell it from a
    /// stranger's; the kernel still refuses a stranger of another user, or one that does not share.
    fn refuse_taken(&self, address: &Address) -> Result<(), AddressError> {
        let own = |tcp: &SocketAddr| self.groups.iter().any(|group| group.address.port() == tcp.port());
        match address {
            Address::Tcp(tcp) if own(tcp) => Ok(()),
            Address::Tcp(_) | Address::Unix(_) => probe(address, IN_PASSING),
        }
    }

    fn add(&mut self, address: &Address, mode: FileMode, weights: &[(Slot, u16)]) -> io::Result<()> {
        match address {
            Address::Tcp(asked) => self.groups.push(Group::open(*asked, self.slots, weights)?),
            Address::Unix(path) => {
                let listener = socket::listen_unix(path, mode.bits())?;
                self.paths.push(SharedPath::new(path.clone(), listener));
            }
        }
        Ok(())
    }

    /// Lets go of every address that is not among these, and of a listener whose path another one of ours has taken over. A worker that still holds one empties its queue.
    pub(in crate::master) fn keep_only(&mut self, addresses: &[Address]) -> Vec<Address> {
        let before = self.addresses();
        self.groups
            .retain(|group| addresses.contains(&Address::Tcp(group.asked)));
        let restored: Vec<PathBuf> = self
            .paths
            .iter()
            .filter(|shared| shared.is_there())
            .map(|shared| shared.path.clone())
            .collect();
        self.paths.retain(|shared| {
            addresses.contains(&Address::Unix(shared.path.clone()))
                && (shared.is_there() || !restored.contains(&shared.path))
        });
        let after = self.addresses();
        before
            .into_iter()
            .filter(|address| !after.contains(address))
            .collect()
    }

    /// Makes sure that each group has this many members; it is never made smaller.
    pub(in crate::master) fn grow(&mut self, slots: u16) -> io::Result<()> {
        self.slots = self.slots.max(slots);
        self.groups.iter_mut().try_for_each(|group| group.grow(slots))
    }

    /// Where clients come in, with the ports the kernel chose.
    pub(in crate::master) fn addresses(&self) -> Vec<Address> {
        let tcp = self.groups.iter().map(|group| Address::Tcp(group.address));
        tcp.chain(self.paths.iter().map(|shared| Address::Unix(shared.path.clone())))
            .collect()
    }

    /// What the worker of a slot borrows for these addresses, each with the address as a name without colons (they separate
    /// names in `LISTEN_FDNAMES`).
    pub(in crate::master) fn of(&self, slot: Slot, addresses: &[Address]) -> Vec<(String, BorrowedFd<'_>)> {
        let asked = |group: &&Group| addresses.contains(&Address::Tcp(group.asked));
        let tcp = self
            .groups
            .iter()
            .filter(asked)
            .filter_map(|group| Some((group.address.to_string(), group.members.get(slot.index())?)));
        let unix = self
            .paths
            .iter()
            .filter(|shared| addresses.contains(&Address::Unix(shared.path.clone())))
            .map(|shared| (format!("unix={}", shared.path.display()), &shared.listener));
        let admin = self
            .admin
            .iter()
            .map(|admin| (admin::NAME.to_owned(), &admin.listener));
        tcp.chain(unix)
            .chain(admin)
            .map(|(name, fd)| (name.replace(':', "_"), fd.as_fd()))
            .collect()
    }

    /// A slot's own listeners, for a worker of another slot. A shared path is borrowed by that one already.
    pub(in crate::master) fn members_of(&self, slot: Slot) -> Vec<BorrowedFd<'_>> {
        let members = self
            .groups
            .iter()
            .filter_map(|group| group.members.get(slot.index()));
        members.map(AsFd::as_fd).collect()
    }

    /// How many connections wait for the worker of a slot; `None` when it has no listener of its own.
    pub(in crate::master) fn queue_of(&self, slot: Slot) -> Option<u32> {
        let members = self
            .groups
            .iter()
            .filter_map(|group| group.members.get(slot.index()));
        members
            .filter_map(|member| socket::accept_queue(member).ok())
            .reduce(u32::saturating_add)
    }

    /// Steers new connections of every group by these weights, among the slots whose worker holds its address; while no worker
    /// does, they wait where one soon will.
    ///
    /// # Errors
    /// The first group's failure; the kernel's hash decides then.
    pub(in crate::master) fn steer(
        &self,
        weights: &[(Slot, u16)],
        holds: impl Fn(Slot, &Address) -> bool,
    ) -> io::Result<()> {
        self.groups.iter().try_for_each(|group| {
            let address = Address::Tcp(group.asked);
            let held: Vec<(Slot, u16)> = weights
                .iter()
                .copied()
                .filter(|(slot, _)| holds(*slot, &address))
                .collect();
            group.steer(if held.is_empty() { weights } else { &held })
        })
    }
}

impl Group {
    fn open(asked: SocketAddr, slots: u16, weights: &[(Slot, u16)]) -> io::Result<Group> {
        let first = socket::listen(asked)?;
        let address = socket::local_address(&first)?;
        let mut group = Group {
            asked,
            address,
            members: vec![first],
        };
        if !weights.is_empty() {
            // Where this fails the next steering fails as well, and says so.
            let _ = socket::steer(&group.members[0], &steering::program(weights, slots));
        }
        group.grow(slots)?;
        Ok(group)
    }

    fn grow(&mut self, slots: u16) -> io::Result<()> {
        while self.members.len() < usize::from(slots) {
            self.members.push(socket::listen(self.address)?);
        }
        Ok(())
    }

    fn steer(&self, weights: &[(Slot, u16)]) -> io::Result<()> {
        let slots = u16::try_from(self.members.len()).unwrap_or(u16::MAX);
        let Some(member) = self.members.first() else {
            return Ok(());
        };
        #[cfg(feature = "mutants")]
        let Some(weights) = mutated(weights, slots) else {
            return Ok(());
        };
        #[cfg(feature = "mutants")]
        let weights = &weights;
        socket::steer(member, &steering::program(weights, slots))
    }
}

impl SharedPath {
    /// A path at which this listens now.
    fn new(path: PathBuf, listener: OwnedFd) -> SharedPath {
        SharedPath {
            file: FileId::at(&path).ok(),
            path,
            listener,
        }
    }
}

impl SharedPath {
    /// Whether clients who connect to the path come to this listener: somebody may have removed it, or put another one there.
    fn is_there(&self) -> bool {
        self.file.as_ref().is_some_and(FileId::is_there)
    }
}

impl Drop for SharedPath {
    /// A path outlives its listener; whoever stops serving it takes it away, unless somebody else's is there by now.
    fn drop(&mut self) {
        let _ = self.file.as_ref().map(FileId::remove);
    }
}

#[cfg(feature = "mutants")]
impl Listeners {
    /// [`Mutation::CloseRetired`](crate::sys::mutation::Mutation).
    pub(in crate::master) fn close_retired(&mut self, slot: Slot) {
        if crate::sys::mutation::Mutation::CloseRetired.is_on() {
            for group in &mut self.groups {
                let fresh = socket::listen(group.address).expect("a mutant may panic");
                group.members[slot.index()] = fresh;
            }
        }
    }
}

/// [`Mutation::SkipUnroute`](crate::sys::mutation::Mutation): every slot there is stays routed; `Hash`: nobody steers.
#[cfg(feature = "mutants")]
fn mutated(weights: &[(Slot, u16)], slots: u16) -> Option<Vec<(Slot, u16)>> {
    use crate::sys::mutation::Mutation;
    if Mutation::Hash.is_on() {
        return None;
    }
    if !Mutation::SkipUnroute.is_on() {
        return Some(weights.to_vec());
    }
    Some((0..slots).map(|slot| (Slot(slot), 256)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_was_removed_is_bound_again_and_one_that_another_has_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("shop.sock");
        let addresses = [Address::Unix(path.clone())];
        let mut listeners = Listeners::default();
        let mode = FileMode::try_from("0600".to_owned()).expect("a mode");
        let open =
            |listeners: &mut Listeners| listeners.open(&addresses, mode, &[]).map(|opened| opened.len());
        assert_eq!(open(&mut listeners).expect("opened"), 1);
        assert_eq!(open(&mut listeners).expect("there"), 0);
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(open(&mut listeners).expect("opened again"), 1);
        let _client = std::os::unix::net::UnixStream::connect(&path).expect("somebody listens");
        assert_eq!(listeners.keep_only(&addresses), []);
        assert!(listeners.paths.len() == 1 && path.exists());
        std::fs::remove_file(&path).expect("removed");
        let _theirs = std::os::unix::net::UnixListener::bind(&path).expect("another's");
        open(&mut listeners).expect_err("it is another's");
        drop(listeners);
        assert!(path.exists(), "it was another's");
    }
}
