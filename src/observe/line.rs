//! The form of a log line. Pure: the time is passed in.

use std::borrow::Cow;
use std::fmt::{self, Write};

use serde_json::{Map, Value};
use time::OffsetDateTime;
use tracing::Level;
use tracing::field::{Field, Visit};

use super::fields::fitted;
use super::systemd_journal;
use crate::config::LogFormat;

/// The longest text in a line, in bytes; the rest is cut, so that a pipe takes a line at once.
const MAX_TEXT: usize = 1500;

/// The style of the lines: for people, or for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineStyle {
    /// `2026-11-22T16:02:20.123Z INFO worker 7/0/3: ready took_ms=12`
    Text,
    /// `{"time":…,"level":"info","who":…,"message":…, …}`
    Json,
    /// `PRIORITY=6`, `MESSAGE=worker 7/0/3: ready took_ms=12`, `CLUSTER_TOOK_MS=12`: an entry of systemd's
    /// journal, which adds the time.
    Journal,
}

impl LineStyle {
    /// The style of this format on a descriptor that is or is not a terminal.
    pub(super) fn of(format: LogFormat, terminal: bool) -> LineStyle {
        match format {
            LogFormat::Text => LineStyle::Text,
            LogFormat::Json => LineStyle::Json,
            LogFormat::Auto if terminal => LineStyle::Text,
            LogFormat::Auto => LineStyle::Json,
        }
    }
}

/// When a line was made, how severe it is, and who says it.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineHead<'a> {
    pub(super) time: &'a str,
    pub(super) level: Level,
    pub(super) who: &'a str,
}

/// The content of an event: its message and its fields, in order.
#[derive(Debug, Default)]
pub(super) struct LogContent {
    message: String,
    fields: Vec<(Cow<'static, str>, Value)>,
}

impl LogContent {
    /// A message without fields.
    pub(super) fn message(message: String) -> LogContent {
        LogContent {
            message,
            fields: Vec::new(),
        }
    }

    /// The line of this content, with its newline.
    pub(super) fn line(&self, style: LineStyle, head: &LineHead<'_>) -> String {
        match style {
            LineStyle::Text => self.text(head),
            LineStyle::Json => self.json(head),
            LineStyle::Journal => self.journal(head),
        }
    }

    fn text(&self, LineHead { time, level, who }: &LineHead<'_>) -> String {
        format!("{time} {level:<5} {}\n", self.words(who))
    }

    /// Who says what, in one line without its end.
    fn words(&self, who: &str) -> String {
        let mut line = format!("{who}: {}", Printable(&self.message));
        for (name, value) in &self.fields {
            let written = match value {
                Value::String(text) if is_plain(text) => write!(line, " {name}={text}"),
                other => write!(line, " {name}={}", Printable(&other.to_string())),
            };
            debug_assert!(written.is_ok(), "a String takes everything");
        }
        line
    }

    fn journal(&self, LineHead { level, who, .. }: &LineHead<'_>) -> String {
        let mut entry = vec![
            format!("PRIORITY={}", systemd_journal::priority(*level)),
            format!("MESSAGE={}", self.words(who)),
            format!("CLUSTER_WHO={}", Printable(who)),
        ];
        for (name, value) in &self.fields {
            let name = systemd_journal::field_name(name);
            entry.push(match value {
                Value::String(text) => format!("{name}={}", Printable(text)),
                other => format!("{name}={}", Printable(&other.to_string())),
            });
        }
        entry.join(&systemd_journal::SEPARATOR.to_string()) + "\n"
    }

    fn json(&self, LineHead { time, level, who }: &LineHead<'_>) -> String {
        let mut object = Map::new();
        for (name, value) in &self.fields {
            object.insert(name.as_ref().to_owned(), value.clone());
        }
        object.insert("time".to_owned(), (*time).into());
        object.insert("level".to_owned(), level.as_str().to_lowercase().into());
        object.insert("who".to_owned(), (*who).into());
        object.insert("message".to_owned(), self.message.as_str().into());
        let mut line = escaped(Value::Object(object).to_string());
        line.push('\n');
        line
    }

