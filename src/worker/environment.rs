//! What the environment of a worker says, and the descriptors that came along. It must not act on any of it.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;
use std::str::FromStr;

use super::identity::Identity;
use super::notify::Notify;
use super::program::{NamedListener, OutputDescriptors};
use crate::base::ids::{Epoch, Generation, Incarnation, Life, Slot};
use crate::config::Settings;
use crate::scoreboard::{Board, BoardError};
use crate::sys::paths::same_file;
use crate::sys::{inherit, memfd};

/// The first inherited listener.
const FIRST_LISTENER: RawFd = 3;
/// The name of the admin listener in LISTEN_FDNAMES.
const ADMIN: &str = "admin";
/// The variable with the number of the pipe for log lines.
const LOG_PIPE: &str = "CLUSTER_LOG_PIPE_FD";
/// The largest number of listeners; more are a mistake.
const MAX_LISTENERS: usize = 1024;
/// The longest settings, in bytes; longer ones are a mistake.
const MAX_SETTINGS_BYTES: u64 = 16 * 1024 * 1024;

/// Everything a native worker is given.
#[derive(Debug)]
pub(super) struct Environment {
    pub(super) identity: Identity,
    pub(super) settings: Settings,
    pub(super) listeners: Vec<NamedListener>,
    /// The admin listener: the one called `admin` in LISTEN_FDNAMES.
    pub(super) admin: Option<OwnedFd>,
    pub(super) notify: Notify,
    pub(super) board: Board,
    pub(super) lifeline: OwnedFd,
    pub(super) log: LogTarget,
    /// Where what a program prints goes.
    pub(super) output: OutputDescriptors,
}

/// Where log lines go.
#[derive(Debug)]
pub(super) enum LogTarget {
    /// To this process's own stderr.
    Stderr,
    /// To the master's stderr.
    Direct(OwnedFd),
    /// To the master, in JSON; the master writes them as it is configured.
    Relayed(OwnedFd),
}

