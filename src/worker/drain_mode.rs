//! How fast a drain is. It must not know what drains.

/// How long a drain keeps connections that are open but silent. A later mode can only be a faster one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DrainMode {
    /// Other workers serve on: a silent connection is kept nearly as long as `drain_timeout` allows, so that
    /// its next request is answered (with `Connection: close`) and never meets a reset.
    Patient,
    /// No other worker serves on (the cluster stops, or the master is gone and the next one waits): silent
    /// connections are closed after a second.
    Prompt,
    /// This worker has failed: silent connections are closed now, the others after half a second.
    AtOnce,
}

impl DrainMode {
    /// The mode as a log line has it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            DrainMode::Patient => "patient",
            DrainMode::Prompt => "prompt",
            DrainMode::AtOnce => "at_once",
        }
    }
}
