//! What counts as ready, and what a probe asks, of a program that `run` runs.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use super::duration::{self, NotADuration};

/// The longest delay: a program is not waited for longer than this.
const LONGEST_DELAY: Duration = Duration::from_secs(3_600);

/// The rule by which a program is ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ReadyRule {
    /// Whatever the program shows first: `READY=1`, Node's `listening`, or that it takes connections.
    #[default]
    Auto,
    /// The program says `READY=1` to `NOTIFY_SOCKET`, and nothing else counts.
    Notify,
    /// The program takes connections.
    Tcp,
    /// A GET of this path is answered with a status below 400.
    Http(HttpPath),
    /// The program writes a line that matches.
    Log(LogPattern),
    /// So much time has passed since the program was started.
    Delay(Duration),
}

/// The text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAReadyRule {
    /// It begins like none of the rules.
    #[error(
        "{0:?} is no rule, expected auto, notify, tcp, http:/PATH, log:REGEX or a delay such as delay:5s"
    )]
    Unknown(String),
    /// The path behind `http:` is none.
    #[error(transparent)]
    Path(#[from] NotAnHttpPath),
    /// The pattern behind `log:` is none.
    #[error(transparent)]
    Pattern(#[from] NotALogPattern),
    /// The delay is no duration.
    #[error("delay:{text} is no delay, expected one such as delay:5s: {reason}")]
    Delay {
        /// What stands behind the colon.
        text: String,
        /// What is wrong with it.
        reason: NotADuration,
    },
    /// The delay is a duration that nobody can mean.
    #[error("delay:{0} is too long, expected at most delay:1h")]
    TooLong(String),
}

impl FromStr for ReadyRule {
    type Err = NotAReadyRule;

    fn from_str(text: &str) -> Result<Self, NotAReadyRule> {
        let unknown = || NotAReadyRule::Unknown(text.to_owned());
        match text.split_once(':') {
            None => match text {
                "auto" => Ok(ReadyRule::Auto),
                "notify" => Ok(ReadyRule::Notify),
                "tcp" => Ok(ReadyRule::Tcp),
                _ => Err(unknown()),
            },
            Some(("http" | "https", _)) => Ok(ReadyRule::Http(text.parse()?)),
            Some(("log", pattern)) => Ok(ReadyRule::Log(pattern.parse()?)),
            Some(("delay", delay)) => delay_rule(delay),
            Some(_) => Err(unknown()),
        }
    }
}

fn delay_rule(text: &str) -> Result<ReadyRule, NotAReadyRule> {
    let delay = duration::parse(text).map_err(|reason| NotAReadyRule::Delay {
        text: text.to_owned(),
        reason,
    })?;
    if delay > LONGEST_DELAY {
        return Err(NotAReadyRule::TooLong(text.to_owned()));
    }
    Ok(ReadyRule::Delay(delay))
}

impl fmt::Display for ReadyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadyRule::Auto => f.write_str("auto"),
            ReadyRule::Notify => f.write_str("notify"),
            ReadyRule::Tcp => f.write_str("tcp"),
            ReadyRule::Http(path) => path.fmt(f),
            ReadyRule::Log(pattern) => write!(f, "log:{pattern}"),
            ReadyRule::Delay(delay) => write!(f, "delay:{}", duration::format(*delay)),
        }
    }
}

impl From<ReadyRule> for String {
    fn from(rule: ReadyRule) -> String {
        rule.to_string()
    }
}

impl TryFrom<String> for ReadyRule {
    type Error = NotAReadyRule;

    fn try_from(text: String) -> Result<Self, NotAReadyRule> {
        text.parse()
    }
}

/// What is asked of a program by HTTP, written `http:/PATH`: the path alone, because the address is the
/// program's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct HttpPath(String);

impl HttpPath {
    /// The path with its query, as it stands in the first line of a request: `/healthz?deep=1`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text names no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no path to ask: write {0}")]
pub struct NotAnHttpPath(String);

impl FromStr for HttpPath {
    type Err = NotAnHttpPath;

