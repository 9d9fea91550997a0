//! The listeners on their way to another master binary. The steering programs stay on their groups.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::admin::Admin;
use super::groups::{Group, Listeners, SharedPath};
use crate::config::Address;
use crate::master::upgrade::{Fd, Luggage, LuggageError, What};
use crate::sys::socket::FileId;

/// As they are written down.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::master) struct PackedListeners {
    groups: Vec<PackedGroup>,
    paths: Vec<(PathBuf, Option<FileId>, Fd)>,
    admin: Option<(Address, Option<FileId>, Fd)>,
    slots: u16,
}

#[derive(Debug, Serialize, Deserialize)]
struct PackedGroup {
    asked: SocketAddr,
    address: SocketAddr,
    /// In the kernel's order.
    members: Vec<Fd>,
}

/// As they were read. Letting go of them removes no path.
pub(in crate::master) struct UnpackedListeners {
    groups: Vec<Group>,
    paths: Vec<(PathBuf, Option<FileId>, OwnedFd)>,
    admin: Option<(Address, Option<FileId>, OwnedFd)>,
    slots: u16,
}

impl Listeners {
    /// Writes them down.
    pub(in crate::master) fn pack(&self, luggage: &mut Luggage) -> PackedListeners {
        let mut pack = |fd: &OwnedFd| luggage.pack(fd, What::Listener);
        let group = |group: &Group| PackedGroup {
            asked: group.asked,
            address: group.address,
            members: group.members.iter().map(&mut pack).collect(),
        };
        let groups = self.groups.iter().map(group).collect();
        let path = |shared: &SharedPath| (shared.path.clone(), shared.file.clone(), pack(&shared.listener));
        let paths = self.paths.iter().map(path).collect();
        let admin = |admin: &Admin| (admin.address.clone(), admin.file.clone(), pack(&admin.listener));
        PackedListeners {
            groups,
            paths,
            admin: self.admin.as_ref().map(admin),
            slots: self.slots,
        }
    }

    /// Goes on with them.
    pub(in crate::master) fn kept(unpacked: UnpackedListeners) -> Listeners {
        // What lies at a path by now may be another's.
        let path = |(path, file, listener)| SharedPath { path, file, listener };
        Listeners {
            groups: unpacked.groups,
            paths: unpacked.paths.into_iter().map(path).collect(),
            admin: unpacked.admin.map(|(address, file, listener)| Admin {
                address,
                file,
                listener,
            }),
            slots: unpacked.slots,
        }
    }
}

impl PackedListeners {
    /// Takes the sockets over.
    pub(in crate::master) fn unpack(self, luggage: &mut Luggage) -> Result<UnpackedListeners, LuggageError> {
        let mut take = |fd: Fd| luggage.unpack(fd, What::Listener);
        let mut group = |packed: PackedGroup| {
            Ok(Group {
                asked: packed.asked,
                address: packed.address,
                members: packed
                    .members
                    .into_iter()
                    .map(&mut take)
                    .collect::<Result<_, _>>()?,
            })
        };
        let groups = self
            .groups
            .into_iter()
            .map(&mut group)
            .collect::<Result<_, _>>()?;
        let path = |(path, file, fd)| Ok((path, file, take(fd)?));
        let paths = self.paths.into_iter().map(path).collect::<Result<_, _>>()?;
        let admin = |(address, file, fd)| Ok((address, file, take(fd)?));
        Ok(UnpackedListeners {
            groups,
            paths,
            admin: self.admin.map(admin).transpose()?,
            slots: self.slots,
        })
    }
}
