//! Identities of the supervisor: slot, epoch, incarnation, generation, and the life they make together.
//! A pid is never an identity, because the kernel gives it out again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl $name {
            /// The number that follows this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
    };
}

number! {
    /// A place for one worker, with its listener. Counted from 0.
    Slot(u16)
}
number! {
    /// How often a slot was filled under one incarnation. The first life of a slot has epoch 1.
    Epoch(u32)
}
number! {
    /// How often a master was started over this data directory. The counter is on disk before the first fork,
    /// so no incarnation is used twice.
    Incarnation(u64)
}
number! {
    /// One pair of binary and configuration. The first is 1, and each attempt to reload takes the next
    /// number.
    Generation(u32)
}

impl Slot {
    /// The slot as an index into a table with one row per slot.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// One life of one worker. It never repeats over the same data directory, so records name their owner by it.
///
/// It is written `incarnation/slot/epoch`:
///
/// ```
/// use cluster::base::ids::Life;
///
/// let life: Life = "7/0/3".parse()?;
/// assert_eq!(life, Life::of(7, 0, 3));
/// assert_eq!(life.to_string(), "7/0/3");
/// # Ok::<(), cluster::base::ids::NotALife>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Life {
    /// The incarnation of the master that started the worker.
    pub incarnation: Incarnation,
    /// The slot that the worker fills.
    pub slot: Slot,
    /// The number of this filling of the slot, from 1.
    pub epoch: Epoch,
}

impl Life {
    /// The life that is written `incarnation/slot/epoch`.
    #[must_use]
    pub const fn of(incarnation: u64, slot: u16, epoch: u32) -> Life {
        Life {
            incarnation: Incarnation(incarnation),
            slot: Slot(slot),
            epoch: Epoch(epoch),
        }
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.incarnation, self.slot, self.epoch)
    }
}

/// The text is not of the form `incarnation/slot/epoch`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a life (expected incarnation/slot/epoch, as in 7/0/3)")]
pub struct NotALife(String);

impl FromStr for Life {
    type Err = NotALife;

    fn from_str(text: &str) -> Result<Self, NotALife> {
        parse_life(text).ok_or_else(|| NotALife(text.to_owned()))
    }
}

fn parse_life(text: &str) -> Option<Life> {
    let mut parts = text.split('/');
    let incarnation = parts.next()?.parse().ok()?;
    let slot = parts.next()?.parse().ok()?;
    let life = Life::of(incarnation, slot, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(life)
}

impl From<Life> for String {
    fn from(life: Life) -> Self {
        life.to_string()
    }
}

impl TryFrom<String> for Life {
    type Error = NotALife;

    fn try_from(text: String) -> Result<Self, NotALife> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_survives_being_written_and_read() {
        let life = Life::of(7, 2, 14);
        assert_eq!(life.to_string(), "7/2/14");
        assert_eq!("7/2/14".parse(), Ok(life));
    }

    #[test]
    fn what_is_no_life_is_refused() {
        for text in ["", "7", "7/2", "7/2/14/1", "7/x/1", "-1/2/3", "7/70000/1"] {
            assert!(text.parse::<Life>().is_err(), "{text:?} was taken for a life");
        }
    }
}
