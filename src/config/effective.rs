//! The settings in effect, and for each key where its value comes from.

use super::key::Key;
use super::problem::Location;
use super::settings::Settings;
use super::value::Value;

/// The settings in effect, and where each value comes from.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The settings as the rest of the program uses them.
    pub settings: Settings,
    /// Every key of every section, in the order of the key tables.
    pub entries: Vec<EffectiveKey>,
}

impl Effective {
    /// Whether somebody set the addresses to listen on.
    #[must_use]
    pub fn names_addresses(&self) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|entry| {
            entry.section == "cluster" && entry.key.name == "bind" && entry.origin != Origin::Default
        })
    }
}

/// The value of one key, and where it comes from.
#[derive(Clone, Debug)]
pub struct EffectiveKey {
    /// The name of the section that the key belongs to.
    pub section: &'static str,
    /// The key itself.
    pub key: &'static Key,
    /// The value; `None` when the key is not set and has no default.
    pub value: Option<Value>,
    /// Where the value comes from.
    pub origin: Origin,
}

/// Where the value of a key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is the default of the key table.
    Default,
    /// It was set at this place of the file, or by this flag.
    Set(Location),
}

impl Effective {
    /// The place of the key that an application's message about the settings names first (`section.key`), or
    /// else of the first key of the section that it names (`[section]`). `None` when no such key was set.
    #[must_use]
    pub fn place_of(&self, message: &str) -> Option<&Location> {
        let set = self.entries.iter().filter_map(|entry| match &entry.origin {
            Origin::Set(location) => Some((entry, location)),
            Origin::Default => None,
        });
        let named = set.clone().filter_map(|(entry, location)| {
            let name = format!("{}.{}", entry.section, entry.key.name);
            message.find(&name).map(|at| (at, location))
        });
        let of_section = || {
            let mut set = set.clone();
            set.find(|(entry, _)| message.contains(&format!("[{}]", entry.section)))
        };
        let first = named.min_by_key(|(at, _)| *at);
        first
            .map(|(_, location)| location)
            .or_else(|| of_section().map(|(_, location)| location))
    }
}
