//! The listeners: for each TCP address one SO_REUSEPORT group with a member per slot; for each unix path, and
//! for each socket that the service manager passed, one listener that all workers share. A listener is opened
//! once and closed only with its whole group, so no connection that waits in a queue is lost.
//!
//! A reload may change the addresses: new ones are opened beside the old ones before the first worker starts,
//! and those that are no longer configured are closed when the reload is done.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::admin::{self, AdminListener};
use super::lent::Lent;
use super::probe::{AddressError, probe_with};
use super::shared::SharedListener;
use crate::base::ids::Slot;
use crate::config::{Address, FileMode};
use crate::pool::routing::steering;
use crate::sys::socket;

/// How long to search for the process that has an address; the whole cluster waits meanwhile.
pub(super) const SEARCH_WHILE_SERVING: Duration = Duration::from_millis(50);

/// The listening sockets of every address.
#[derive(Debug, Default)]
pub(in crate::master) struct Listeners {
    pub(super) groups: Vec<ListenerGroup>,
    pub(super) shared: Vec<SharedListener>,
    pub(super) slots: u16,
    /// The listener for metrics, if one is configured.
    pub(in crate::master) admin: Option<AdminListener>,
}

#[derive(Debug)]
pub(super) struct ListenerGroup {
    /// The address as configured, where port 0 lets the kernel choose.
    pub(super) configured: SocketAddr,
    pub(super) address: SocketAddr,
    /// Whether an IPv6 address takes IPv4 along.
    pub(super) dual_stack: bool,
    pub(super) members: Vec<OwnedFd>,
    /// What is known of it if workers have asked for it.
    pub(super) lent: Option<Lent>,
}

