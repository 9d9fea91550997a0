//! The settings as the rest of the program sees them: parsed, checked, defaults filled in. They travel to a worker as JSON in
//! a sealed memfd, so that a generation keeps the configuration it was started with.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Everything a generation is configured by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// `[cluster]`: the supervisor.
    pub cluster: Cluster,
    /// `[http]`: the limits of the workers' edge.
    pub http: Http,
    /// `[log]`: what is printed, and how.
    pub log: Log,
    /// `[drill]`: faults on purpose.
    pub drill: Drill,
    /// The sections that belong to the application (`[shop]`, `[store]`), which parses them itself.
    pub app: toml::Table,
}

/// `[cluster]`: the supervisor's own keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// How many slots.
    pub workers: Workers,
    /// Where to listen; at least one, no two alike.
    pub bind: Vec<Address>,
    /// The databases, the incarnation counter and (unless told otherwise) the run directory.
    pub data_dir: PathBuf,
    /// Lock, worker records and control socket. `<data_dir>/run` when not set.
    pub run_dir: Option<PathBuf>,
    /// A file that holds the master's pid while it runs.
    pub pid_file: Option<PathBuf>,
    /// Workers run as this user (name or number).
    pub user: Option<String>,
    /// Workers run as this group (name or number).
    pub group: Option<String>,
    /// The distance of two points of the beats' grid.
    pub heartbeat_interval: Duration,
    /// A beat older than this kills.
    pub heartbeat_timeout: Duration,
    /// A late worker that holds a store lock is killed after this.
    pub lock_hold_timeout: Duration,
    /// A worker that is not ready this long after its fork is killed.
    pub ready_timeout: Duration,
    /// A draining worker that is not gone after this is killed.
    pub drain_timeout: Duration,
    /// How long the first worker of a new generation has to hold out before the others follow.
    pub bake_time: Duration,
    /// A life shorter than this is an early death and counts towards the backoff.
    pub early_death: Duration,
    /// The wait after the first early death.
    pub backoff_first: Duration,
    /// The longest wait between two restarts of one slot.
    pub backoff_longest: Duration,
    /// More deaths than this within `restart_window` open a slot's breaker.
    pub restart_limit: u32,
    /// The window of `restart_limit`.
    pub restart_window: Duration,
    /// How many workers may drain at the same time; past it the one that drains longest is killed.
    pub max_draining: u16,
}

impl Cluster {
    /// Lock, worker records and control socket live here.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.run_dir.clone().unwrap_or_else(|| self.data_dir.join("run"))
    }
}

/// `[http]`: limits of the edge, each with a clear answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    /// Request line and headers together; more is 431.
    pub max_header_bytes: usize,
    /// A request's body; more is 413.
    pub max_body_bytes: usize,
    /// From the first byte of a request to the end of its headers; later is 408 or a close.
    pub header_read_timeout: Duration,
    /// From the end of the headers to the answer's headers; later is 503.
    pub request_timeout: Duration,
    /// Per worker; one more is answered 503 and closed.
    pub max_connections: usize,
}

/// `[log]`: what is printed to stderr.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Text or JSON.
    pub format: LogFormat,
    /// The least severe level that is printed.
    pub level: LogLevel,
    /// Whether every request is printed.
    pub access: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How severe a line must be to be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Only what needs a person now.
    Error,
    /// And what may need one soon.
    Warn,
    /// And what a person cares about.
    Info,
    /// And what a developer cares about.
    Debug,
    /// Everything.
    Trace,
}

/// `[drill]`: faults on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// Serve `/drill/…`; refused unless every address is loopback.
    pub routes: bool,
}

/// How many workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Workers {
    /// One per CPU this process may use.
    Auto,
    /// That many.
    Count(u16),
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Address {
    /// `127.0.0.1:8080`, `[::1]:8080`
    Tcp(SocketAddr),
    /// `unix:/run/shop.sock`
    Unix(PathBuf),
}

impl Address {
    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Address::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Address::Unix(_) => true,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A text that is no address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address (expected IP:PORT, as in 127.0.0.1:8080 or [::1]:8080, or unix:/PATH)")]
pub struct NotAnAddress(String);

impl TryFrom<String> for Address {
    type Error = NotAnAddress;

    fn try_from(text: String) -> Result<Self, NotAnAddress> {
        text.parse()
    }
}

impl std::str::FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Address::Unix(PathBuf::from(path))),
            Some(_) => Err(NotAnAddress(text.to_owned())),
            None => text
                .parse()
                .map(Address::Tcp)
                .map_err(|_| NotAnAddress(text.to_owned())),
        }
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}
