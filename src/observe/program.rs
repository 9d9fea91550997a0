//! The lines of a program that a worker runs, as the log writes them: on a terminal the slot and what was
//! printed, in JSON a log line with the slot, the pid and the stream. Pure.

use std::fmt::Write;

use serde_json::Value;
use tracing::Level;

use super::line::{LineHead, LineStyle, LogContent};
use crate::base::ids::Slot;

/// A line that a program printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProgramLine<'a> {
    /// The slot that the program's worker fills.
    pub(crate) slot: Slot,
    /// The process id of the program.
    pub(crate) pid: i32,
    /// `stdout` or `stderr`.
    pub(crate) stream: &'a str,
    /// The line, without its end.
    pub(crate) text: &'a str,
}

/// For whom lines of text are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextReader {
    /// For a file or another program: with the time.
    File,
    /// For a person at a terminal without colours.
    Terminal,
    /// For a person at a terminal.
    ColourTerminal,
}

/// The colours of the slots, one after the other: cyan, yellow, green, magenta, blue.
const COLOURS: [&str; 5] = ["36", "33", "32", "35", "34"];

impl TextReader {
    /// The reader of a descriptor that is or is not a terminal. `NO_COLOR` is the value of that variable:
    /// <https://no-color.org>.
    pub(crate) fn of(is_terminal: bool, no_color: Option<&std::ffi::OsStr>) -> TextReader {
        match (is_terminal, no_color.is_some_and(|value| !value.is_empty())) {
            (false, _) => TextReader::File,
            (true, true) => TextReader::Terminal,
            (true, false) => TextReader::ColourTerminal,
        }
    }

    /// The prefix of a slot's lines.
    pub(crate) fn prefix(self, slot: Slot, time: &str) -> String {
        match self {
            TextReader::File => format!("{time} slot {slot} | "),
            TextReader::Terminal => format!("slot {slot} | "),
            TextReader::ColourTerminal => {
                let colour = COLOURS[slot.index() % COLOURS.len()];
                format!("\x1b[{colour}mslot {slot} |\x1b[0m ")
            }
        }
    }
}

impl<'a> ProgramLine<'a> {
    /// The line of a program that a worker of this slot has logged; `None` when it is another line.
    pub(super) fn read(content: &'a LogContent, slot: Slot) -> Option<ProgramLine<'a>> {
        let (text, fields) = content.parts();
        let value = |wanted: &str| {
            fields
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value)
        };
        let (pid, stream) = (value("pid")?.as_i64()?, value("stream")?.as_str()?);
        (fields.len() == 3 && value("slot").is_some()).then(|| ProgramLine {
            slot,
            pid: i32::try_from(pid).unwrap_or_default(),
            stream,
            text,
        })
    }

    /// The line as the log has it, with its newline.
    pub(super) fn line(&self, style: LineStyle, reader: TextReader, head: &LineHead<'_>) -> String {
        match style {
            LineStyle::Text => reader.prefix(self.slot, head.time) + &printable(self.text) + "\n",
            LineStyle::Json | LineStyle::Journal => self.content().line(style, head),
        }
    }

    fn content(&self) -> LogContent {
        let fields = [
            ("slot", Value::from(self.slot.0)),
            ("pid", Value::from(self.pid)),
            ("stream", Value::from(self.stream)),
        ];
        let fields = fields.map(|(name, value)| (name.into(), value));
        LogContent::with(self.text.to_owned(), fields.into())
    }
}

/// The level of what a program prints. Many write their whole log to stderr, so that is no error.
pub(super) const LEVEL: Level = Level::INFO;

/// A line of a program without control characters, which could forge another line or steer a terminal. A tab
/// can do neither.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\t' {
            let written = write!(printable, "{}", character.escape_default());
            debug_assert!(written.is_ok(), "a String takes everything");
        } else {
            printable.push(character);
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: LineHead<'_> = LineHead {
        time: "1970-01-01T00:00:00.000Z",
        level: LEVEL,
        who: "worker 7/1/3",
    };

    const LINE: ProgramLine<'_> = ProgramLine {
        slot: Slot(1),
        pid: 77,
        stream: "stderr",
        text: "a\tb\x1b[2J\u{9b}\rc",
    };

    #[test]
    fn text_is_for_people_and_has_the_time_where_it_is_kept() {
        let text = |reader| LINE.line(LineStyle::Text, reader, &HEAD);
        let said = "a\tb\\u{1b}[2J\\u{9b}\\rc\n";
        assert_eq!(text(TextReader::Terminal), format!("slot 1 | {said}"));
        assert_eq!(
            text(TextReader::File),
            format!("1970-01-01T00:00:00.000Z slot 1 | {said}")
        );
        assert_eq!(
            text(TextReader::ColourTerminal),
            format!("\x1b[33mslot 1 |\x1b[0m {said}")
        );
    }

    #[test]
    fn json_says_who_printed_it_where() {
        let line = LINE.line(LineStyle::Json, TextReader::File, &HEAD);
        let object: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&object["slot"], &object["pid"]), (&1.into(), &77.into()));
        assert_eq!(
            (&object["stream"], &object["level"]),
            (&"stderr".into(), &"info".into())
        );
        assert_eq!(
            (&object["message"], &object["who"]),
            (&LINE.text.into(), &HEAD.who.into())
        );
    }

    #[test]
    fn colours_are_for_terminals_whose_user_wants_them() {
        let of =
            |is_terminal, no_color: Option<&str>| TextReader::of(is_terminal, no_color.map(AsRef::as_ref));
        assert_eq!(of(false, None), TextReader::File);
        assert_eq!(of(true, Some("1")), TextReader::Terminal);
        assert_eq!(of(true, Some("")), TextReader::ColourTerminal);
        assert_eq!(of(true, None), TextReader::ColourTerminal);
    }
}