    fn from_str(text: &str) -> Result<Self, NotAnHttpPath> {
        let address = ["http://", "https://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        if let Some(rest) = address {
            let path = rest.find('/').map_or("/", |at| &rest[at..]);
            return Err(NotAnHttpPath(format!(
                "http:{path}, for the address is the program's own, and there is no TLS to it"
            )));
        }
        let Some(path) = text.strip_prefix("http:") else {
            return Err(NotAnHttpPath("http:/PATH, as in http:/healthz".to_owned()));
        };
        if !path.starts_with('/') {
            return Err(NotAnHttpPath(format!("http:/{path}, for a path begins with /")));
        }
        match path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            true => Ok(HttpPath(path.to_owned())),
            false => Err(NotAnHttpPath(
                "blanks, # and letters beyond ASCII as %20 and the like".to_owned(),
            )),
        }
    }
}

impl fmt::Display for HttpPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http:{}", self.0)
    }
}

impl From<HttpPath> for String {
    fn from(path: HttpPath) -> String {
        path.to_string()
    }
}

impl TryFrom<String> for HttpPath {
    type Error = NotAnHttpPath;

    fn try_from(text: String) -> Result<Self, NotAnHttpPath> {
        text.parse()
    }
}

/// A regular expression that a line of a program's output may match, anywhere in the line.
#[derive(Clone, Debug)]
pub struct LogPattern(Regex);

impl LogPattern {
    /// The expression, compiled.
    #[must_use]
    pub fn regex(&self) -> &Regex {
        &self.0
    }
}

/// The text is no regular expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotALogPattern {
    /// Nothing stands there.
    #[error("log: is without a pattern, expected one such as log:listening on")]
    Empty,
    /// The expression is malformed, or too large.
    #[error("log:{text} is no regular expression: {reason}; put a \\ before a sign that stands for itself")]
    Malformed {
        /// What was read.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl FromStr for LogPattern {
    type Err = NotALogPattern;

    fn from_str(text: &str) -> Result<Self, NotALogPattern> {
        if text.is_empty() {
            return Err(NotALogPattern::Empty);
        }
        Regex::new(text)
            .map(LogPattern)
            .map_err(|error| NotALogPattern::Malformed {
                text: text.to_owned(),
                reason: error.to_string(),
            })
    }
}

/// Two patterns are the same when they are written the same.
impl PartialEq for LogPattern {
    fn eq(&self, other: &LogPattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for LogPattern {}

impl fmt::Display for LogPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(text: &str) -> String {
        text.parse::<ReadyRule>().expect_err(text).to_string()
    }

    #[test]
    fn a_rule_survives_being_written_and_read() {
        for text in [
            "auto",
            "notify",
            "tcp",
            "http:/",
            "http:/healthz?deep=1",
            "log:^listening on \\d+$",
            "log: a:b",
            "delay:5s",
            "delay:0s",
            "delay:1h",
        ] {
            let rule: ReadyRule = text.parse().expect(text);
            assert_eq!(rule.to_string(), text);
        }
        let rule: ReadyRule = "log:ready( now)?".parse().expect("a rule");
        let ReadyRule::Log(pattern) = rule else {
            panic!("{rule:?}")
        };
        assert!(pattern.regex().is_match("server is ready now"));
    }

    #[test]
    fn what_is_no_rule_is_refused_with_what_to_write() {
        for (text, words) in [
            ("", "expected auto, notify, tcp, http:/PATH"),
            ("ready", "expected auto, notify, tcp, http:/PATH"),
            ("unix:/x", "expected auto, notify, tcp, http:/PATH"),
            ("http:healthz", "write http:/healthz, for a path begins with /"),
            ("http:", "write http:/, for a path begins with /"),
            ("http://127.0.0.1:3000/up", "write http:/up, for the address"),
            ("https://example.com", "write http:/, for the address"),
            ("https:/up", "write http:/PATH"),
            ("http:/a b", "write blanks, # and"),
            ("http:/a\r\nHost: x", "write blanks, # and"),
            ("log:", "log: is without a pattern"),
            ("log:(listening", "log:(listening is no regular expression: "),
            ("delay:5", "write \"5ms\", \"5s\" or \"5m\""),
            ("delay:soon", "delay:soon is no delay"),
            ("delay:2h", "expected at most delay:1h"),
        ] {
            let told = refusal(text);
            assert!(told.contains(words), "{text:?}: {told}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_a_rule_is_read_back(
            start in "(http|log|delay|tcp|x)?:?", rest in "[ -~é]{0,40}",
        ) {
            if let Ok(rule) = format!("{start}{rest}").parse::<ReadyRule>() {
                prop_assert_eq!(rule.to_string().parse::<ReadyRule>(), Ok(rule));
            }
        }
    }
}
