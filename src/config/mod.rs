//! The configuration: every key with its unit, default and bounds, and errors that name the line, the key and
//! the nearest known key. Pure: texts come in and settings go out. Other modules read the files.
//!
//! [`key`] says what a key is, and [`keys`] lists the supervisor's. [`read()`] turns the bytes of a file and
//! the flags into [`Settings`], or into every [`ConfigProblem`] they have. [`mod@print`] writes the
//! configuration as text, and [`reload`] names the changes that a reload cannot make.

pub mod address;
pub mod cgroup;
pub mod cpus;
pub mod duration;
pub mod effective;
pub mod environment;
mod invalid;
mod items;
pub mod key;
pub mod keys;
mod log_format;
pub mod mode;
mod nearest;
pub mod overrides;
pub mod print;
pub mod problem;
pub mod read;
pub mod ready;
mod relations;
pub mod reload;
mod role;
pub mod run;
mod section;
pub mod settings;
pub mod size;
pub mod source;
#[cfg(test)]
mod tests;
mod unknown;
pub mod value;

pub use address::Address;
pub use effective::{Effective, EffectiveKey, Origin};
pub use invalid::InvalidValue;
pub use key::{Key, Kind, Reload, Section};
pub use log_format::log_format;
pub use mode::FileMode;
pub use overrides::Overrides;
pub use problem::{ConfigProblem, ConfigProblems, Location};
pub use read::read;
pub use ready::{HttpPath, LogPattern, ReadyRule};
pub use relations::contradictions;
pub use reload::changes_refused;
pub use role::ListenerRole;
pub use run::{ListenMode, RunSettings, StopSignal};
pub use section::SectionError;
pub use settings::{
    ClusterSettings, DrillSettings, GrpcReflection, HttpSettings, LogFormat, LogLevel, LogSettings, Settings,
    Workers,
};
pub use source::ConfigFile;
pub use value::Value;

/// Every key at its default, without sections of an application.
impl Default for Settings {
    fn default() -> Settings {
        let effective = read(&[], None, &Overrides::default());
        effective
            .expect("the defaults of the key table fit the settings, which a test proves")
            .settings
    }
}
