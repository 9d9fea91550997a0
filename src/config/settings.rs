//! The settings as the rest of the program sees them: parsed, checked, and with defaults filled in. A worker
//! gets them as JSON in a sealed memfd, so that a generation keeps the configuration it was started with.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::duration;
use super::mode::FileMode;
use super::run::RunSettings;

/// The most workers of a cluster. Each slot costs the master a listener, a page of memory and a few
/// descriptors.
pub const MOST_WORKERS: u16 = 1024;

/// The whole configuration of a generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The section `[cluster]`.
    pub cluster: ClusterSettings,
    /// The section `[http]`.
    pub http: HttpSettings,
    /// The section `[log]`.
    pub log: LogSettings,
    /// The section `[run]`.
    #[serde(default)]
    pub run: RunSettings,
    /// The section `[drill]`.
    pub drill: DrillSettings,
    /// The sections of the application (such as `[shop]`), which the application parses itself.
    pub app: toml::Table,
}

/// A beat is late when it is older than an interval and this part of one. Then the worker missed the latest
/// point of the grid, even if the master looked at another instant than usual.
const TOLERATED: u32 = 8;
/// So late may the event loop of a program be. The handlers of a native worker give way to each other; an
/// event loop accepts all that waits before it turns, and a program that is started beside it takes its CPU.
const PROGRAM_LATE: Duration = Duration::from_secs(1);

impl Settings {
    /// A worker whose beat is older than this gets no new connections until it beats again.
    #[must_use]
    pub fn late_after(&self) -> Duration {
        let cluster = &self.cluster;
        let missed = cluster.heartbeat_interval + cluster.heartbeat_interval / TOLERATED;
        match self.run.is_asked_for() {
            true => missed.max(PROGRAM_LATE.min(cluster.heartbeat_timeout / 2)),
            false => missed,
        }
    }
}

/// The section `[cluster]`: the supervisor itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSettings {
    /// The number of slots, and so of workers.
    pub workers: Workers,
    /// The addresses to listen on, with those of `internal`; at least one, and each once.
    pub bind: Vec<Address>,
    /// Those addresses in `bind` whose listeners have the role internal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub internal: Vec<Address>,
    /// The file with the bearer tokens of internal clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_token_file: Option<PathBuf>,
    /// The file mode of the Unix sockets in `bind`.
    pub socket_mode: FileMode,
    /// The address where metrics are read; none when not set.
    #[serde(default)]
    pub admin: Option<Address>,
    /// The directory of the databases, the incarnation counter and, unless `run_dir` is set, the run
    /// directory.
    pub data_dir: PathBuf,
    /// The directory of the lock, the worker records and the control socket; `<data_dir>/run` when not set.
    pub run_dir: Option<PathBuf>,
    /// A file that holds the master's pid while it runs.
    pub pid_file: Option<PathBuf>,
    /// The user of the workers, by name or number.
    pub user: Option<String>,
    /// The group of the workers, by name or number.
    pub group: Option<String>,
    /// Variables that workers of another user get beside [`super::environment::PASSED`].
    #[serde(default)]
    pub pass_environment: Vec<String>,
    /// The time between two beats of a worker.
    #[serde(with = "duration")]
    pub heartbeat_interval: Duration,
    /// A worker whose last beat is older than this is killed.
    #[serde(with = "duration")]
    pub heartbeat_timeout: Duration,
    /// A worker whose beat is late while it holds a database lock is killed after this.
    #[serde(with = "duration")]
    pub lock_hold_timeout: Duration,
    /// A worker that is not ready this long after its fork is killed.
    #[serde(with = "duration")]
    pub ready_timeout: Duration,
    /// How long a cluster that is to stop serves on while its readiness says no.
    #[serde(with = "duration")]
    pub stop_delay: Duration,
    /// A draining worker that is not gone after this is killed.
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
    /// How long the first worker of a new generation is watched before the others follow.
    #[serde(with = "duration")]
    pub bake_time: Duration,
    /// A worker that ends sooner than this died early, which lengthens the backoff.
    #[serde(with = "duration")]
    pub early_death: Duration,
    /// The wait before the restart after a first early death.
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
    /// The number of draining workers at which a rollout waits. See [`ClusterSettings::max_draining`].
    pub max_draining: Option<u16>,
    /// A worker is replaced after about this many requests; never when not set.
    pub max_requests: Option<u64>,
    /// A worker with more resident memory than this, in bytes, is replaced; never when not set.
    pub max_rss: Option<u64>,
    /// A worker is replaced after it has served about this long; never when not set.
    #[serde(default, with = "duration::optional")]
    pub max_age: Option<Duration>,
}

