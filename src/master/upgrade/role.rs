//! The role of a process in an upgrade. A hidden first argument tells a child that it rehearses; a variable
//! in the environment tells a process that it is the new master. This module also has the child's side of the
//! rehearsal.

use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};

use super::take_over::{UpgradeError, take_over};
use crate::base::exit::Exit;
use crate::master::start::launch::Launch;
use crate::sys::inherit;

/// The argument of a rehearsal. A program that does not know it reports an error and exits; with a variable
/// in the environment instead, such a program would start to serve.
pub(super) const REHEARSE: &CStr = c"--rehearse-upgrade";
/// The variable with the descriptor of the state.
pub(super) const STATE_FD: &str = "CLUSTER_UPGRADE_FD";
/// The variable with the descriptor that the child writes its verdict to.
pub(super) const VERDICT_FD: &str = "CLUSTER_UPGRADE_VERDICT_FD";

/// The role of this process.
#[derive(Debug)]
pub enum ProcessRole {
    /// The process has no part in an upgrade.
    Normal,
    /// The process is the child that is asked whether it could take over, with the new master's arguments.
    Rehearsal(Vec<OsString>),
    /// The process is the new master.
    Master,
}

/// Reads the role from the command line and the environment.
#[must_use]
pub fn process_role() -> ProcessRole {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments
        .get(1)
        .is_some_and(|first| first.as_bytes() == REHEARSE.to_bytes())
    {
        arguments.remove(1);
        return ProcessRole::Rehearsal(arguments);
    }
    match std::env::var_os(STATE_FD) {
        Some(_) => ProcessRole::Master,
        None => ProcessRole::Normal,
    }
}

/// The verdict of the child.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RehearsalVerdict {
    /// It could take over.
    Can { version: String },
    /// It could not take over.
    Cannot { reason: String },
}

impl RehearsalVerdict {
    pub(super) fn parse(said: &[u8]) -> Option<RehearsalVerdict> {
        serde_json::from_slice(said).ok()
    }
}

/// Does what the new master would do, up to the point where it would act, and reports whether that succeeded.
/// `launch` is the parsed command line.
#[must_use]
pub fn rehearse(launch: Result<Launch, String>) -> Exit {
    let verdict = match launch.and_then(|launch| read_all(&launch).map_err(|error| error.to_string())) {
        Ok(version) => RehearsalVerdict::Can { version },
        Err(reason) => RehearsalVerdict::Cannot { reason },
    };
    match report(&verdict) {
        Ok(()) => Exit::Stopped,
        Err(error) => {
            // Without a verdict the master takes it as refused; a person who typed the argument learns why
            // nothing happens.
            let _ = writeln!(
                io::stderr(),
                "only a master that is upgraded uses this argument: {error}"
            );
            Exit::Usage
        }
    }
}

/// Takes everything over and closes it again, which has no other effect.
fn read_all(launch: &Launch) -> Result<String, UpgradeError> {
    take_over(state_fd()?, launch.program).map(|_closed| launch.version.to_owned())
}

pub(super) fn state_fd() -> Result<RawFd, UpgradeError> {
    number(STATE_FD).map_err(UpgradeError::NotHandedOver)
}

fn report(verdict: &RehearsalVerdict) -> io::Result<()> {
    let text = serde_json::to_vec(verdict)?;
    File::from(inherit::take(number(VERDICT_FD)?)?).write_all(&text)
}

fn number(name: &str) -> io::Result<RawFd> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
    let text = std::env::var(name).map_err(|_| invalid(format!("{name} is not set")))?;
    text.parse()
        .map_err(|_| invalid(format!("{name}={text:?} is not the number of a descriptor")))
}

/// This process's environment with these descriptor numbers added, and without those of an earlier upgrade.
pub(super) fn environment(numbers: &[(&str, RawFd)]) -> io::Result<Vec<CString>> {
    let inherited = std::env::vars_os().filter(|(key, _)| key != STATE_FD && key != VERDICT_FD);
    let inherited = inherited.map(|(key, value)| [key.as_bytes(), b"=", value.as_bytes()].concat());
    let added = numbers
        .iter()
        .map(|(name, number)| format!("{name}={number}").into_bytes());
    inherited
        .chain(added)
        .map(|text| CString::new(text).map_err(io::Error::other))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_verdict_is_accepted() {
        let can = RehearsalVerdict::Can {
            version: "2".to_owned(),
        };
        let text = serde_json::to_vec(&can).expect("text");
        assert_eq!(RehearsalVerdict::parse(&text), Some(can));
        for other in [b"".as_slice(), b"{}", b"true", b"\"can\"", b"{\"can\":{}}"] {
            assert_eq!(RehearsalVerdict::parse(other), None);
        }
    }

    #[test]
    fn the_environment_is_passed_on_with_one_variable_added() {
        let env = environment(&[(STATE_FD, 7)]).expect("an environment");
        assert_eq!(env.last().expect("one").as_bytes(), b"CLUSTER_UPGRADE_FD=7");
        assert_eq!(env.len(), std::env::vars_os().count() + 1);
    }
}
