//! The section `[run]`: the program that the workers run instead of the application's own routes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;
use super::ready::{HttpPath, ReadyRule};

/// The section `[run]`: a program that knows nothing of this cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunSettings {
    /// The program and its arguments; empty when the workers serve the application's own routes.
    pub command: Vec<String>,
    /// The directory in which the program starts; the master's when not set.
    pub directory: Option<PathBuf>,
    /// Variables that the program gets beside those of its worker.
    pub env: BTreeMap<String, String>,
    /// How the program gets its connections.
    pub listen: ListenMode,
    /// When the program is ready.
    pub ready: ReadyRule,
    /// What is asked to find out whether the program is alive; nothing when not set.
    pub probe: Option<HttpPath>,
    /// How long a program may take nothing from a queue that waits for it, before it is killed.
    #[serde(with = "duration")]
    pub stuck_timeout: Duration,
    /// What asks the program to finish and end.
    pub stop_signal: StopSignal,
    /// Whether a Node program gets the preload that drains keep-alive connections and beats.
    pub preload: bool,
    /// The file for the program's output; the master's log when not set.
    pub log_file: Option<PathBuf>,
    /// Files and directories whose change reloads; none unless asked for.
    pub watch: Vec<PathBuf>,
}

impl RunSettings {
    /// Whether the workers run a program instead of the application's own routes.
    #[must_use]
    pub fn is_asked_for(&self) -> bool {
        !self.command.is_empty()
    }

    /// Whether the program is asked by HTTP, to find out whether it is ready or alive.
    #[must_use]
    pub fn is_probed(&self) -> bool {
        self.probe.is_some() || matches!(self.ready, ReadyRule::Http(_))
    }
}

impl Default for RunSettings {
    fn default() -> RunSettings {
        RunSettings {
            command: Vec::new(),
            directory: None,
            env: BTreeMap::new(),
            listen: ListenMode::Auto,
            ready: ReadyRule::Auto,
            probe: None,
            stuck_timeout: Duration::from_secs(30),
            stop_signal: StopSignal::Terminate,
            preload: true,
            log_file: None,
            watch: Vec::new(),
        }
    }
}

/// How a program gets its connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListenMode {
    /// `node` for a Node program, `fds` where there are addresses to hand out, and `reuseport` otherwise.
    #[default]
    Auto,
    /// It gets the listeners as systemd would pass them, from descriptor 3 on.
    Fds,
    /// It asks for them as a worker of Node's cluster module does.
    Node,
    /// It binds its addresses by itself, with `SO_REUSEPORT`.
    Reuseport,
}

/// A signal that asks a program to finish and end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum StopSignal {
    /// The signal SIGTERM.
    #[default]
    Terminate,
    /// The signal SIGINT.
    Interrupt,
    /// The signal SIGQUIT.
    Quit,
    /// The signal SIGHUP.
    HangUp,
    /// The signal SIGUSR1.
    User1,
    /// The signal SIGUSR2.
    User2,
    /// The signal SIGWINCH.
    WindowChange,
}

impl StopSignal {
    /// Every such signal.
    pub const ALL: &'static [StopSignal] = &[
        StopSignal::Terminate,
        StopSignal::Interrupt,
        StopSignal::Quit,
        StopSignal::HangUp,
        StopSignal::User1,
        StopSignal::User2,
        StopSignal::WindowChange,
    ];

    /// The name as `kill -l` has it, `SIGTERM`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            StopSignal::Terminate => "SIGTERM",
            StopSignal::Interrupt => "SIGINT",
            StopSignal::Quit => "SIGQUIT",
            StopSignal::HangUp => "SIGHUP",
            StopSignal::User1 => "SIGUSR1",
            StopSignal::User2 => "SIGUSR2",
            StopSignal::WindowChange => "SIGWINCH",
        }
    }
}

/// The text is none of the signals that can ask a program to end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no signal that asks a program to end (expected SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, \
    SIGUSR2 or SIGWINCH)"
)]
pub struct NotAStopSignal(String);

/// `SIGTERM`, and as people also write it: `TERM`, `sigterm`.
impl FromStr for StopSignal {
    type Err = NotAStopSignal;

    fn from_str(text: &str) -> Result<Self, NotAStopSignal> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let mut all = StopSignal::ALL.iter().copied();
        let found = all.find(|signal| signal.as_str().strip_prefix("SIG") == Some(name));
        found.ok_or_else(|| NotAStopSignal(text.to_owned()))
    }
}

impl fmt::Display for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<StopSignal> for String {
    fn from(signal: StopSignal) -> String {
        signal.to_string()
    }
}

impl TryFrom<String> for StopSignal {
    type Error = NotAStopSignal;

    fn try_from(text: String) -> Result<Self, NotAStopSignal> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_understood_as_people_write_it() {
        for text in ["SIGTERM", "TERM", "term", "SigTerm"] {
            assert_eq!(text.parse(), Ok(StopSignal::Terminate), "{text}");
        }
        for signal in StopSignal::ALL {
            assert_eq!(signal.as_str().parse(), Ok(*signal));
        }
        for text in ["", "SIG", "SIGKILL", "9", "15", "SIGSIGTERM"] {
            assert!(text.parse::<StopSignal>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn settings_survive_the_way_to_a_worker_and_older_ones_have_none() {
        let settings = RunSettings {
            command: vec!["node".to_owned(), "app.js".to_owned()],
            env: [("A".to_owned(), "b=c,d".to_owned())].into(),
            ready: "log:listening".parse().expect("a rule"),
            probe: Some("http:/up".parse().expect("a path")),
            ..RunSettings::default()
        };
        let json = serde_json::to_string(&settings).expect("JSON");
        assert_eq!(
            serde_json::from_str::<RunSettings>(&json).expect("our own"),
            settings
        );
        assert_eq!(
            serde_json::from_str::<RunSettings>("{}").expect("no key is needed"),
            RunSettings::default()
        );
        assert!(!RunSettings::default().is_asked_for());
    }
}
