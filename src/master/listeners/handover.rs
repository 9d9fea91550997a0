//! The listeners in an upgrade: how one master binary hands them to the next. The steering programs stay
//! attached to their groups.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use super::admin::AdminListener;
use super::groups::{ListenerGroup, Listeners};
use super::lent::Lent;
use super::shared::SharedListener;
use crate::config::Address;
use crate::master::upgrade::{FdKind, FdNumber, HandoverFdError, HandoverFds};
use crate::sys::socket::FileId;

/// The listeners without their behaviour: dropping this value closes sockets and removes no path. `F` is the
/// number of a descriptor in the written state, and the descriptor itself once the new master has taken it
/// over.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::master) struct ListenersState<F> {
    groups: Vec<GroupState<F>>,
    shared: Vec<SharedState<F>>,
    admin: Option<(Address, Option<FileId>, F)>,
    slots: u16,
}

#[derive(Debug, Serialize, Deserialize)]
struct SharedState<F> {
    address: Address,
    file: Option<FileId>,
    passed: bool,
    listener: F,
    lent: Option<Lent>,
}

#[derive(Debug, Serialize, Deserialize)]
struct GroupState<F> {
    configured: SocketAddr,
    address: SocketAddr,
    dual_stack: bool,
    /// In the kernel's order.
    members: Vec<F>,
    lent: Option<Lent>,
}

impl Listeners {
    /// The state to hand over.
    pub(in crate::master) fn state(&self, fds: &mut HandoverFds) -> ListenersState<FdNumber> {
        let mut add = |fd: &OwnedFd| fds.add(fd, FdKind::Listener);
        let group = |group: &ListenerGroup| GroupState {
            configured: group.configured,
            address: group.address,
            dual_stack: group.dual_stack,
            members: group.members.iter().map(&mut add).collect(),
            lent: group.lent.clone(),
        };
        let groups = self.groups.iter().map(group).collect();
        let shared = |shared: &SharedListener| SharedState {
            address: shared.address.clone(),
            file: shared.file.clone(),
            passed: shared.passed,
            listener: add(&shared.listener),
            lent: shared.lent.clone(),
        };
        let shared = self.shared.iter().map(shared).collect();
        let admin = |admin: &AdminListener| (admin.address.clone(), admin.file.clone(), add(&admin.listener));
        ListenersState {
            groups,
            shared,
            admin: self.admin.as_ref().map(admin),
            slots: self.slots,
        }
    }

    /// The listeners of the master before this binary.
    pub(in crate::master) fn restored(state: ListenersState<OwnedFd>) -> Listeners {
        let group = |group: GroupState<OwnedFd>| ListenerGroup {
            configured: group.configured,
            address: group.address,
            dual_stack: group.dual_stack,
            members: group.members,
            lent: group.lent,
        };
        // Another program's socket may be at a path by now, so the file is not looked up again.
        let shared = |shared: SharedState<OwnedFd>| SharedListener {
            address: shared.address,
            file: shared.file,
            passed: shared.passed,
            listener: shared.listener,
            lent: shared.lent,
        };
        let admin = |(address, file, listener)| AdminListener {
            address,
            file,
            listener,
        };
        Listeners {
            groups: state.groups.into_iter().map(group).collect(),
            shared: state.shared.into_iter().map(shared).collect(),
            admin: state.admin.map(admin),
            slots: state.slots,
        }
    }
}

impl ListenersState<FdNumber> {
    /// Takes over the sockets.
    pub(in crate::master) fn take_over(
        self,
        fds: &mut HandoverFds,
    ) -> Result<ListenersState<OwnedFd>, HandoverFdError> {
        let mut take = |fd: FdNumber| fds.take(fd, FdKind::Listener);
        let mut group = |group: GroupState<FdNumber>| {
            let members = group.members.into_iter().map(&mut take);
            Ok(GroupState {
                configured: group.configured,
                address: group.address,
                dual_stack: group.dual_stack,
                members: members.collect::<Result<_, _>>()?,
                lent: group.lent,
            })
        };
        let groups = self.groups.into_iter().map(&mut group);
        let groups = groups.collect::<Result<_, _>>()?;
        let shared = |shared: SharedState<FdNumber>| {
            Ok(SharedState {
                address: shared.address,
                file: shared.file,
                passed: shared.passed,
                listener: take(shared.listener)?,
                lent: shared.lent,
            })
        };
        let shared = self.shared.into_iter().map(shared).collect::<Result<_, _>>()?;
        let admin = |(address, file, fd)| Ok((address, file, take(fd)?));
        Ok(ListenersState {
            groups,
            shared,
            admin: self.admin.map(admin).transpose()?,
            slots: self.slots,
        })
    }
}
