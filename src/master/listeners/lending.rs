//! Listeners that are lent: the program of a worker listens at an address that it chooses while it runs. The
//! address is bound once for all slots, as one that is configured, and each worker that asks is given the
//! listener of its slot. Who asks is not trusted.
//!
//! What is configured in `cluster.bind` is lent as it is. What is not is opened, and kept for as long as a
//! worker of the generation that serves has asked for it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use super::groups::{ListenerGroup, Listeners};
use super::lent::{Lent, mode_of};
use super::refusal::{LendingError, MAX_LENT};
use super::shared::SharedListener;
use crate::base::ids::{Generation, Life};
use crate::base::time::Monotonic;
use crate::config::Address;
use crate::config::address::LONGEST_UNIX_PATH;
use crate::lifeline::LentAddress;
use crate::sys::socket;

/// Who asks, and what holds for the workers of this cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Borrower<'a> {
    pub(super) life: Life,
    pub(super) generation: Generation,
    /// The addresses that are configured for the worker.
    pub(super) configured: &'a [Address],
    /// The workers are another user than the master, so what that user may not bind is refused.
    pub(super) is_other_user: bool,
    /// How long to search for the process that has an address already.
    pub(super) search: Duration,
}

/// A listener to be sent to a worker.
#[derive(Debug)]
pub(super) struct Loan<'a> {
    pub(super) listener: BorrowedFd<'a>,
    /// Where clients connect to.
    pub(super) address: Address,
    /// Whether the address was opened just now.
    pub(super) is_new: bool,
    /// Whether an IPv6 address takes IPv4 along.
    pub(super) dual_stack: bool,
}

/// What became of a listener that a worker has given back.
#[derive(Debug)]
pub(super) enum Returned {
    /// Other workers have theirs. This is the one of the slot.
    Served(OwnedFd),
    /// No worker has one any more. The address is closed when none asks for it soon.
    Deserted,
    /// The worker had no such listener.
    Unknown,
}

/// Where a listener for a port is to be bound.
#[derive(Clone, Copy, Debug)]
struct BindTarget {
    address: SocketAddr,
    dual_stack: bool,
}

/// A listener that is there: its place among the groups, or among those that all workers share.
#[derive(Clone, Copy, Debug)]
enum Found {
    Group(usize),
    Shared(usize),
}

