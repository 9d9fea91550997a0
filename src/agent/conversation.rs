//! Leads the conversation with a Node program: what it asks to listen on is answered with listeners of the
//! slot or of the master, and the rest is handed on.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::stat::fstat;

use super::facts::ProgramListeners;
use super::node::channel::NodeChannel;
use super::node::request::{ListenTarget, NodeListenRequest};
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
    /// What was granted, and is not closed.
    granted: Vec<Granted>,
    /// The listeners that were given back, and of which the master has said nothing yet.
    returned: BTreeSet<u64>,
    /// Whether the program was told to close them all. The queues are served by others then.
    drains: bool,
    /// Why the last listener was refused that the machine would not give.
    refused: Option<Errno>,
    /// How many were refused.
    refusals: u32,
}

/// Refusals that are told as errors. A program may ask again and again.
const MOST_TOLD: u32 = 5;

/// What comes of a conversation.
#[derive(Debug)]
pub(super) enum Heard {
    /// The program says something.
    Node(NodeEvent),
    /// The program has closed this listener, whose queue may hold connections still. Others listen there.
    QueueLeft(OwnedFd),
}

/// A listener that a program was granted.
#[derive(Debug)]
struct Granted {
    target: ListenTarget,
    inode: u64,
    /// How the master was asked for it; none for one that is configured.
    lent: Option<LentAddress>,
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
            granted: Vec::new(),
            returned: BTreeSet::new(),
            drains: false,
            refused: None,
            refusals: 0,
        }
    }

    /// What the program says next, but for its questions, which are answered here. Dropping the future loses
    /// nothing.
    pub(super) async fn next(&mut self) -> Heard {
        loop {
            tokio::select! {
                biased;
                answer = self.lending.answer() => {
                    if let Some(left) = self.answered(answer) {
                        return Heard::QueueLeft(left);
                    }
                }
                event = self.channel.next() => match event {
                    NodeEvent::ListenWanted(request) => self.wanted(request),
                    NodeEvent::Closed(target) => self.closed(&target),
                    event => {
                        if let NodeEvent::Taken { .. } = event {
                            self.begin_anew();
                        }
                        return Heard::Node(event);
                    }
                },
            }
        }
    }

    /// Of a program that has ended, the next that it has said and nobody has heard; none when that was all,
    /// or nothing comes for so long.
    pub(super) async fn rest(&mut self, at_most: Duration) -> Option<NodeEvent> {
        if !self.is_open() {
            return None;
        }
        let next = tokio::time::timeout(at_most, self.channel.next()).await.ok();
        next.filter(|event| !matches!(event, NodeEvent::End(_)))
    }

    /// Why the last listener was refused that the machine would not give: somebody else has the address, or
    /// the cluster may not bind it.
    pub(super) fn refused(&self) -> Option<Errno> {
        self.refused
    }

    /// Whether the program has closed everything that it listened on.
    pub(super) fn has_left_everything(&self) -> bool {
        self.granted.is_empty()
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
        self.drains = true;
        self.channel.disconnect(timeout);
    }

    fn wanted(&mut self, request: NodeListenRequest) {
        if let ListenTarget::Inherited { number } = request.target {
            return self.inherited(&request, number);
        }
        if self.listens_on(&request.target) {
            return self.refuse(&request, Errno::EADDRINUSE);
        }
        if let Some(address) = lent_address(&request) {
            let number = self.lending.ask(address);
            self.asked.insert(number, request);
        }
    }

    /// The program has closed a listener. One that it was lent goes back to the master, so that its slot gets
    /// no connections there.
    fn closed(&mut self, target: &ListenTarget) {
        let Some(place) = self.granted.iter().position(|granted| granted.target == *target) else {
            return;
        };
        let Granted { inode, lent, .. } = self.granted.swap_remove(place);
        // One of these may be asked for in two ways, such as by an address of both families and by one.
        let is_had = self.granted.iter().any(|granted| granted.inode == inode);
        if let Some(address) = lent.filter(|_| !is_had && !self.drains) {
            self.known.remove(inode);
            self.returned.insert(self.lending.give_back(address));
        }
    }

    /// Another process of the program has taken the channel. What the last one listened on is not given back:
    /// such as a program that a development tool has started again, it will ask for the same.
    fn begin_anew(&mut self) {
        self.granted.clear();
        self.known.begin_anew();
    }

    /// Whether the program listens on this very address already. Each `listen(0)` has a port of its own.
    fn listens_on(&self, target: &ListenTarget) -> bool {
        !matches!(target, ListenTarget::Tcp { port: 0, .. }) && self.channel.held().any(|held| held == target)
    }

    fn inherited(&mut self, request: &NodeListenRequest, number: usize) {
        let copy = self.listeners.get(number).map(|listener| listener.fd.try_clone());
        match copy {
            Some(Ok(listener)) => self.grant(request, listener),
            Some(Err(error)) => drop(self.channel.refuse(request.id, errno_of(&error))),
            None => {
                tracing::error!(
                    "the program cannot listen on descriptor {}: the configuration names {} addresses, and \
                     the first is descriptor 3; add one with --bind",
                    number + 3,
                    self.listeners.len()
                );
                self.channel.refuse(request.id, Errno::EBADF);
            }
        }
    }

    /// Takes an answer of the master. Returns a listener that was given back and has to be emptied.
    fn answered(&mut self, LendingAnswer { number, listener }: LendingAnswer) -> Option<OwnedFd> {
        if self.returned.remove(&number) {
            return listener.ok();
        }
        let request = self.asked.remove(&number)?;
        match listener {
            Ok(listener) => self.grant(&request, listener),
            Err(errno) => {
                if [Errno::EADDRINUSE, Errno::EACCES, Errno::EPERM].contains(&errno) {
                    self.refused = Some(errno);
                }
                self.refuse(&request, errno);
            }
        }
        None
    }

    fn grant(&mut self, request: &NodeListenRequest, listener: OwnedFd) {
        let copy = listener.try_clone();
        // A request that is not open any more: the program has ended or was replaced.
        if self.channel.grant(request.id, listener)
            && let Err(error) = copy.and_then(|copy| self.note(request, copy))
        {
            tracing::debug!(%error, "a listener of the program is not watched");
        }
    }

    fn note(&mut self, request: &NodeListenRequest, listener: OwnedFd) -> io::Result<()> {
        let inode_of = |socket: BorrowedFd<'_>| Ok::<_, io::Error>(fstat(socket)?.st_ino);
        let inode = inode_of(listener.as_fd())?;
        let mut configured = self.listeners.iter().map(|one| inode_of(one.fd.as_fd()));
        let is_configured = configured.any(|one| one.is_ok_and(|one| one == inode));
        self.granted.push(Granted {
            target: request.target.clone(),
            inode,
            lent: lent_address(request).filter(|_| !is_configured),
        });
        match is_configured {
            true => self.known.add_configured(listener),
            false => self.known.add(listener),
        }
    }

    fn refuse(&mut self, request: &NodeListenRequest, errno: Errno) {
        let (target, reason) = (&request.target, errno.desc());
        if !self.channel.refuse(request.id, errno) {
            return;
        }
        self.refusals = self.refusals.saturating_add(1);
        match self.refusals {
            ..MOST_TOLD => tracing::error!("the program cannot listen on {target}: {reason}"),
            MOST_TOLD => tracing::error!(
                "the program cannot listen on {target}: {reason}; it has been refused {MOST_TOLD} times, and \
                 further refusals are not told"
            ),
            _ => tracing::debug!("the program cannot listen on {target}: {reason}"),
        }
    }
}

/// How the master is asked for a listener; none for one that the worker has.
fn lent_address(request: &NodeListenRequest) -> Option<LentAddress> {
    match &request.target {
        ListenTarget::Inherited { .. } => None,
        ListenTarget::Tcp {
            address,
            port,
            ipv6_only,
        } => Some(LentAddress::Tcp {
            address: *address,
            port: *port,
            ipv6_only: *ipv6_only,
            index: request.index,
        }),
        ListenTarget::Path {
            path,
            readable_all,
            writable_all,
        } => Some(LentAddress::Path {
            path: path.clone(),
            mode: permissions(*readable_all, *writable_all),
        }),
    }
}

fn permissions(readable_all: bool, writable_all: bool) -> u32 {
    let bits = |wanted: bool, bits: u32| if wanted { bits } else { 0 };
    OWNER | bits(readable_all, READABLE) | bits(writable_all, WRITABLE)
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}