impl Listeners {
    /// Opens those of these addresses that are not open yet, each with a member per slot; opens none if one
    /// fails. `weights` steer the connections of the new addresses from the first one on.
    ///
    /// # Errors
    /// [`AddressError`] names the address that failed.
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
            self.refuse_taken(address, false, SEARCH_WHILE_SERVING)?;
            fresh
                .add(address, mode, weights)
                .map_err(|source| AddressError::Io {
                    address: address.clone(),
                    source,
                })?;
        }
        let opened = fresh.addresses();
        self.groups.append(&mut fresh.groups);
        self.shared.append(&mut fresh.shared);
        Ok(opened)
    }

    fn has(&self, address: &Address) -> bool {
        let shared = |shared: &SharedListener| shared.address == *address && shared.is_there();
        let own = |group: &ListenerGroup| Address::Tcp(group.configured) == *address;
        self.shared.iter().any(shared) || self.groups.iter().any(own)
    }

    /// Skips the probe where one of our own groups has the same port (`0.0.0.0:80` beside `127.0.0.1:80`),
    /// because the probe cannot tell our sockets from another program's. The kernel still refuses a program
    /// of another user, or one without SO_REUSEPORT.
    pub(super) fn refuse_taken(
        &self,
        address: &Address,
        dual_stack: bool,
        search: Duration,
    ) -> Result<(), AddressError> {
        let own = |tcp: &SocketAddr| self.groups.iter().any(|group| group.address.port() == tcp.port());
        match address {
            Address::Tcp(tcp) if own(tcp) => Ok(()),
            Address::Tcp(_) | Address::Unix(_) => {
                self.refuse_overlap(address)?;
                probe_with(address, dual_stack, search)
            }
        }
    }

    fn add(&mut self, address: &Address, mode: FileMode, weights: &[(Slot, u16)]) -> io::Result<()> {
        match address {
            Address::Tcp(configured) => {
                self.groups
                    .push(ListenerGroup::open(*configured, false, self.slots, weights)?)
            }
            Address::Unix(path) => {
                let listener = socket::listen_unix(path, mode.bits())?;
                self.shared.push(SharedListener::bound(path.clone(), listener));
            }
        }
        Ok(())
    }

    /// The unix addresses whose socket files have been removed or replaced, so that no client reaches them.
    pub(super) fn lost_paths(&self) -> Vec<Address> {
        let unix = |shared: &&SharedListener| matches!(shared.address, Address::Unix(_));
        let addresses = self.shared.iter().filter(unix).map(|shared| &shared.address);
        let mut lost: Vec<Address> = addresses.filter(|address| !self.has(address)).cloned().collect();
        lost.dedup();
        lost
    }

    /// Binds a unix address again. A configured one has this mode, any other the one that was asked for.
    pub(super) fn restore(&mut self, address: &Address, mode: FileMode) -> Result<(), AddressError> {
        let mut lost = self.shared.iter().filter(|shared| shared.address == *address);
        let lent = lost.find_map(|shared| shared.lent.clone());
        let bits = lent.as_ref().and_then(Lent::own_mode).unwrap_or(mode.bits());
        let Address::Unix(path) = address else {
            return Ok(());
        };
        let listener = socket::listen_unix(path, bits).map_err(|source| AddressError::Io {
            address: address.clone(),
            source,
        })?;
        let mut restored = SharedListener::bound(path.clone(), listener);
        restored.lent = lent;
        self.shared.push(restored);
        Ok(())
    }

    /// The listener that clients of a unix address reach.
    pub(super) fn at_path(&self, address: &Address) -> Vec<BorrowedFd<'_>> {
        let there = |shared: &&SharedListener| shared.address == *address && shared.is_there();
        self.shared
            .iter()
            .filter(there)
            .map(|shared| shared.listener.as_fd())
            .collect()
    }

    /// Closes every address that is not among these and not lent to somebody who wants it, and each listener
    /// whose path one of our newer listeners has taken over. A worker that still holds such a listener
    /// empties its queue. Returns the closed addresses.
    pub(super) fn keep_only(
        &mut self,
        addresses: &[Address],
        is_wanted: impl Fn(&Lent) -> bool,
    ) -> Vec<Address> {
        let before = self.addresses();
        self.forget_unwanted(is_wanted);
        self.groups
            .retain(|group| group.lent.is_some() || addresses.contains(&Address::Tcp(group.configured)));
        let bound_again: Vec<Address> = self
            .shared
            .iter()
            .filter(|shared| shared.is_there())
            .map(|shared| shared.address.clone())
            .collect();
        self.shared.retain(|shared| {
            (shared.lent.is_some() || addresses.contains(&shared.address))
                && (shared.is_there() || !bound_again.contains(&shared.address))
        });
        let after = self.addresses();
        before
            .into_iter()
            .filter(|address| !after.contains(address))
            .collect()
    }

    /// Makes sure that each group has at least this many members; a group is never made smaller.
    pub(in crate::master) fn grow(&mut self, slots: u16) -> io::Result<()> {
        self.slots = self.slots.max(slots);
        self.groups.iter_mut().try_for_each(|group| group.grow(slots))
    }

    /// The addresses that clients connect to, with the ports that the kernel chose.
    pub(in crate::master) fn addresses(&self) -> Vec<Address> {
        let tcp = self.groups.iter().map(|group| Address::Tcp(group.address));
        tcp.chain(self.shared.iter().map(|shared| shared.address.clone()))
            .collect()
    }

    /// The listeners that the worker of a slot gets for these addresses. Each is named by its address,
    /// without colons, because colons separate the names in `LISTEN_FDNAMES`.
    pub(in crate::master) fn of(&self, slot: Slot, addresses: &[Address]) -> Vec<(String, BorrowedFd<'_>)> {
        let configured = |group: &&ListenerGroup| addresses.contains(&Address::Tcp(group.configured));
        let tcp = self
            .groups
            .iter()
            .filter(configured)
            .filter_map(|group| Some((group.address.to_string(), group.members.get(slot.index())?)));
        let shared = self
            .shared
            .iter()
            .filter(|shared| addresses.contains(&shared.address))
            .map(|shared| (shared.name(), &shared.listener));
        let admin = self
            .admin
            .iter()
            .map(|admin| (admin::NAME.to_owned(), &admin.listener));
        tcp.chain(shared)
            .chain(admin)
            .map(|(name, fd)| (name.replace(':', "_"), fd.as_fd()))
            .collect()
    }

    /// Every listener there is.
    pub(in crate::master) fn all(&self) -> Vec<BorrowedFd<'_>> {
        let tcp = self.groups.iter().flat_map(|group| &group.members);
        let shared = self.shared.iter().map(|shared| &shared.listener);
        let admin = self.admin.iter().map(|admin| &admin.listener);
        tcp.chain(shared).chain(admin).map(AsFd::as_fd).collect()
    }

    /// A slot's own listeners, for a worker of another slot, which has the shared listeners already.
    pub(in crate::master) fn members_of(&self, slot: Slot) -> Vec<BorrowedFd<'_>> {
        let members = self
            .groups
            .iter()
            .filter_map(|group| group.members.get(slot.index()));
        members.map(AsFd::as_fd).collect()
    }

    /// Number of connections that wait for the worker of a slot; `None` when the slot has no listener of its
    /// own.
    pub(in crate::master) fn queue_of(&self, slot: Slot) -> Option<u32> {
        let members = self
            .groups
            .iter()
            .filter_map(|group| group.members.get(slot.index()));
        members
            .filter_map(|member| socket::accept_queue(member).ok())
            .reduce(u32::saturating_add)
    }

    /// Steers new connections of every group by these weights, among the slots for which `serves` holds.
    /// While no worker serves the address, they wait in the queues of all slots. If slots are `probed`,
    /// probes are steered, too.
    ///
    /// # Errors
    /// The failure of the first group; the kernel's hash then chooses the slot.
    pub(super) fn steer(
        &self,
        weights: &[(Slot, u16)],
        probed: bool,
        serves: impl Fn(Slot, &ListenerGroup) -> bool,
    ) -> io::Result<()> {
        self.groups.iter().try_for_each(|group| {
            let serving: Vec<(Slot, u16)> = weights
                .iter()
                .copied()
                .filter(|(slot, _)| serves(*slot, group))
                .collect();
            group.steer(if serving.is_empty() { weights } else { &serving }, probed)
        })
    }
}