impl ClusterSettings {
    /// The directory of the lock, the worker records and the control socket.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.run_dir.clone().unwrap_or_else(|| self.data_dir.join("run"))
    }

    /// The number of draining workers at which a rollout waits, in a cluster of `workers`. When not set, it
    /// is twice the workers, so that a reload right after a reload cuts nobody, and at least 16, so that a
    /// small cluster can be reloaded often. An idle worker has about 6 MB.
    #[must_use]
    pub fn max_draining(&self, workers: u16) -> u16 {
        self.max_draining
            .unwrap_or_else(|| workers.saturating_mul(2).max(16))
    }
}

/// The section `[http]`: the limits of requests and connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// The longest request line and headers together, in bytes; a longer one is answered 431.
    pub max_header_bytes: usize,
    /// The longest body of a request, in bytes; a longer one is answered 413.
    pub max_body_bytes: usize,
    /// The longest time from the first byte of a request to the end of its headers; then the answer is 408,
    /// or the connection is closed.
    #[serde(with = "duration")]
    pub header_read_timeout: Duration,
    /// The longest silence between two requests, or before the first; then the connection is closed.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// The longest time from the end of a request's headers to the headers of the answer; then the answer is
    /// 503, or 408 when the handler still waits for the body.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
    /// The longest time in which a client takes nothing of its answer; then the connection is cut.
    #[serde(with = "duration")]
    pub write_timeout: Duration,
    /// The most connections of one worker, fewer where the limit of open files is lower; one more is answered
    /// 503 and closed.
    pub max_connections: usize,
    /// The most HTTP/2 requests at once on one connection; one more is refused.
    pub max_streams: u32,
    /// A connection of this age, plus or minus a tenth, is told to go.
    #[serde(default, with = "duration::optional")]
    pub max_connection_age: Option<Duration>,
    /// The longest time that requests of an HTTP/2 connection go on after that; then it is cut.
    #[serde(with = "duration")]
    pub max_connection_age_grace: Duration,
    /// Whether clients of gRPC services may ask for their descriptions.
    pub grpc_reflection: GrpcReflection,
}

/// Whether clients of gRPC services may ask for their descriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GrpcReflection {
    /// While every address is loopback.
    Auto,
    /// They may.
    On,
    /// They may not.
    Off,
}

/// The section `[log]`: what is printed to stderr.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// How log lines look.
    pub format: LogFormat,
    /// The least severe level that is printed.
    pub level: LogLevel,
    /// Whether every request is printed.
    pub access: bool,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// One line of text per event, for people.
    Text,
    /// One JSON object per line, for programs.
    Json,
}

/// How severe a line must be to be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Only what a person must look at now.
    Error,
    /// Also what a person may have to look at soon.
    Warn,
    /// Also what an operator wants to know.
    Info,
    /// Also what a developer wants to know.
    Debug,
    /// Every line.
    Trace,
}

/// The section `[drill]`: faults on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillSettings {
    /// Whether `/drill/…` is served; refused unless every address is loopback.
    pub routes: bool,
}

/// The number of workers, written `auto` or as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Workers {
    /// One worker per CPU that this process may use.
    Auto,
    /// This many workers.
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

/// The text is no number of workers.
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
