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

/// One of the hosts that share databases. It is made when a data directory first uses such databases, and
/// stays with the directory. It is written as eight hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct HostId(u32);

impl HostId {
    /// This host, where nothing is shared; and the host that used its databases alone before hosts had names.
    pub const UNNAMED: HostId = HostId(0);

    /// The host of that number. The number 0 is [`HostId::UNNAMED`].
    #[must_use]
    pub const fn of(number: u32) -> HostId {
        HostId(number)
    }

    /// Whether it has a name.
    #[must_use]
    pub const fn is_named(self) -> bool {
        self.0 != 0
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_named() {
            true => write!(f, "{:08x}", self.0),
            false => Ok(()),
        }
    }
}

/// The text is no name of a host: eight hexadecimal digits, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host (expected eight hexadecimal digits, as in 0a1b2c3d)")]
pub struct NotAHost(String);

impl FromStr for HostId {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        let is_digit = |digit: char| digit.is_ascii_digit() || ('a'..='f').contains(&digit);
        match text {
            "" => Ok(HostId::UNNAMED),
            _ if text.len() == 8 && text.chars().all(is_digit) => u32::from_str_radix(text, 16)
                .map(HostId)
                .map_err(|_| NotAHost(text.to_owned())),
            _ => Err(NotAHost(text.to_owned())),
        }
    }
}

impl From<HostId> for String {
    fn from(host: HostId) -> Self {
        host.to_string()
    }
}

impl TryFrom<String> for HostId {
    type Error = NotAHost;

    fn try_from(text: String) -> Result<Self, NotAHost> {
        text.parse()
    }
}

/// One life of one worker. It never repeats over the same data directory, so records name their owner by it.
///
/// It is written `incarnation/slot/epoch`, and with its host in front where several hosts share databases:
///
/// ```
/// use cluster::base::ids::{HostId, Life};
///
/// let life: Life = "7/0/3".parse()?;
/// assert_eq!(life, Life::of(7, 0, 3));
/// assert_eq!(life.to_string(), "7/0/3");
/// let elsewhere = life.at(HostId::of(0x0a1b_2c3d));
/// assert_eq!(elsewhere.to_string(), "0a1b2c3d/7/0/3");
/// assert_eq!("0a1b2c3d/7/0/3".parse(), Ok(elsewhere));
/// # Ok::<(), cluster::base::ids::NotALife>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Life {
    /// The host that the worker is on. A master and its workers, who know of no other host, leave it unnamed.
    pub host: HostId,
    /// The incarnation of the master that started the worker.
    pub incarnation: Incarnation,
    /// The slot that the worker fills.
    pub slot: Slot,
    /// The number of this filling of the slot, from 1.
    pub epoch: Epoch,
}

impl Life {
    /// A life on this host.
    #[must_use]
    pub const fn new(incarnation: Incarnation, slot: Slot, epoch: Epoch) -> Life {
        Life {
            host: HostId::UNNAMED,
            incarnation,
            slot,
            epoch,
        }
    }

    /// The life that is written `incarnation/slot/epoch`.
    #[must_use]
    pub const fn of(incarnation: u64, slot: u16, epoch: u32) -> Life {
        Life::new(Incarnation(incarnation), Slot(slot), Epoch(epoch))
    }

    /// The same life, said to be on that host.
    #[must_use]
    pub const fn at(self, host: HostId) -> Life {
        Life { host, ..self }
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.is_named() {
            write!(f, "{}/", self.host)?;
        }
        write!(f, "{}/{}/{}", self.incarnation, self.slot, self.epoch)
    }
}

/// The text is not of the form `incarnation/slot/epoch`, nor of that with a host in front.
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
    let parts: Vec<&str> = text.split('/').collect();
    let (host, [incarnation, slot, epoch]) = match parts[..] {
        [incarnation, slot, epoch] => (HostId::UNNAMED, [incarnation, slot, epoch]),
        [host, incarnation, slot, epoch] if !host.is_empty() => {
            (host.parse().ok()?, [incarnation, slot, epoch])
        }
        _ => return None,
    };
    let life = Life::of(incarnation.parse().ok()?, slot.parse().ok()?, epoch.parse().ok()?);
    Some(life.at(host))
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
        let elsewhere = life.at(HostId::of(u32::MAX));
        assert_eq!(elsewhere.to_string(), "ffffffff/7/2/14");
        assert_eq!("ffffffff/7/2/14".parse(), Ok(elsewhere));
    }

    #[test]
    fn what_is_no_life_is_refused() {
        for text in [
            "",
            "7",
            "7/2",
            "7/2/14/1",
            "7/x/1",
            "-1/2/3",
            "7/70000/1",
            "/7/2/14",
            "0A1B2C3D/7/2/14",
            "+a1b2c3d/7/2/14",
            "0a1b2c3d/7/2/14/1",
        ] {
            assert!(text.parse::<Life>().is_err(), "{text:?} was taken for a life");
        }
    }
}