impl Listeners {
    /// The listener of a worker's slot at the address that it asks for, which is opened if it is not open
    /// yet.
    ///
    /// # Errors
    /// [`LendingError`] says why not; nothing has changed then.
    pub(super) fn lend(
        &mut self,
        asked: &LentAddress,
        borrower: Borrower<'_>,
    ) -> Result<Loan<'_>, LendingError> {
        let before = self.groups.len() + self.shared.len();
        let found = match asked {
            LentAddress::Tcp { .. } => self.find_or_open_port(asked, borrower)?,
            LentAddress::Path { path, .. } => self.find_or_open_path(asked, path, borrower)?,
        };
        let is_new = self.groups.len() + self.shared.len() > before;
        let (lent, loan) = match found {
            Found::Group(place) => {
                let group = &mut self.groups[place];
                let slot = borrower.life.slot;
                // A slot always has its listeners before it has a worker.
                let member = group.members.get(slot.index()).ok_or(LendingError::Closed)?;
                let loan = Loan {
                    listener: member.as_fd(),
                    address: Address::Tcp(group.address),
                    is_new,
                    dual_stack: group.dual_stack,
                };
                (&mut group.lent, loan)
            }
            Found::Shared(place) => {
                let shared = &mut self.shared[place];
                let loan = Loan {
                    listener: shared.listener.as_fd(),
                    address: shared.address.clone(),
                    is_new,
                    dual_stack: false,
                };
                (&mut shared.lent, loan)
            }
        };
        lent.get_or_insert_with(|| Lent::new(asked, is_new))
            .give(borrower.life, borrower.generation);
        Ok(loan)
    }

    /// The program of a worker has closed the listener that was lent for this address.
    pub(super) fn give_back(&mut self, asked: &LentAddress, life: Life, now: Monotonic) -> Returned {
        match asked {
            LentAddress::Tcp { .. } => self.give_port_back(asked, life, now),
            LentAddress::Path { path, .. } => self.give_path_back(Path::new(path), life, now),
        }
    }

    fn give_port_back(&mut self, asked: &LentAddress, life: Life, now: Monotonic) -> Returned {
        let places = places(asked);
        for group in &mut self.groups {
            let is_there = places.iter().any(|place| place.address == group.configured);
            let lent = group.lent.as_mut().filter(|lent| lent.is_held_by(life));
            let meant = lent.filter(|lent| is_there || lent.is_meant_by(asked));
            if let Some(lent) = meant {
                let member = group.members.get(life.slot.index());
                return returned(lent.give_back(life, now), member.map(AsFd::as_fd));
            }
        }
        Returned::Unknown
    }

    fn give_path_back(&mut self, path: &Path, life: Life, now: Monotonic) -> Returned {
        let address = Address::Unix(path.to_owned());
        for shared in self.shared.iter_mut().filter(|shared| shared.address == address) {
            if let Some(lent) = shared.lent.as_mut().filter(|lent| lent.is_held_by(life)) {
                return returned(lent.give_back(life, now), Some(shared.listener.as_fd()));
            }
        }
        Returned::Unknown
    }

    /// Closes the addresses that everybody has left for long, but for the configured ones; which they were.
    pub(super) fn close_deserted(&mut self, configured: &[Address], now: Monotonic) -> Vec<Address> {
        let before = self.addresses();
        let stays = |lent: Option<&Lent>, address: &Address| {
            configured.contains(address) || !lent.is_some_and(|lent| lent.is_deserted(now))
        };
        self.groups
            .retain(|group| stays(group.lent.as_ref(), &Address::Tcp(group.configured)));
        self.shared
            .retain(|shared| stays(shared.lent.as_ref(), &shared.address));
        let after = self.addresses();
        let closed = before.into_iter().filter(|address| !after.contains(address));
        closed.collect()
    }

    /// The worker is gone.
    pub(in crate::master) fn take_back(&mut self, life: Life) {
        for lent in self.all_lent_mut() {
            lent.take_back(life);
        }
    }

    /// What nobody wants is not lent any more.
    pub(super) fn forget_unwanted(&mut self, is_wanted: impl Fn(&Lent) -> bool) {
        let groups = self.groups.iter_mut().map(|group| &mut group.lent);
        for lent in groups.chain(self.shared.iter_mut().map(|shared| &mut shared.lent)) {
            if lent.as_ref().is_some_and(|lent| !is_wanted(lent)) {
                *lent = None;
            }
        }
    }

    /// Whether an address is lent, so that the slots may serve different addresses.
    pub(super) fn lends(&self) -> bool {
        self.number_lent() > 0
    }

    /// Which workers have been lent the listener at the path.
    pub(super) fn is_lent_at(&self, address: &Address, life: Life) -> bool {
        let mut there = self.shared.iter().filter(|shared| shared.address == *address);
        there.any(|shared| shared.lent.as_ref().is_some_and(|lent| lent.is_held_by(life)))
    }

    /// The addresses that are lent.
    pub(in crate::master) fn lent_addresses(&self) -> Vec<Address> {
        let groups = self.groups.iter().filter(|group| group.lent.is_some());
        let shared = self.shared.iter().filter(|shared| shared.lent.is_some());
        groups
            .map(|group| Address::Tcp(group.address))
            .chain(shared.map(|shared| shared.address.clone()))
            .collect()
    }

    fn number_lent(&self) -> usize {
        let groups = self.groups.iter().filter_map(|group| group.lent.as_ref());
        groups
            .chain(self.shared.iter().filter_map(|shared| shared.lent.as_ref()))
            .count()
    }

    fn all_lent_mut(&mut self) -> impl Iterator<Item = &mut Lent> {
        let groups = self.groups.iter_mut().filter_map(|group| group.lent.as_mut());
        groups.chain(self.shared.iter_mut().filter_map(|shared| shared.lent.as_mut()))
    }

    fn may_open_one_more(&self) -> Result<(), LendingError> {
        if self.slots == 0 {
            return Err(LendingError::Closed);
        }
        if self.number_lent() >= MAX_LENT {
            return Err(LendingError::TooMany);
        }
        Ok(())
    }

    fn find_or_open_port(
        &mut self,
        asked: &LentAddress,
        borrower: Borrower<'_>,
    ) -> Result<Found, LendingError> {
        let places = places(asked);
        if let Some(found) = self.find_port(asked, &places, borrower.configured)? {
            return Ok(found);
        }
        self.may_open_one_more()?;
        let mut refused = None;
        for place in places {
            match self.open_port(place, borrower) {
                Ok(group) => {
                    self.groups.push(group);
                    return Ok(Found::Group(self.groups.len() - 1));
                }
                // There is no IPv6: the next place is of IPv4.
                Err(LendingError::Io { address, source }) if is_without_family(&source) => {
                    refused = Some(LendingError::Io { address, source });
                }
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or(LendingError::Closed))
    }

    /// What serves the port already. Where the program names no address, what is configured comes first, IPv4
    /// before IPv6.
    fn find_port(
        &self,
        asked: &LentAddress,
        places: &[BindTarget],
        configured: &[Address],
    ) -> Result<Option<Found>, LendingError> {
        let same = |group: &ListenerGroup| group.lent.as_ref().is_some_and(|lent| lent.is_meant_by(asked));
        if let Some(place) = self.groups.iter().position(same) {
            return Ok(Some(Found::Group(place)));
        }
        for (number, place) in places.iter().enumerate().rev() {
            let address = Address::Tcp(place.address);
            let serves = |shared: &SharedListener| shared.serves(&address);
            if let Some(place) = self.shared.iter().position(serves) {
                return Ok(Some(Found::Shared(place)));
            }
            let here = |group: &ListenerGroup| {
                let is_free = group.lent.is_none() || place.address.port() != 0;
                group.configured == place.address && is_free
            };
            let Some(group) = self.groups.iter().position(here) else {
                continue;
            };
            let is_first_choice = number == 0;
            let is_alike = self.groups[group].dual_stack == place.dual_stack;
            if configured.contains(&address) || (is_first_choice && is_alike) {
                return Ok(Some(Found::Group(group)));
            }
            if is_first_choice {
                let holders = vec!["this cluster, with another choice of families".to_owned()];
                return Err(LendingError::Taken { address, holders });
            }
        }
        Ok(None)
    }

    fn open_port(&self, place: BindTarget, borrower: Borrower<'_>) -> Result<ListenerGroup, LendingError> {
        let BindTarget { address, dual_stack } = place;
        let port = address.port();
        let named = Address::Tcp(address);
        if borrower.is_other_user && port != 0 && port < socket::first_unprivileged_port() {
            return Err(LendingError::NotForUser { address: named });
        }
        self.refuse_taken(&named, dual_stack, borrower.search)?;
        let opened = ListenerGroup::open(address, dual_stack, self.slots, &[]);
        let mut group = opened.map_err(|source| LendingError::Io {
            address: named,
            source,
        })?;
        // The port that the kernel chose: another generation may have port 0 configured.
        group.configured = group.address;
        Ok(group)
    }

    fn find_or_open_path(
        &mut self,
        asked: &LentAddress,
        path: &str,
        borrower: Borrower<'_>,
    ) -> Result<Found, LendingError> {
        if path.starts_with('\0') {
            return Err(LendingError::Abstract(asked.clone()));
        }
        if !path.starts_with('/') || path.len() > LONGEST_UNIX_PATH || path.contains('\0') {
            return Err(LendingError::NotAPath(asked.clone()));
        }
        let path = PathBuf::from(path);
        let address = Address::Unix(path.clone());
        let there = |shared: &SharedListener| shared.address == address && shared.is_there();
        if let Some(place) = self.shared.iter().position(there) {
            return Ok(Found::Shared(place));
        }
        self.may_open_one_more()?;
        if borrower.is_other_user && !borrower.configured.contains(&address) {
            return Err(LendingError::NotForUser { address });
        }
        let opened = socket::listen_unix(&path, mode_of(asked).unwrap_or(0));
        let listener = opened.map_err(|source| LendingError::Io { address, source })?;
        self.shared.push(SharedListener::bound(path, listener));
        Ok(Found::Shared(self.shared.len() - 1))
    }
}