impl ListenerGroup {
    pub(super) fn open(
        configured: SocketAddr,
        dual_stack: bool,
        slots: u16,
        weights: &[(Slot, u16)],
    ) -> io::Result<ListenerGroup> {
        let first = socket::listen_with(configured, dual_stack)?;
        let address = socket::local_address(&first)?;
        let mut group = ListenerGroup {
            configured,
            address,
            dual_stack,
            members: vec![first],
            lent: None,
        };
        if !weights.is_empty() {
            // If this fails, the next steering fails as well and logs it.
            let _ = socket::steer(&group.members[0], &steering::program(weights, slots));
        }
        group.grow(slots)?;
        Ok(group)
    }

    fn grow(&mut self, slots: u16) -> io::Result<()> {
        while self.members.len() < usize::from(slots) {
            self.members
                .push(socket::listen_with(self.address, self.dual_stack)?);
        }
        Ok(())
    }

    fn steer(&self, weights: &[(Slot, u16)], probed: bool) -> io::Result<()> {
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
        let program = if probed {
            steering::program_for_probes(weights, slots)
        } else {
            steering::program(weights, slots)
        };
        socket::steer(member, &program)
    }
}

#[cfg(feature = "mutants")]
impl Listeners {
    /// Does what [`Mutation::CloseRetired`](crate::sys::mutation::Mutation) is for: a fault on purpose.
    pub(in crate::master) fn close_retired(&mut self, slot: Slot) {
        if crate::sys::mutation::Mutation::CloseRetired.is_on() {
            for group in &mut self.groups {
                let fresh = socket::listen_with(group.address, group.dual_stack).expect("a mutant may panic");
                group.members[slot.index()] = fresh;
            }
        }
    }
}

/// [`Mutation::SkipUnroute`](crate::sys::mutation::Mutation): every slot there is stays routed; `Hash`:
/// nobody steers.
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
    fn a_removed_path_is_bound_again_and_a_path_in_use_is_refused() {
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
        let _client = std::os::unix::net::UnixStream::connect(&path).expect("the path leads to a listener");
        assert_eq!(listeners.keep_only(&addresses, |_| false), []);
        assert!(listeners.shared.len() == 1 && path.exists());
        std::fs::remove_file(&path).expect("removed");
        let _theirs = std::os::unix::net::UnixListener::bind(&path).expect("bound by another");
        open(&mut listeners).expect_err("in use by another");
        drop(listeners);
        assert!(path.exists(), "it belongs to another");
    }
}

#[cfg(test)]
#[path = "probe_steering_tests.rs"]
mod probe_steering_tests;
