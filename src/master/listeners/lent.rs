//! What is known of an address that is lent: who has its listeners, and who wants them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::ids::{Generation, Life};
use crate::base::time::Monotonic;
use crate::lifeline::LentAddress;

/// More generations do not run side by side, or can be returned to.
const MAX_GENERATIONS: usize = 16;

/// What is known of an address that workers have asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lent {
    /// What was asked for first: it names a port that the kernel chose.
    asked: LentAddress,
    /// The mode of a socket file that was made because somebody asked.
    own_mode: Option<u32>,
    /// The last generations of which a worker has asked.
    generations: BTreeSet<Generation>,
    /// The workers that have the listener of their slot.
    holders: BTreeSet<Life>,
    /// When the last of them has given it back; none while one has it, or when it died with it.
    #[serde(skip)]
    left: Option<Monotonic>,
}

/// How long an address stays open that everybody has left: a program that only tests whether a port is free
/// takes it at once, and workers pass on what waits in its queues.
const LINGER: Duration = Duration::from_secs(2);

impl Lent {
    /// An address that is asked for the first time. `is_new`: it was opened for that.
    pub(super) fn new(asked: &LentAddress, is_new: bool) -> Lent {
        Lent {
            asked: asked.clone(),
            own_mode: if is_new { mode_of(asked) } else { None },
            generations: BTreeSet::new(),
            holders: BTreeSet::new(),
            left: None,
        }
    }

    /// Whether this request means the listener that was asked for first.
    pub(super) fn is_meant_by(&self, asked: &LentAddress) -> bool {
        key(asked).is_some() && key(asked) == key(&self.asked)
    }

    /// A worker of that generation is given the listener of its slot.
    pub(super) fn give(&mut self, life: Life, generation: Generation) {
        self.generations.insert(generation);
        if self.generations.len() > MAX_GENERATIONS {
            self.generations.pop_first();
        }
        self.holders.insert(life);
        self.left = None;
    }

    /// The program of the worker has closed the listener. Returns whether no worker has one any more.
    pub(super) fn give_back(&mut self, life: Life, now: Monotonic) -> bool {
        self.holders.remove(&life);
        if self.holders.is_empty() {
            self.left = Some(now);
        }
        self.holders.is_empty()
    }

    /// Whether everybody has left it, and that for long.
    pub(super) fn is_deserted(&self, now: Monotonic) -> bool {
        self.left.is_some_and(|left| now.since(left) >= LINGER)
    }

    /// The worker is gone.
    pub(super) fn take_back(&mut self, life: Life) {
        self.holders.remove(&life);
    }

    /// Whether this worker has the listener of its slot.
    pub(super) fn is_held_by(&self, life: Life) -> bool {
        self.holders.contains(&life)
    }

    /// Whether the address is wanted when this generation serves alone: one of its workers has asked, or a
    /// worker that stays.
    pub(super) fn is_wanted(&self, serving: Generation, stays: impl Fn(Life) -> bool) -> bool {
        self.generations.contains(&serving) || self.holders.iter().any(|life| stays(*life))
    }

    /// The mode of a socket file that is not configured.
    pub(super) fn own_mode(&self) -> Option<u32> {
        self.own_mode
    }
}

/// The permission bits of a socket file.
pub(super) fn mode_of(asked: &LentAddress) -> Option<u32> {
    match asked {
        LentAddress::Path { mode, .. } => Some(mode & 0o777),
        LentAddress::Tcp { .. } => None,
    }
}

/// What names a port: the index only where the kernel chooses it.
fn key(asked: &LentAddress) -> Option<(Option<IpAddr>, u16, bool, u64)> {
    match asked {
        LentAddress::Tcp {
            address,
            port,
            ipv6_only,
            index,
        } => Some((*address, *port, *ipv6_only, if *port == 0 { *index } else { 0 })),
        LentAddress::Path { .. } => None,
    }
}
