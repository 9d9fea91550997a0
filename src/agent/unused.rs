//! Finds listeners that were opened for a program and that it never uses: connections there are queued, and
//! nobody accepts them. It must not know who is told.

use std::time::Duration;

use tokio::time::Instant;

use super::evidence::{self, Evidence};
use super::facts::{ProgramFacts, UsedMode};
use crate::sys::socket;
use crate::worker::NamedListener;

/// A program may take a listener some time after it was ready, and one that accepts in turns may be busy at
/// the moment of a look.
const LOOKS: u32 = 3;
const BETWEEN: Duration = Duration::from_secs(1);

/// A listener of an address that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConfiguredListener {
    inode: u64,
    /// Where clients connect to.
    address: String,
}

/// Those of the slot, as far as the kernel tells what they are.
pub(super) fn configured_listeners(listeners: &[NamedListener]) -> Vec<ConfiguredListener> {
    let known = listeners.iter().filter_map(|listener| {
        let inode = nix::sys::stat::fstat(&listener.fd).ok()?.st_ino;
        let address = socket::local_address(&listener.fd);
        Some(ConfiguredListener {
            inode,
            address: address.map_or_else(|_| listener.name.clone(), |address| address.to_string()),
        })
    });
    known.collect()
}

/// The listeners of which it is not known that the program accepts from them.
#[derive(Debug)]
pub(super) struct UnusedListeners {
    /// The addresses of all that are configured.
    configured: Vec<String>,
    left: Vec<ConfiguredListener>,
    looks: u32,
    next: Option<Instant>,
}

impl UnusedListeners {
    pub(super) fn of(configured: &[ConfiguredListener]) -> UnusedListeners {
        UnusedListeners {
            configured: configured
                .iter()
                .map(|listener| listener.address.clone())
                .collect(),
            left: configured.to_vec(),
            looks: 0,
            next: None,
        }
    }

    /// The addresses of all that are configured.
    pub(super) fn configured(&self) -> &[String] {
        &self.configured
    }

    /// The program is ready now.
    pub(super) fn begin(&mut self) {
        self.next = (!self.left.is_empty()).then(|| Instant::now() + BETWEEN);
    }

    /// When to look; `None`: never again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.next
    }

    /// Looks at the listeners that are left. After the last look, the addresses of those that are still left.
    pub(super) fn look(&mut self, program: &ProgramFacts) -> Option<String> {
        let given = program.listeners.inodes();
        self.left.retain(|listener| match program.mode {
            UsedMode::Node => !given.contains(&listener.inode),
            UsedMode::Fds => evidence::accepts_from(program.pid, &[listener.inode]) == Evidence::NotShown,
            UsedMode::Reuseport => true,
        });
        self.looks += 1;
        self.next = (!self.left.is_empty() && self.looks < LOOKS).then(|| Instant::now() + BETWEEN);
        if self.left.is_empty() || self.next.is_some() {
            return None;
        }
        let addresses: Vec<&str> = self
            .left
            .iter()
            .map(|listener| listener.address.as_str())
            .collect();
        Some(addresses.join(", "))
    }
}