/// The answer to a worker that has given a listener back.
fn returned(is_deserted: bool, listener: Option<BorrowedFd<'_>>) -> Returned {
    if is_deserted {
        return Returned::Deserted;
    }
    // Where the master can open no more, what waits in the queue waits on.
    let copy = listener.and_then(|listener| listener.try_clone_to_owned().ok());
    copy.map_or(Returned::Unknown, Returned::Served)
}

/// Where a port can be bound, the first choice first. Without an address it is `::` for both families, and
/// `0.0.0.0` on a machine without IPv6.
fn places(asked: &LentAddress) -> Vec<BindTarget> {
    let LentAddress::Tcp {
        address,
        port,
        ipv6_only,
        ..
    } = asked
    else {
        return Vec::new();
    };
    let place = |address: IpAddr, dual_stack| BindTarget {
        address: SocketAddr::new(address, *port),
        dual_stack,
    };
    let all_of_v6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    match address {
        None => vec![
            place(all_of_v6, !ipv6_only),
            place(Ipv4Addr::UNSPECIFIED.into(), false),
        ],
        Some(address) => vec![place(*address, *address == all_of_v6 && !ipv6_only)],
    }
}

fn is_without_family(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL | Errno::EPROTONOSUPPORT)
    )
}

#[cfg(test)]
mod tests;
