//! The listeners that the service manager keeps over a restart of the service (`FDSTORE=1` of
//! `sd_notify(3)`): the names under which they are stored, and what they are when they come back. What waits
//! in their queues is served by the next master.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::groups::{ListenerGroup, Listeners};
use super::shared::SharedListener;
use crate::config::Address;
use crate::sys::socket::FileId;

/// How the name of a stored listener begins that is the member of a slot: then follow slot and address.
const MEMBER: &str = "cluster-slot-";
/// How the name of a stored listener begins that is at a path: then follow device and inode of the socket
/// file, and the path.
const PATH: &str = "cluster-path-";
/// The longest name that systemd takes, in bytes.
const MAX_NAME: usize = 255;

/// A listener that the service manager kept.
#[derive(Debug)]
pub(in crate::master) struct StoredListener {
    pub(in crate::master) name: String,
    pub(in crate::master) address: Address,
    pub(in crate::master) listener: OwnedFd,
}

/// What the name of a stored listener says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoredAs {
    Member { slot: u16 },
    Path { device: u64, inode: u64 },
}

impl StoredAs {
    fn parse(name: &str) -> Option<StoredAs> {
        if let Some(rest) = name.strip_prefix(MEMBER) {
            let (slot, _address) = rest.split_once('-')?;
            return Some(StoredAs::Member {
                slot: slot.parse().ok()?,
            });
        }
        let mut parts = name.strip_prefix(PATH)?.splitn(3, '-');
        let mut number = || parts.next()?.parse().ok();
        Some(StoredAs::Path {
            device: number()?,
            inode: number()?,
        })
    }
}

/// Whether this program has given a stored descriptor this name.
pub(in crate::master) fn is_stored(name: &str) -> bool {
    StoredAs::parse(name).is_some()
}

/// A name as systemd takes it: printable ASCII without colons.
fn clean(name: &str) -> String {
    let allowed = |character: char| (' '..='~').contains(&character) && character != ':';
    let characters = name.chars().take(MAX_NAME);
    characters
        .map(|character| if allowed(character) { character } else { '_' })
        .collect()
}

impl Listeners {
    /// The listeners to keep, each with its name. A service manager that keeps fewer has the paths, and the
    /// first slots of each address.
    pub(in crate::master) fn to_store(&self) -> Vec<(String, BorrowedFd<'_>)> {
        let path = |shared: &'_ SharedListener| {
            let (device, inode) = shared.file.as_ref()?.numbers();
            Some(clean(&format!("{PATH}{device}-{inode}-{}", shared.address)))
        };
        // Those that programs have asked for are bound anew when they ask again.
        let own = |shared: &&SharedListener| !shared.passed && shared.lent.is_none();
        let own = self.shared.iter().filter(own);
        let mut all: Vec<(String, BorrowedFd<'_>)> = own
            .filter_map(|shared| Some((path(shared)?, shared.listener.as_fd())))
            .collect();
        for slot in 0..self.slots {
            for group in self.groups.iter().filter(|group| group.lent.is_none()) {
                let name = clean(&format!("{MEMBER}{slot}-{}", group.address));
                let member = group.members.get(usize::from(slot));
                all.extend(member.map(|member| (name, member.as_fd())));
            }
        }
        all
    }

    /// Those of these addresses that have no listener. A listener whose socket file is missing is one, too.
    pub(in crate::master) fn closed(&self, addresses: &[Address]) -> Vec<Address> {
        let is_open = |address: &Address| {
            self.shared.iter().any(|shared| shared.address == *address)
                || self
                    .groups
                    .iter()
                    .any(|group| Address::Tcp(group.configured) == *address)
        };
        let closed = addresses.iter().filter(|address| !is_open(address));
        closed.cloned().collect()
    }

    /// How many members the largest group has.
    pub(in crate::master) fn slots(&self) -> u16 {
        self.slots
    }

    /// Takes back what the service manager kept, as far as it fits these addresses, and closes the rest.
    /// Returns how many listeners fitted.
    pub(in crate::master) fn restore_stored(
        &mut self,
        stored: Vec<StoredListener>,
        bind: &[Address],
    ) -> usize {
        let mut groups: BTreeMap<SocketAddr, BTreeMap<u16, OwnedFd>> = BTreeMap::new();
        for StoredListener {
            name,
            address,
            listener,
        } in stored
        {
            match (StoredAs::parse(&name), address) {
                (Some(StoredAs::Member { slot }), Address::Tcp(address)) => {
                    groups.entry(address).or_default().insert(slot, listener);
                }
                (Some(StoredAs::Path { device, inode }), Address::Unix(path))
                    if bind.contains(&Address::Unix(path.clone())) =>
                {
                    self.shared.push(kept(&path, (device, inode), listener));
                }
                (Some(StoredAs::Member { .. } | StoredAs::Path { .. }) | None, _) => {}
            }
        }
        for (address, members) in groups {
            if let Some(configured) = self.configured_as(address, bind) {
                self.restore_group(configured, address, members);
            }
        }
        let members = self.groups.iter().map(|group| group.members.len());
        let paths = self.shared.iter().filter(|shared| !shared.passed).count();
        members.sum::<usize>() + paths
    }