/// Why this is not the environment of a worker.
#[derive(Debug, thiserror::Error)]
pub(super) enum EnvironmentError {
    #[error("{0} is not set")]
    Missing(&'static str),
    #[error("{name}={value:?} is not {expected}")]
    Unexpected {
        name: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("LISTEN_PID={expected}, but this process is {actual}: the descriptors are meant for another one")]
    OtherProcess { expected: u32, actual: u32 },
    #[error("descriptor {number} ({what}) cannot be taken over: {error}")]
    Descriptor {
        number: RawFd,
        what: &'static str,
        error: io::Error,
    },
    #[error("the settings in descriptor {number} cannot be understood: {reason}")]
    Settings { number: RawFd, reason: String },
    #[error(transparent)]
    Board(#[from] BoardError),
    #[error("NOTIFY_SOCKET cannot be used: {0}")]
    Notify(io::Error),
}

/// Whether this worker runs as another user than its master: only such a worker logs to a pipe.
pub(super) fn is_of_another_user() -> bool {
    is_set(LOG_PIPE)
}

impl Environment {
    /// Reads the variables and takes over the descriptors. To be called first of all, once.
    pub(super) fn read() -> Result<Environment, EnvironmentError> {
        let identity = identity()?;
        let (listeners, admin) = listeners()?;
        let mut settings = settings(number_of("CLUSTER_SETTINGS_FD")?)?;
        keep_data_dir(
            &mut settings,
            std::env::var_os("CLUSTER_DATA_DIR").map(PathBuf::from),
        );
        let board = Board::open(take("CLUSTER_SCOREBOARD_FD")?)?;
        board.claim(identity.life);
        let lifeline = take("CLUSTER_LIFELINE_FD")?;
        let log = if is_set(LOG_PIPE) {
            LogTarget::Relayed(take(LOG_PIPE)?)
        } else if is_set("CLUSTER_LOG_FD") {
            LogTarget::Direct(take("CLUSTER_LOG_FD")?)
        } else {
            LogTarget::Stderr
        };
        let output = OutputDescriptors {
            ring: take_if_set("CLUSTER_OUTPUT_FD")?,
            file: take_if_set("CLUSTER_OUTPUT_FILE_FD")?,
        };
        let address = PathBuf::from(variable("NOTIFY_SOCKET")?);
        let notify = Notify::connect(&address).map_err(EnvironmentError::Notify)?;
        Ok(Environment {
            identity,
            settings,
            listeners,
            admin,
            notify,
            board,
            lifeline,
            log,
            output,
        })
    }
}

/// The name of this worker's master, which no other master has. `None` without a master, or under one of a
/// version that gives no name.
#[cfg(feature = "shop")]
pub(crate) fn master_name() -> Option<String> {
    std::env::var("CLUSTER_MASTER").ok()
}

/// A relative path of the data directory leads nowhere once the working directory was deleted, and elsewhere
/// once a symbolic link was changed. The master's directory is used then.
fn keep_data_dir(settings: &mut Settings, masters: Option<PathBuf>) {
    let named = &mut settings.cluster.data_dir;
    if let Some(masters) = masters
        && masters.is_dir()
        && !same_file(named, &masters)
    {
        *named = masters;
    }
}

fn identity() -> Result<Identity, EnvironmentError> {
    let life = Life::new(
        Incarnation(parsed("CLUSTER_INCARNATION", "a number")?),
        Slot(parsed("CLUSTER_SLOT", "the number of a slot")?),
        Epoch(parsed("CLUSTER_EPOCH", "a number")?),
    );
    Ok(Identity {
        life,
        generation: Generation(parsed("CLUSTER_GENERATION", "a number")?),
    })
}

/// The listeners of the service, and the admin listener.
fn listeners() -> Result<(Vec<NamedListener>, Option<OwnedFd>), EnvironmentError> {
    let (expected, actual) = (parsed("LISTEN_PID", "a process id")?, std::process::id());
    if expected != actual {
        return Err(EnvironmentError::OtherProcess { expected, actual });
    }
    let count: usize = parsed("LISTEN_FDS", "a number of descriptors")?;
    if count > MAX_LISTENERS {
        return Err(EnvironmentError::Unexpected {
            name: "LISTEN_FDS",
            value: count.to_string(),
            expected: "a number up to 1024",
        });
    }
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').chain(std::iter::repeat(""));
    let (mut service, mut admin) = (Vec::new(), None);
    for (number, name) in (FIRST_LISTENER..).take(count).zip(names) {
        let listener = take_number(number, "a listener")?;
        match name {
            ADMIN => admin = Some(listener),
            _ => service.push(NamedListener {
                name: name.to_owned(),
                fd: listener,
            }),
        }
    }
    Ok((service, admin))
}

fn settings(number: RawFd) -> Result<Settings, EnvironmentError> {
    let file = take_number(number, "CLUSTER_SETTINGS_FD")?;
    let bytes = memfd::content(&file, MAX_SETTINGS_BYTES).map_err(|error| EnvironmentError::Descriptor {
        number,
        what: "CLUSTER_SETTINGS_FD",
        error,
    })?;
    serde_json::from_slice(&bytes).map_err(|error| EnvironmentError::Settings {
        number,
        reason: error.to_string(),
    })
}

fn take(name: &'static str) -> Result<OwnedFd, EnvironmentError> {
    take_number(number_of(name)?, name)
}

fn take_if_set(name: &'static str) -> Result<Option<OwnedFd>, EnvironmentError> {
    is_set(name).then(|| take(name)).transpose()
}

fn take_number(number: RawFd, what: &'static str) -> Result<OwnedFd, EnvironmentError> {
    inherit::take(number).map_err(|error| EnvironmentError::Descriptor { number, what, error })
}

fn number_of(name: &'static str) -> Result<RawFd, EnvironmentError> {
    parsed(name, "the number of a descriptor")
}

fn parsed<T: FromStr>(name: &'static str, expected: &'static str) -> Result<T, EnvironmentError> {
    let value = variable(name)?;
    value.parse().map_err(|_| EnvironmentError::Unexpected {
        name,
        value,
        expected,
    })
}

fn variable(name: &'static str) -> Result<String, EnvironmentError> {
    std::env::var(name).map_err(|_| EnvironmentError::Missing(name))
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some()
}
