//! How a process of ours learns that it is an upgrade's: by a hidden first argument the child that rehearses, by a descriptor in
//! the environment the new master. And the child's side of the rehearsal.

use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};

use super::unpack::{UpgradeError, unpack};
use crate::base::exit::Exit;
use crate::master::start::launch::Launch;
use crate::sys::inherit;

/// A program that does not know this argument says so and leaves; asked by the environment alone it would start to serve.
pub(super) const REHEARSE: &CStr = c"--rehearse-upgrade";
/// Where the state is.
pub(super) const STATE_FD: &str = "CLUSTER_UPGRADE_FD";
/// Where the child's verdict goes.
pub(super) const VERDICT_FD: &str = "CLUSTER_UPGRADE_VERDICT_FD";

/// What this process is to be.
#[derive(Debug)]
pub enum Arrival {
    /// Nothing of an upgrade.
    Fresh,
    /// The child that is asked whether it could take over. These would be the new master's arguments.
    Rehearsal(Vec<OsString>),
    /// The new master.
    Master,
}

/// Looks at the command line and the environment.
#[must_use]
pub fn arrival() -> Arrival {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments
        .get(1)
        .is_some_and(|first| first.as_bytes() == REHEARSE.to_bytes())
    {
        arguments.remove(1);
        return Arrival::Rehearsal(arguments);
    }
    match std::env::var_os(STATE_FD) {
        Some(_) => Arrival::Master,
        None => Arrival::Fresh,
    }
}

/// What the child says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// It could go on.
    Can { version: String },
    /// It could not.
    Cannot { reason: String },
}

impl Verdict {
    pub(super) fn parse(said: &[u8]) -> Option<Verdict> {
        serde_json::from_slice(said).ok()
    }
}

/// Does what the new master would do, up to the point where it would act, and says whether that went well. `launch` is what came
/// of the command line.
#[must_use]
pub fn rehearse(launch: Result<Launch, String>) -> Exit {
    let verdict = match launch.and_then(|launch| read_all(&launch).map_err(|error| error.to_string())) {
        Ok(version) => Verdict::Can { version },
        Err(reason) => Verdict::Cannot { reason },
    };
    match say(&verdict) {
        Ok(()) => Exit::Stopped,
        Err(error) => {
            // Without a verdict it counts as refused; whoever typed this by hand is told why nothing happens.
            let _ = writeln!(
                io::stderr(),
                "this is asked by a master that is to be upgraded, and by nobody else: {error}"
            );
            Exit::Usage
        }
    }
}

/// What was unpacked is only closed again: nothing in it does anything at its end.
fn read_all(launch: &Launch) -> Result<String, UpgradeError> {
    unpack(state_fd()?, launch.program).map(|_unpacked| launch.version.to_owned())
}

pub(super) fn state_fd() -> Result<RawFd, UpgradeError> {
    number(STATE_FD).map_err(UpgradeError::NotHandedOver)
}

fn say(verdict: &Verdict) -> io::Result<()> {
    let text = serde_json::to_vec(verdict)?;
    File::from(inherit::take(number(VERDICT_FD)?)?).write_all(&text)
}

fn number(name: &str) -> io::Result<RawFd> {
    let odd = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
    let text = std::env::var(name).map_err(|_| odd(format!("{name} is not set")))?;
    text.parse()
        .map_err(|_| odd(format!("{name}={text:?} is not the number of a descriptor")))
}

/// This process's environment with these numbers in it, and none of an earlier upgrade.
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
    fn a_verdict_is_a_positive_word_and_nothing_else() {
        let can = Verdict::Can {
            version: "2".to_owned(),
        };
        let text = serde_json::to_vec(&can).expect("text");
        assert_eq!(Verdict::parse(&text), Some(can));
        for odd in [b"".as_slice(), b"{}", b"true", b"\"can\"", b"{\"can\":{}}"] {
            assert_eq!(Verdict::parse(odd), None);
        }
    }

    #[test]
    fn the_environment_goes_along_with_one_number_more() {
        let env = environment(&[(STATE_FD, 7)]).expect("an environment");
        assert_eq!(env.last().expect("one").as_bytes(), b"CLUSTER_UPGRADE_FD=7");
        assert_eq!(env.len(), std::env::vars_os().count() + 1);
    }
}
