//! What the agent knows of the program that it runs: its process, its slot, the listeners that it was given.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use socket2::{Domain, SockRef};

use crate::base::ids::Slot;
use crate::sys::socket;

/// How a program gets its connections, once that is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedMode {
    /// It has the slot's listeners from descriptor 3 on.
    Fds,
    /// It asks for listeners over Node's channel.
    Node,
    /// It binds by itself.
    Reuseport,
}

/// One program that runs.
#[derive(Clone, Debug)]
pub struct ProgramFacts {
    /// Its first process, the agent's child.
    pub pid: i32,
    /// The slot of its worker.
    pub slot: Slot,
    /// How it gets its connections.
    pub mode: UsedMode,
    /// The listeners that it was given.
    pub listeners: ProgramListeners,
}

/// The listeners that a program was given until now. Cheap to clone; a Node program gets more while it runs.
#[derive(Clone, Debug, Default)]
pub struct ProgramListeners {
    given: Arc<Mutex<Vec<GivenListener>>>,
}

#[derive(Debug)]
struct GivenListener {
    socket: OwnedFd,
    inode: u64,
    /// Its address stands in the configuration.
    configured: bool,
    address: Option<SocketAddr>,
    /// A TCP listener that no other slot accepts from.
    own: bool,
    takes_ipv4: bool,
}

impl ProgramListeners {
    /// The program was given this listener, of which the agent keeps a descriptor.
    ///
    /// # Errors
    /// When the kernel does not tell what it is.
    pub fn add(&self, socket: OwnedFd) -> io::Result<()> {
        self.insert(GivenListener::new(socket, false)?);
        Ok(())
    }

    /// As [`ProgramListeners::add`], for one whose address stands in the configuration.
    ///
    /// # Errors
    /// When the kernel does not tell what it is.
    pub fn add_configured(&self, socket: OwnedFd) -> io::Result<()> {
        self.insert(GivenListener::new(socket, true)?);
        Ok(())
    }

    fn insert(&self, listener: GivenListener) {
        self.remove(listener.inode);
        self.given().push(listener);
    }

    /// The program has closed the listener that is named by this inode.
    pub fn remove(&self, inode: u64) {
        self.given().retain(|listener| listener.inode != inode);
    }

    /// Another process of the program has begun, which has only what is configured.
    pub(super) fn begin_anew(&self) {
        self.given().retain(|listener| listener.configured);
    }

    /// The inodes that name them.
    #[must_use]
    pub fn inodes(&self) -> Vec<u64> {
        self.given().iter().map(|listener| listener.inode).collect()
    }

    /// How many connections wait in the queues that are this program's alone; `None` when there is no such
    /// queue. Those of unix sockets are shared by all workers, and so are those of sockets that the service
    /// manager opened without `SO_REUSEPORT`.
    #[must_use]
    pub fn waiting(&self) -> Option<u32> {
        let given = self.given();
        let own = given.iter().filter(|listener| listener.own);
        own.filter_map(|listener| socket::accept_queue(&listener.socket).ok())
            .reduce(u32::saturating_add)
    }

    /// The addresses at which IPv4 clients of this machine reach these listeners, each with whether the
    /// listener is this program's alone. Those that stand in the configuration come first.
    pub(super) fn reached_by_ipv4(&self) -> Vec<(SocketAddr, bool)> {
        let given = self.given();
        let (configured, other): (Vec<_>, Vec<_>) = given.iter().partition(|listener| listener.configured);
        let reached = configured.into_iter().chain(other).filter_map(|listener| {
            let address = listener.address.filter(|_| listener.takes_ipv4)?;
            let host = match address.ip() {
                IpAddr::V4(host) if !host.is_unspecified() => host,
                IpAddr::V4(_) | IpAddr::V6(_) => Ipv4Addr::LOCALHOST,
            };
            Some((SocketAddr::new(host.into(), address.port()), listener.own))
        });
        reached.collect()
    }

    fn given(&self) -> MutexGuard<'_, Vec<GivenListener>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GivenListener {
    fn new(socket: OwnedFd, configured: bool) -> io::Result<GivenListener> {
        let inode = nix::sys::stat::fstat(&socket)?.st_ino;
        let (domain, own) = {
            let options = SockRef::from(&socket);
            let domain = options.domain()?;
            (domain, domain != Domain::UNIX && options.reuse_port()?)
        };
        let address = match domain {
            Domain::UNIX => None,
            _ => Some(socket::local_address(&socket)?),
        };
        let takes_ipv4 = match address {
            Some(SocketAddr::V4(_)) => true,
            // One that is bound to an address of IPv6 takes nothing else.
            Some(SocketAddr::V6(address)) => {
                address.ip().is_unspecified() && socket::takes_both_families(&socket)?
            }
            None => false,
        };
        Ok(GivenListener {
            socket,
            inode,
            configured,
            address,
            own,
            takes_ipv4,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::agent::test_program::listener;

    #[test]
    fn only_the_queue_of_a_listener_of_its_own_is_counted() {
        let listeners = ProgramListeners::default();
        assert_eq!(listeners.waiting(), None);
        let shared = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = shared.local_addr().expect("an address");
        listeners.add(shared.into()).expect("a listener");
        let directory = tempfile::tempdir().expect("a directory");
        let unix = UnixListener::bind(directory.path().join("a")).expect("a listener");
        listeners.add(unix.into()).expect("a listener");
        let _waits = TcpStream::connect(address).expect("connected");
        assert_eq!(listeners.waiting(), None, "others accept from both");

        let (own, inode) = listener();
        let at = own.local_addr().expect("an address");
        listeners.add(own.into()).expect("a listener");
        assert_eq!(listeners.waiting(), Some(0));
        let _waits = TcpStream::connect(at).expect("connected");
        assert_eq!(listeners.waiting(), Some(1));
        assert_eq!(listeners.inodes().len(), 3);
        assert_eq!(listeners.reached_by_ipv4(), [(address, false), (at, true)]);
        listeners.remove(inode);
        assert_eq!(listeners.waiting(), None);
    }

    #[test]
    fn what_is_configured_is_probed_first_and_stays_when_another_process_begins() {
        let listeners = ProgramListeners::default();
        let [(first, _), (second, _)] = [listener(), listener()];
        let at = [&first, &second].map(|socket| socket.local_addr().expect("an address"));
        for _ in 0..2 {
            listeners
                .add(first.try_clone().expect("a copy").into())
                .expect("a listener");
        }
        listeners.add_configured(second.into()).expect("a listener");
        assert_eq!(listeners.reached_by_ipv4(), [(at[1], true), (at[0], true)]);
        listeners.begin_anew();
        assert_eq!(listeners.reached_by_ipv4(), [(at[1], true)]);
    }

    #[test]
    fn a_wildcard_is_reached_over_the_loopback_and_ipv6_alone_is_not() {
        let listeners = ProgramListeners::default();
        let open = |address: &str| socket::listen(address.parse().expect("an address"));
        listeners
            .add(open("0.0.0.0:0").expect("a listener"))
            .expect("a listener");
        // The listeners of the cluster take one family each; a machine may have no IPv6 at all.
        if let Ok(socket) = open("[::]:0") {
            listeners.add(socket).expect("a listener");
        }
        let reached = listeners.reached_by_ipv4();
        assert_eq!(reached.len(), 1, "{reached:?}");
        assert_eq!(reached[0].0.ip(), Ipv4Addr::LOCALHOST);
    }
}
