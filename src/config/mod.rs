//! The configuration: every key with its unit, default and bounds, and the errors that name line, key and nearest known key.
//! Pure: it is given texts and gives back settings; reading files is the shell's.

pub mod settings;

pub use settings::{Address, Cluster, Drill, Http, Log, LogFormat, Settings, Workers};
