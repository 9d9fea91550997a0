//! What is in effect: the settings, and for each key who said so.

use super::key::Key;
use super::problem::Place;
use super::settings::Settings;
use super::value::Value;

/// Settings, and where each value came from.
#[derive(Clone, Debug)]
pub struct Effective {
    /// What the rest of the program uses.
    pub settings: Settings,
    /// Every key of every section, in the order of their tables.
    pub entries: Vec<Entry>,
}

/// One key's value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The section it belongs to.
    pub section: &'static str,
    /// The key.
    pub key: &'static Key,
    /// Its value; `None` when it is not set and has no default.
    pub value: Option<Value>,
    /// Who said so.
    pub origin: Origin,
}

/// Who said what a key's value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody: the key table's default.
    Default,
    /// The file or a flag.
    Set(Place),
}
