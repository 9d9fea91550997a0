//! A log line in JSON that a worker of another user sent to the master: read as if anybody had written it.
//! The master writes the line anew, so that the line can neither claim to be somebody else's nor steer a
//! terminal. Pure.

use std::borrow::Cow;

use serde_json::{Map, Value};
use tracing::Level;

use super::fields::{FIELDS, fitted};
use super::line::LogContent;

/// The largest number of fields; a line with more is no log line.
const MAX_FIELDS: usize = 64;
/// The longest name of a field, in bytes.
const MAX_NAME: usize = 64;

/// A line that was read.
#[derive(Debug)]
pub(super) struct RelayedLine {
    pub(super) time: String,
    pub(super) level: Level,
    pub(super) content: LogContent,
}

impl RelayedLine {
    /// Reads a line without its newline; `None` when it is no log line. Who it is by is not read.
    pub(super) fn parse(line: &[u8]) -> Option<RelayedLine> {
        let mut members: Map<String, Value> = serde_json::from_slice(line).ok()?;
        let mut text = |name| match members.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let time = text("time").filter(|time| is_time(time))?;
        let level = level(&text("level")?)?;
        let message = text("message")?;
        members.remove("who");
        if members.len() > MAX_FIELDS || !members.keys().all(|name| is_name(name)) {
            return None;
        }
        let fields = members.into_iter().map(|(name, value)| field(name, value));
        let content = LogContent::with(message, fields.collect());
        Some(RelayedLine { time, level, content })
    }
}

fn level(word: &str) -> Option<Level> {
    match word {
        "error" => Some(Level::ERROR),
        "warn" => Some(Level::WARN),
        "info" => Some(Level::INFO),
        "debug" => Some(Level::DEBUG),
        "trace" => Some(Level::TRACE),
        _ => None,
    }
}

/// Whether this has the form `2026-11-22T16:02:20.123Z`.
fn is_time(text: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00T00:00:00.000Z";
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        mark => byte == mark,
    };
    text.len() == FORM.len() && text.as_bytes().iter().zip(FORM).all(fits)
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(fits)
}

fn field(name: String, value: Value) -> (Cow<'static, str>, Value) {
    let value = match value {
        Value::Array(_) | Value::Object(_) => value.to_string().into(),
        plain => plain,
    };
    match FIELDS.binary_search_by(|field| field.name.cmp(&name)) {
        Ok(place) => fitted(Cow::Borrowed(FIELDS[place].name), value),
        Err(_) => fitted(Cow::Owned(name), value),
    }
}

/// Reads a line and writes it in both styles.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(bytes: &[u8]) -> bool {
    use super::line::{LineHead, LineStyle};

    let Some(RelayedLine { time, level, content }) = RelayedLine::parse(bytes) else {
        return false;
    };
    let (time, who) = (time.as_str(), "worker 7/0/3");
    let head = LineHead { time, level, who };
    for style in [LineStyle::Text, LineStyle::Json] {
        let line = content.line(style, &head);
        let text = line.strip_suffix('\n').expect("a line ends with its newline");
        assert!(!text.contains(char::is_control), "a terminal would obey {text:?}");
    }
    let line = content.line(LineStyle::Json, &head);
    let again = RelayedLine::parse(line.trim_end().as_bytes()).expect("what is written can be read");
    assert_eq!(again.content.line(LineStyle::Json, &head), line);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::line::{LineHead, LineStyle};

    const LINE: &str =
        r#"{"time":"2026-11-22T16:02:20.123Z","level":"warn","who":"worker 7/0/3","message":"a","slot":2}"#;

    fn relayed(line: &str) -> Option<String> {
        let RelayedLine { time, level, content } = RelayedLine::parse(line.as_bytes())?;
        let (time, who) = (time.as_str(), "worker 7/0/3");
        Some(content.line(LineStyle::Json, &LineHead { time, level, who }))
    }

    #[test]
    fn a_line_arrives_as_it_was_logged() {
        let read = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        assert_eq!(read(&relayed(LINE).expect("a line")), read(LINE));
    }

    #[test]
    fn nobody_speaks_for_another_and_types_are_kept() {
        let forged = LINE.replace("\"who\":\"worker 7/0/3\"", "\"who\":\"master\"");
        let twice = LINE.replace("\"slot\":2", "\"slot\":\"x\",\"who\":\"master\"");
        for line in [forged, twice] {
            let line = relayed(&line).expect("a line");
            assert!(
                line.contains(r#""who":"worker 7/0/3""#) && !line.contains("master"),
                "{line}"
            );
            assert!(!line.contains(r#""slot":"x""#), "{line}");
        }
    }

    #[test]
    fn what_is_no_log_line_is_not_taken_for_one() {
        let many = (0..65)
            .map(|number| format!(",\"f{number}\":1"))
            .collect::<String>();
        for line in [
            String::new(),
            "panicked at".to_owned(),
            "[1]".to_owned(),
            LINE.replace("2026-11-22T16:02:20.123Z", "\\u001b[2J-22T16:02:20.123Z"),
            LINE.replace("warn", "fatal"),
            LINE.replace("message", "massage"),
            LINE.replace("slot", "sl\\u001bot"),
            LINE.replace(",\"slot\":2", &many),
            format!("{LINE}{LINE}"),
        ] {
            assert!(RelayedLine::parse(line.as_bytes()).is_none(), "{line}");
        }
    }
}
