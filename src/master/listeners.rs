//! The listeners: one SO_REUSEPORT group per TCP address with a member per slot, one shared listener per path. They are opened
//! once and closed when the group goes, never before, so nothing that waits in a queue is lost.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use crate::base::ids::Slot;
use crate::config::{Address, Cluster, FileMode};
use crate::pool::steering;
use crate::sys::socket::{self, FileId};

/// Every address with its sockets.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    groups: Vec<Group>,
    paths: Vec<SharedPath>,
}

#[derive(Debug)]
struct Group {
    address: SocketAddr,
    members: Vec<OwnedFd>,
}

#[derive(Debug)]
struct SharedPath {
    path: PathBuf,
    file: FileId,
    listener: OwnedFd,
}

impl Listeners {
    /// Opens the first member of each address's group. The caller has probed that nobody else is there.
    ///
    /// # Errors
    /// The address that failed, and the system's words.
    pub(super) fn open(cluster: &Cluster) -> Result<Listeners, (Address, io::Error)> {
        let mut listeners = Listeners::default();
        for address in &cluster.bind {
            listeners
                .add(address, cluster.socket_mode)
                .map_err(|error| (address.clone(), error))?;
        }
        Ok(listeners)
    }

    fn add(&mut self, address: &Address, mode: FileMode) -> io::Result<()> {
        match address {
            Address::Tcp(address) => {
                let first = socket::listen(*address)?;
                let address = socket::local_address(&first)?;
                self.groups.push(Group {
                    address,
                    members: vec![first],
                });
            }
            Address::Unix(path) => {
                let listener = socket::listen_unix(path, mode.bits())?;
                self.paths.push(SharedPath {
                    file: FileId::at(path)?,
                    path: path.clone(),
                    listener,
                });
            }
        }
        Ok(())
    }

    /// Makes sure that each group has this many members; it is never made smaller.
    pub(super) fn grow(&mut self, slots: u16) -> io::Result<()> {
        for group in &mut self.groups {
            while group.members.len() < usize::from(slots) {
                group.members.push(socket::listen(group.address)?);
            }
        }
        Ok(())
    }

    /// Where clients come in, with the ports the kernel chose.
    pub(super) fn addresses(&self) -> Vec<Address> {
        let tcp = self.groups.iter().map(|group| Address::Tcp(group.address));
        tcp.chain(self.paths.iter().map(|shared| Address::Unix(shared.path.clone())))
            .collect()
    }

    /// What the worker of a slot borrows, each with its address as a name without colons (they separate names in
    /// `LISTEN_FDNAMES`).
    pub(super) fn of(&self, slot: Slot) -> Vec<(String, BorrowedFd<'_>)> {
        let tcp = self
            .groups
            .iter()
            .filter_map(|group| Some((group.address.to_string(), group.members.get(slot.index())?)));
        let unix = self
            .paths
            .iter()
            .map(|shared| (format!("unix={}", shared.path.display()), &shared.listener));
        tcp.chain(unix)
            .map(|(name, fd)| (name.replace(':', "_"), fd.as_fd()))
            .collect()
    }

    /// A slot's own listeners, for a worker of another slot. A shared path is borrowed by that one already.
    pub(super) fn members_of(&self, slot: Slot) -> Vec<BorrowedFd<'_>> {
        let members = self
            .groups
            .iter()
            .filter_map(|group| group.members.get(slot.index()));
        members.map(AsFd::as_fd).collect()
    }

    /// How many connections wait for the worker of a slot; `None` when it has no listener of its own.
    pub(super) fn queue_of(&self, slot: Slot) -> Option<u32> {
        let members = self
            .groups
            .iter()
            .filter_map(|group| group.members.get(slot.index()));
        members
            .filter_map(|member| socket::accept_queue(member).ok())
            .reduce(u32::saturating_add)
    }

    /// Steers new connections of every group by these weights.
    ///
    /// # Errors
    /// The first group's failure; the kernel's hash decides then.
    pub(super) fn steer(&self, weights: &[(Slot, u16)]) -> io::Result<()> {
        self.groups.iter().try_for_each(|group| {
            let slots = u16::try_from(group.members.len()).unwrap_or(u16::MAX);
            let Some(member) = group.members.first() else {
                return Ok(());
            };
            socket::steer(member, &steering::program(weights, slots))
        })
    }
}

impl Drop for Listeners {
    /// A path outlives its listener; whoever stops serving it takes it away.
    fn drop(&mut self) {
        for shared in &self.paths {
            let _ = shared.file.remove();
        }
    }
}
