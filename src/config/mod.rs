//! The configuration: every key with its unit, default and bounds, and the errors that name line, key and nearest known key.
//! Pure: it is given texts and gives back settings; reading files is the shell's.
//!
//! [`key`] says what a key is and [`keys`] lists the supervisor's; [`read()`] turns a file's bytes and the flags into
//! [`Settings`] or into every [`Problem`] they have; [`mod@print`] writes them down; [`reload`] names what a reload cannot change.

pub mod address;
pub mod cgroup;
pub mod cpus;
pub mod duration;
pub mod effective;
pub mod key;
pub mod keys;
pub mod mode;
mod nearest;
pub mod overrides;
pub mod print;
pub mod problem;
pub mod read;
mod relations;
pub mod reload;
pub mod settings;
pub mod size;
pub mod source;
#[cfg(test)]
mod tests;
mod unknown;
pub mod value;

pub use address::Address;
pub use effective::{Effective, Entry, Origin};
pub use key::{Key, Kind, Reload, Section};
pub use mode::FileMode;
pub use overrides::Overrides;
pub use problem::{Place, Problem, Problems};
pub use read::read;
pub use reload::changes_refused;
pub use settings::{Cluster, Drill, Http, Log, LogFormat, LogLevel, Settings, Workers};
pub use source::Source;
pub use value::Value;

/// The settings of a program that nobody configured, without sections of an application.
impl Default for Settings {
    fn default() -> Settings {
        let effective = read(&[], None, &Overrides::default());
        effective
            .expect("the defaults of the key table fit the settings, which a test proves")
            .settings
    }
}
