//! The environment of a worker: what it gets of the master's own, and what the master tells it.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::base::ids::{Generation, Life};
use crate::config::ClusterSettings;
use crate::config::environment::is_passed;
use crate::sys::process::FIRST_FD;
use crate::sys::procfs;

/// Variables that the master's own supervisor set for the master and that are not passed on to workers.
///
/// Passed on are `CREDENTIALS_DIRECTORY` and the other directories of the unit, because it is the application
/// that they are meant for (a worker of another user cannot read the first, and gets no variable that is not
/// named); `INVOCATION_ID`, by which the log lines of the unit are found; `JOURNAL_STREAM`, whose numbers say
/// that it is not about a worker's own output; `MEMORY_PRESSURE_WATCH`, which is about the whole unit; and
/// `MANAGERPID`, which is true of workers, too.
const MASTERS_OWN: [&str; 15] = [
    // A worker must not speak to the service manager in the master's place.
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "FDSTORE",
    // They name descriptors and processes of the master's.
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
    "MAINPID",
    "MAINPIDFDID",
    "SYSTEMD_EXEC_PID",
    // A program would write its own pid into the master's file.
    "PIDFILE",
    // Node would take the first listener for the channel to whatever has started the master.
    "NODE_CHANNEL_FD",
    "NODE_CHANNEL_SERIALIZATION_MODE",
    "NODE_UNIQUE_ID",
];

/// Which variables of the master's environment a worker gets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Passed<'a> {
    /// All of them: the worker is the master's own user.
    All,
    /// The harmless ones and these: the worker is another user, to whom the secrets of this one are none of
    /// its business unless the configuration says so.
    Named(&'a [String]),
}

impl Passed<'_> {
    fn includes(self, key: &OsStr) -> bool {
        match self {
            Passed::All => true,
            Passed::Named(more) => key.to_str().is_some_and(|name| is_passed(name, more)),
        }
    }
}

/// What a worker gets of the master's environment.
pub(super) fn inherited(passed: Passed<'_>) -> io::Result<Vec<CString>> {
    let variables = std::env::vars_os().filter(|(key, _)| !is_replaced(key) && passed.includes(key));
    variables.map(|(key, value)| variable(&key, &value)).collect()
}

/// How many variables of the master's environment workers of another user do not get.
pub(in crate::master) fn withheld(cluster: &ClusterSettings) -> usize {
    let passed = Passed::Named(&cluster.pass_environment);
    let names = std::env::vars_os().map(|(key, _)| key);
    names
        .filter(|key| !is_replaced(key) && !passed.includes(key))
        .count()
}

/// What the master tells a worker.
pub(super) fn given(
    life: Life,
    generation: Generation,
    notify: &str,
    listeners: &[&str],
    native: &[&str],
) -> io::Result<Vec<CString>> {
    let mut variables = Vec::new();
    let mut set = |key: &str, value: String| -> io::Result<()> {
        variables.push(variable(OsStr::new(key), OsStr::new(&value))?);
        Ok(())
    };
    set("LISTEN_FDS", listeners.len().to_string())?;
    set("LISTEN_FDNAMES", listeners.join(":"))?;
    set("NOTIFY_SOCKET", notify.to_owned())?;
    set("CLUSTER_WORKER", "1".to_owned())?;
    set("CLUSTER_INCARNATION", life.incarnation.to_string())?;
    set("CLUSTER_SLOT", life.slot.to_string())?;
    set("CLUSTER_EPOCH", life.epoch.to_string())?;
    set("CLUSTER_GENERATION", generation.to_string())?;
    if let Some(master) = procfs::own_name() {
        set("CLUSTER_MASTER", master)?;
    }
    for (place, key) in native.iter().enumerate() {
        set(
            key,
            (usize::try_from(FIRST_FD).unwrap_or(3) + listeners.len() + place).to_string(),
        )?;
    }
    Ok(variables)
}

fn is_replaced(key: &OsStr) -> bool {
    MASTERS_OWN.iter().any(|own| key == *own) || key.as_bytes().starts_with(b"CLUSTER_")
}

pub(super) fn variable(key: &OsStr, value: &OsStr) -> io::Result<CString> {
    let mut text = OsString::from(key);
    text.push("=");
    text.push(value);
    CString::new(text.as_bytes()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_the_master_alone_stays_with_it() {
        for withheld in [
            "NOTIFY_SOCKET",
            "FDSTORE",
            "LISTEN_FDS",
            "PIDFILE",
            "NODE_CHANNEL_FD",
            "CLUSTER_LIFELINE_FD",
            "CLUSTER_LIFE",
            "CLUSTER_ANYTHING",
        ] {
            assert!(is_replaced(OsStr::new(withheld)), "{withheld}");
        }
        for passed in [
            "PATH",
            "CREDENTIALS_DIRECTORY",
            "INVOCATION_ID",
            "NODE_OPTIONS",
            "CLUSTERED",
        ] {
            assert!(!is_replaced(OsStr::new(passed)), "{passed}");
        }
    }
}
