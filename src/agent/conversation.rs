//! Leads the conversation with a Node program: what it asks to listen on is answered with listeners of the
//! slot or of the master, and the rest is handed on.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;

use super::facts::ProgramListeners;
use super::node::channel::NodeChannel;
use super::node::request::{ListenTarget, NodeListenRequest, NodeRequestId};
use super::node::session::NodeEvent;
use crate::lifeline::LentAddress;
use crate::worker::{Lending, LendingAnswer, NamedListener};

/// The permissions of a unix socket that a program asks for.
const OWNER: u32 = 0o600;
const READABLE: u32 = 0o044;
const WRITABLE: u32 = 0o022;

/// The conversation with one program.
pub(super) struct Conversation {
    channel: NodeChannel,
    lending: Lending,
    /// The listeners of the configured addresses, for `listen({fd: N})`.
    listeners: Vec<NamedListener>,
    /// Those that the program was given, for whoever judges it.
    known: ProgramListeners,
    /// The questions that the master has not answered.
    asked: BTreeMap<u64, NodeListenRequest>,
    /// Why the last listener was refused that the machine would not give.
    refused: Option<Errno>,
}

impl Conversation {
    pub(super) fn new(
        channel: NodeChannel,
        lending: Lending,
        listeners: Vec<NamedListener>,
        known: ProgramListeners,
    ) -> Conversation {
        Conversation {
            channel,
            lending,
            listeners,
            known,
            asked: BTreeMap::new(),
            refused: None,
        }
    }

    /// What the program says next, but for its questions, which are answered here. Dropping the future loses
    /// nothing.
    pub(super) async fn next(&mut self) -> NodeEvent {
        loop {
            tokio::select! {
                biased;
                answer = self.lending.answer() => self.answered(answer),
                event = self.channel.next() => match event {
                    NodeEvent::ListenWanted(request) => self.wanted(request),
                    event => return event,
                },
            }
        }
    }

    /// Why the last listener was refused that the machine would not give: somebody else has the address, or
    /// the cluster may not bind it.
    pub(super) fn refused(&self) -> Option<Errno> {
        self.refused
    }

    /// Whether the program can still be told something.
    pub(super) fn is_open(&self) -> bool {
        self.channel.is_open()
    }

    /// Tells a program that has been told to disconnect for how long it may keep idle connections now.
    pub(super) fn hurry(&mut self, timeout: Duration) {
        self.channel.hurry(timeout);
    }

    /// Tells the program to finish its connections and to close the channel, within the time.
    pub(super) fn disconnect(&mut self, timeout: Duration) {
        self.channel.disconnect(timeout);
    }

    fn wanted(&mut self, request: NodeListenRequest) {
        let address = match &request.target {
            ListenTarget::Inherited { number } => return self.inherited(request.id, *number),
            target if self.listens_on(target) => {
                self.refuse(&request, Errno::EADDRINUSE);
                return;
            }
            ListenTarget::Tcp {
                address,
                port,
                ipv6_only,
            } => LentAddress::Tcp {
                address: *address,
                port: *port,
                ipv6_only: *ipv6_only,
                index: request.index,
            },
            ListenTarget::Path {
                path,
                readable_all,
                writable_all,
            } => LentAddress::Path {
                path: path.clone(),
                mode: permissions(*readable_all, *writable_all),
            },
        };
        let number = self.lending.ask(address);
        self.asked.insert(number, request);
    }

    /// Whether the program listens on this very address already. Each `listen(0)` has a port of its own.
    fn listens_on(&self, target: &ListenTarget) -> bool {
        !matches!(target, ListenTarget::Tcp { port: 0, .. }) && self.channel.held().any(|held| held == target)
    }

    fn inherited(&mut self, id: NodeRequestId, number: usize) {
        let copy = self.listeners.get(number).map(|listener| listener.fd.try_clone());
        match copy {
            Some(Ok(listener)) => self.grant(id, listener),
            Some(Err(error)) => drop(self.channel.refuse(id, errno_of(&error))),
            None => {
                tracing::error!(
                    "the program cannot listen on descriptor {}: the configuration names {} addresses, and \
                     the first is descriptor 3; add one with --bind",
                    number + 3,
                    self.listeners.len()
                );
                self.channel.refuse(id, Errno::EBADF);
            }
        }
    }

    fn answered(&mut self, LendingAnswer { number, listener }: LendingAnswer) {
        let Some(request) = self.asked.remove(&number) else {
            return;
        };
        match listener {
            Ok(listener) => self.grant(request.id, listener),
            Err(errno) => {
                if [Errno::EADDRINUSE, Errno::EACCES, Errno::EPERM].contains(&errno) {
                    self.refused = Some(errno);
                }
                self.refuse(&request, errno);
            }
        }
    }

    fn grant(&mut self, id: NodeRequestId, listener: OwnedFd) {
        let copy = listener.try_clone();
        // A request that is not open any more: the program has ended or was replaced.
        if self.channel.grant(id, listener)
            && let Err(error) = copy.and_then(|copy| self.known.add(copy))
        {
            tracing::debug!(%error, "a listener of the program is not watched");
        }
    }

    fn refuse(&mut self, request: &NodeListenRequest, errno: Errno) {
        let (target, reason) = (&request.target, errno.desc());
        if self.channel.refuse(request.id, errno) {
            tracing::error!("the program cannot listen on {target}: {reason}");
        }
    }
}

fn permissions(readable_all: bool, writable_all: bool) -> u32 {
    let bits = |wanted: bool, bits: u32| if wanted { bits } else { 0 };
    OWNER | bits(readable_all, READABLE) | bits(writable_all, WRITABLE)
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}
