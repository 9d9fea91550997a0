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