    /// The member of each slot is the one that began to listen so many listeners after the first, which the
    /// steering program counts on. So what follows a gap cannot be used; closing it changes no order.
    fn restore_group(
        &mut self,
        configured: SocketAddr,
        address: SocketAddr,
        members: BTreeMap<u16, OwnedFd>,
    ) {
        let in_order = (0..).zip(members).take_while(|(place, (slot, _))| place == slot);
        let members: Vec<OwnedFd> = in_order.map(|(_, (_, member))| member).collect();
        if members.is_empty() {
            return;
        }
        self.slots = self.slots.max(u16::try_from(members.len()).unwrap_or(u16::MAX));
        self.groups.push(ListenerGroup {
            configured,
            address,
            // A group of the configuration takes its own family alone.
            dual_stack: false,
            members,
            lent: None,
        });
    }

    /// The address of the configuration that a group serves: its own, or its own with a port that the kernel
    /// chose.
    fn configured_as(&self, address: SocketAddr, bind: &[Address]) -> Option<SocketAddr> {
        let is_passed = |shared: &SharedListener| shared.passed && shared.serves(&Address::Tcp(address));
        if self.shared.iter().any(is_passed) {
            return None;
        }
        let fits = |configured: &SocketAddr| {
            let chosen = configured.port() == 0 && configured.ip() == address.ip();
            let is_free = || self.groups.iter().all(|group| group.configured != *configured);
            (*configured == address || chosen) && is_free()
        };
        let mut tcp = bind.iter().filter_map(|address| match address {
            Address::Tcp(configured) => Some(*configured),
            Address::Unix(_) => None,
        });
        tcp.find(fits)
    }

    /// The files of the sockets stay when these listeners are closed: the next master has the same sockets.
    pub(in crate::master) fn leave_files(&mut self) {
        for shared in &mut self.shared {
            shared.file = None;
        }
    }
}

fn kept(path: &Path, (device, inode): (u64, u64), listener: OwnedFd) -> SharedListener {
    SharedListener {
        address: Address::Unix(path.to_owned()),
        file: Some(FileId::known(path, device, inode)),
        passed: false,
        listener,
        lent: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FileMode;
    use crate::sys::socket;

    const MANY: u16 = 3;

    fn opened(bind: &[Address]) -> Listeners {
        let mut listeners = Listeners::default();
        listeners.grow(MANY).expect("nothing to open");
        let mode = FileMode::try_from("0600".to_owned()).expect("a mode");
        listeners.open(bind, mode, &[]).expect("opened");
        listeners
    }

    /// What a service manager gives back, in an order of its own.
    fn stored(listeners: &Listeners) -> Vec<StoredListener> {
        let all = listeners.to_store().into_iter().rev();
        let given_back = all.map(|(name, listener)| StoredListener {
            name,
            address: match socket::local_path(&listener).expect("a socket") {
                Some(path) => Address::Unix(path),
                None => Address::Tcp(socket::local_address(&listener).expect("an address")),
            },
            listener: listener.try_clone_to_owned().expect("duplicated"),
        });
        given_back.collect()
    }

    fn inodes(listeners: &Listeners) -> Vec<String> {
        let all = listeners.all().into_iter();
        let inode = |fd: BorrowedFd<'_>| format!("{:?}", nix::sys::stat::fstat(fd).expect("open").st_ino);
        all.map(inode).collect()
    }

    fn addresses(directory: &Path) -> [Address; 2] {
        let any = "127.0.0.1:0".parse().expect("an address");
        [Address::Tcp(any), Address::Unix(directory.join("a:b.sock"))]
    }

    #[test]
    fn groups_come_back_in_the_order_of_their_slots_and_paths_with_their_files() {
        let directory = tempfile::tempdir().expect("a directory");
        let bind = addresses(directory.path());
        let mut before = opened(&bind);
        let kept = stored(&before);
        assert!(
            kept.iter()
                .all(|kept| is_stored(&kept.name) && !kept.name.contains(':'))
        );
        let mut after = Listeners::default();
        assert_eq!(after.restore_stored(kept, &bind), usize::from(MANY) + 1);
        assert_eq!(inodes(&after), inodes(&before));
        assert_eq!(after.closed(&bind), []);
        before.leave_files();
        drop(before);
        assert!(after.shared[0].is_there(), "the file stays");
        drop(after);
        assert!(!directory.path().join("a:b.sock").exists(), "it was ours again");
    }

    #[test]
    fn what_fits_no_address_or_follows_a_gap_is_closed() {
        let directory = tempfile::tempdir().expect("a directory");
        let bind = addresses(directory.path());
        let before = opened(&bind);
        let other = Address::Tcp("127.0.0.2:0".parse().expect("an address"));
        let mut after = Listeners::default();
        assert_eq!(after.restore_stored(stored(&before), &[other]), 0);
        let but = |slot: &str| {
            let mut kept = stored(&before);
            kept.retain(|kept| !kept.name.starts_with(&format!("{MEMBER}{slot}-")));
            let mut after = Listeners::default();
            after.restore_stored(kept, &bind[..1])
        };
        assert_eq!([but("0"), but("1"), but("2")], [0, 1, 2]);
    }

    #[test]
    fn names_are_those_that_systemd_takes() {
        assert_eq!(clean("a:b\nä-[::1]"), "a_b__-[__1]");
        assert_eq!(clean(&"x".repeat(300)).len(), MAX_NAME);
        let names = ["cluster-slot-7-127.0.0.1_80", "cluster-path-5-6-unix_/a-b"];
        assert_eq!(StoredAs::parse(names[0]), Some(StoredAs::Member { slot: 7 }));
        assert_eq!(
            StoredAs::parse(names[1]),
            Some(StoredAs::Path { device: 5, inode: 6 })
        );
        for other in [
            "web",
            "stored",
            "cluster-slot-x-y",
            "cluster-path-5-x-y",
            "cluster-slot-7",
        ] {
            assert!(!is_stored(other), "{other}");
        }
    }
}
