//! The settings as the rest of the program sees them: parsed, checked, defaults filled in. They travel to a worker as JSON in
//! a sealed memfd, so that a generation keeps the configuration it was started with.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::duration;
use super::mode::FileMode;

/// No cluster has more workers: a slot is a listener, a page and a few descriptors of the master.
pub const MOST_WORKERS: u16 = 1024;

/// Everything a generation is configured by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// How many slots.
    pub workers: Workers,
    /// Where to listen; at least one, no two alike.
    pub bind: Vec<Address>,
    /// The mode of the paths among them.
    pub socket_mode: FileMode,
    /// Where metrics are read; nowhere when not set.
    #[serde(default)]
    pub admin: Option<Address>,
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
    #[serde(with = "duration")]
    pub heartbeat_interval: Duration,
    /// A beat older than this kills.
    #[serde(with = "duration")]
    pub heartbeat_timeout: Duration,
    /// A late worker that holds a store lock is killed after this.
    #[serde(with = "duration")]
    pub lock_hold_timeout: Duration,
    /// A worker that is not ready this long after its fork is killed.
    #[serde(with = "duration")]
    pub ready_timeout: Duration,
    /// A draining worker that is not gone after this is killed.
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
    /// How long the first worker of a new generation has to hold out before the others follow.
    #[serde(with = "duration")]
    pub bake_time: Duration,
    /// A life shorter than this is an early death and counts towards the backoff.
    #[serde(with = "duration")]
    pub early_death: Duration,
    /// The wait after the first early death.
    #[serde(with = "duration")]
    pub backoff_first: Duration,
    /// The longest wait between two restarts of one slot.
    #[serde(with = "duration")]
    pub backoff_longest: Duration,
    /// More deaths than this within `restart_window` open a slot's breaker.
    pub restart_limit: u32,
    /// The window of `restart_limit`.
    #[serde(with = "duration")]
    pub restart_window: Duration,
    /// While so many workers drain, nobody is replaced. See [`Cluster::max_draining`].
    pub max_draining: Option<u16>,
    /// A worker that has answered about so many requests is replaced; never when not set.
    pub max_requests: Option<u64>,
    /// A worker of more resident bytes is replaced; never when not set.
    pub max_rss: Option<u64>,
    /// A worker that has served about so long is replaced; never when not set.
    #[serde(default, with = "duration::optional")]
    pub max_age: Option<Duration>,
}

impl Cluster {
    /// Lock, worker records and control socket live here.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.run_dir.clone().unwrap_or_else(|| self.data_dir.join("run"))
    }

    /// How many of a cluster of `workers` may drain before replacing more waits. When not set: two whole generations, so that a reload on
    /// top of a reload cuts nobody, and at least 16, so that small clusters can be reloaded often; an idle worker is 6 MB.
    #[must_use]
    pub fn max_draining(&self, workers: u16) -> u16 {
        self.max_draining
            .unwrap_or_else(|| workers.saturating_mul(2).max(16))
    }
}

/// `[http]`: limits of the edge, each with a clear answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Request line and headers together; more is 431.
    pub max_header_bytes: usize,
    /// A request's body; more is 413.
    pub max_body_bytes: usize,
    /// From the first byte of a request to the end of its headers; later is 408 or a close.
    #[serde(with = "duration")]
    pub header_read_timeout: Duration,
    /// Silence between two requests, or before the first; later is a close.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// From the end of the headers to the answer's headers; later is 503, or 408 when the handler still waits for the body.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
    /// How long a client may take nothing of its answer; later is a cut.
    #[serde(with = "duration")]
    pub write_timeout: Duration,
    /// Per worker; one more is answered 503 and closed.
    pub max_connections: usize,
    /// HTTP/2 requests at once on one connection; one more is refused.
    pub max_streams: u32,
}

/// `[log]`: what is printed to stderr.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// Serve `/drill/…`; refused unless every address is loopback.
    pub routes: bool,
}

/// How many workers. Written `auto` or as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Workers {
    /// One per CPU this process may use.
    Auto,
    /// That many.
    Count(u16),
}

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Workers::Auto => f.write_str("auto"),
            Workers::Count(count) => count.fmt(f),
        }
    }
}

/// A text that is no number of workers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a number of workers (expected auto or 1 to {MOST_WORKERS})")]
pub struct NotWorkers(String);

impl FromStr for Workers {
    type Err = NotWorkers;

    fn from_str(text: &str) -> Result<Self, NotWorkers> {
        if text == "auto" {
            return Ok(Workers::Auto);
        }
        match text.parse() {
            Ok(count) if (1..=MOST_WORKERS).contains(&count) => Ok(Workers::Count(count)),
            Ok(_) | Err(_) => Err(NotWorkers(text.to_owned())),
        }
    }
}

impl From<Workers> for String {
    fn from(workers: Workers) -> Self {
        workers.to_string()
    }
}

impl TryFrom<String> for Workers {
    type Error = NotWorkers;

    fn try_from(text: String) -> Result<Self, NotWorkers> {
        text.parse()
    }
}