    /// The message and the fields.
    pub(super) fn parts(&self) -> (&str, &[(Cow<'static, str>, Value)]) {
        (&self.message, &self.fields)
    }

    /// A message with these fields.
    pub(super) fn with(message: String, fields: Vec<(Cow<'static, str>, Value)>) -> LogContent {
        LogContent { message, fields }
    }

    /// Says which request the line is about, if it does not say so itself.
    pub(super) fn name_request(&mut self, id: String) {
        const NAME: &str = "request_id";
        if self.fields.iter().all(|(name, _)| name != NAME) {
            self.fields.push((NAME.into(), id.into()));
        }
    }

    fn record(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => self.fields.push(fitted(name.into(), value)),
        }
    }
}

impl Visit for LogContent {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = CutText(String::new());
        // An error only says that the text was cut.
        let _cut = write!(text, "{value:?}");
        self.record(field, Value::String(text.0));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let end = value.floor_char_boundary(MAX_TEXT);
        self.record(field, Value::from(&value[..end]));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.record(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.record(field, Value::from(value));
    }
}

/// A text that stops growing at [`MAX_TEXT`].
struct CutText(String);

impl Write for CutText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_TEXT.saturating_sub(self.0.len());
        let end = text.floor_char_boundary(room);
        self.0.push_str(&text[..end]);
        if end == text.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

/// JSON whose texts hold no control character that JSON lets pass (U+007F to U+009F): a terminal would obey
/// it.
fn escaped(json: String) -> String {
    if !json.contains(char::is_control) {
        return json;
    }
    let mut text = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if character.is_control() {
            let written = write!(text, "\\u{:04x}", u32::from(character));
            debug_assert!(written.is_ok(), "a String takes everything");
        } else {
            text.push(character);
        }
    }
    text
}

/// A message whose control characters (a client may have chosen them) cannot forge a line or steer a
/// terminal.
struct Printable<'text>(&'text str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !text
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || matches!(c, '"' | '=' | '\\'))
}

/// The time as a log line has it, from milliseconds since 1970; the beginning of 1970 when it is no date.
pub(super) fn date_of(ms: u64) -> String {
    let date = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000);
    timestamp(date.unwrap_or(OffsetDateTime::UNIX_EPOCH))
}

/// RFC 3339 with milliseconds, in UTC.
pub(super) fn timestamp(now: OffsetDateTime) -> String {
    let (date, time) = (now.date(), now.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(level: Level, who: &str) -> LineHead<'_> {
        let time = "1970-01-01T00:00:00.000Z";
        LineHead { time, level, who }
    }

    #[test]
    fn a_time_is_written_with_milliseconds() {
        assert_eq!(timestamp(OffsetDateTime::UNIX_EPOCH), head(Level::INFO, "").time);
        assert_eq!(date_of(1_795_650_780_042), "2026-11-25T23:53:00.042Z");
        assert_eq!(date_of(u64::MAX), head(Level::INFO, "").time);
    }

    fn content() -> LogContent {
        let fields = vec![
            ("slot".into(), Value::from(2)),
            ("path".into(), Value::from("/a b\n")),
            ("peer".into(), Value::from("x")),
        ];
        LogContent {
            message: "ready\x1b[31m\nforged".to_owned(),
            fields,
        }
    }

    #[test]
    fn text_is_one_printable_line() {
        let line = content().line(LineStyle::Text, &head(Level::INFO, "worker 7/0/3"));
        let expected = "1970-01-01T00:00:00.000Z INFO  worker 7/0/3: ready\\u{1b}[31m\\nforged slot=2 \
                        path=\"/a b\\n\" peer=x\n";
        assert_eq!(line, expected);
    }

    #[test]
    fn an_entry_of_the_journal_has_a_field_for_each_value() {
        let line = content().line(LineStyle::Journal, &head(Level::WARN, "worker 7/0/3"));
        let entry: Vec<&str> = line
            .strip_suffix('\n')
            .expect("an end")
            .split(systemd_journal::SEPARATOR)
            .collect();
        let message = "MESSAGE=worker 7/0/3: ready\\u{1b}[31m\\nforged slot=2 path=\"/a b\\n\" peer=x";
        let fields = ["CLUSTER_SLOT=2", "CLUSTER_PATH=/a b\\n", "CLUSTER_PEER=x"];
        assert_eq!(entry[..3], ["PRIORITY=4", message, "CLUSTER_WHO=worker 7/0/3"]);
        assert_eq!(entry[3..], fields);
    }

    #[test]
    fn json_is_one_object_a_line() {
        let line = content().line(LineStyle::Json, &head(Level::WARN, "master"));
        assert_eq!(line.matches('\n').count(), 1);
        let object: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(object["level"], "warn");
        assert_eq!(object["who"], "master");
        assert_eq!(object["slot"], 2);
        assert_eq!(object["message"], "ready\x1b[31m\nforged");
        assert_eq!(object["time"], "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn no_control_character_reaches_a_terminal() {
        let text = "a\u{9b}2J\u{7f}";
        let content = LogContent::with(text.to_owned(), vec![("path".into(), Value::from(text))]);
        for style in [LineStyle::Text, LineStyle::Json] {
            let line = content.line(style, &head(Level::INFO, "master"));
            assert!(!line.trim_end().contains(char::is_control), "{line:?}");
        }
        let json = content.line(LineStyle::Json, &head(Level::INFO, "master"));
        let object: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(object["path"], text);
    }
}
