//! How the lines that programs printed are shown: as text with the slot in front, or as JSON.

use std::collections::BTreeMap;
use std::env;
use std::io::{IsTerminal, stdout};

use serde::Serialize;

use crate::base::ids::{Life, Slot};
use crate::control::OutputReport;
use crate::observe::{self, TextReader};
use crate::output_ring::OutputLine;

/// The lines of a report as text without colours.
pub(super) fn plain(report: &OutputReport) -> String {
    LogsForm::Text(TextReader::Terminal).text(report, None)
}

/// How lines are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogsForm {
    Text(TextReader),
    Json,
}

/// What is shown of one life: a line, or how many are lost.
#[derive(Clone, Copy, Debug)]
enum Shown<'a> {
    Lost(u64),
    Line(&'a OutputLine),
}

/// A line in JSON. Its fields are those of a log line.
#[derive(Serialize)]
struct JsonLine<'a> {
    time: String,
    life: Life,
    slot: Slot,
    pid: Option<i32>,
    stream: &'a str,
    message: &'a str,
}

/// How many lines are lost, in JSON.
#[derive(Serialize)]
struct JsonLost {
    life: Life,
    slot: Slot,
    lost: u64,
}

impl LogsForm {
    /// As the request wants it, and as stdout can show it.
    pub(super) fn of(json: bool) -> LogsForm {
        let no_color = env::var_os("NO_COLOR");
        match (json, TextReader::of(stdout().is_terminal(), no_color.as_deref())) {
            (true, _) => LogsForm::Json,
            // The time is for logs that are kept.
            (false, TextReader::File) => LogsForm::Text(TextReader::Terminal),
            (false, reader) => LogsForm::Text(reader),
        }
    }

    /// The lines of all lives in the order of their times; the last ones, if only so many are wanted.
    pub(super) fn text(self, report: &OutputReport, most: Option<u32>) -> String {
        let pids: BTreeMap<Life, Option<i32>> =
            report.lives.iter().map(|life| (life.life, life.pid)).collect();
        let mut shown: Vec<(u64, Life, Shown<'_>)> = Vec::new();
        for life in &report.lives {
            let mut time = life.lines.first().map_or(0, |line| line.time_ms);
            if life.lost > 0 {
                shown.push((time, life.life, Shown::Lost(life.lost)));
            }
            for line in &life.lines {
                // The lines of a life stay in their order, whatever becomes of the clock.
                time = time.max(line.time_ms);
                shown.push((time, life.life, Shown::Line(line)));
            }
        }
        shown.sort_by_key(|(time, _, _)| *time);
        let most = most.and_then(|most| usize::try_from(most).ok());
        let first = most.map_or(0, |most| shown.len().saturating_sub(most));
        let lines = shown[first..].iter();
        lines
            .map(|(_, life, shown)| self.line(*life, pids.get(life).copied().flatten(), *shown))
            .collect()
    }

    fn line(self, life: Life, pid: Option<i32>, shown: Shown<'_>) -> String {
        let slot = life.slot;
        match (self, shown) {
            (LogsForm::Text(reader), Shown::Lost(lost)) => {
                reader.prefix(slot, "")
                    + &format!("({lost} lines lost: printed faster than they were read)\n")
            }
            (LogsForm::Text(reader), Shown::Line(line)) => {
                reader.prefix(slot, "") + &observe::printable(&line.text) + "\n"
            }
            (LogsForm::Json, Shown::Lost(lost)) => json(&JsonLost { life, slot, lost }),
            (LogsForm::Json, Shown::Line(line)) => json(&JsonLine {
                time: observe::date_of(line.time_ms),
                life,
                slot,
                pid,
                stream: line.stream.as_str(),
                message: &line.text,
            }),
        }
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("numbers and texts can be written as JSON") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::LifeOutput;
    use crate::output_ring::OutputStream;

    fn line(number: u64, time_ms: u64, text: &str) -> OutputLine {
        OutputLine {
            number,
            time_ms,
            stream: OutputStream::Stdout,
            text: text.to_owned(),
        }
    }

    fn report() -> OutputReport {
        let life = |life, lost, lines: Vec<OutputLine>| LifeOutput {
            life,
            pid: Some(77),
            lost,
            next: 9,
            lines,
        };
        OutputReport {
            lives: vec![
                life(Life::of(1, 0, 1), 0, vec![line(7, 5, "a\x1b"), line(8, 9, "d")]),
                life(Life::of(1, 1, 1), 3, vec![line(7, 6, "b"), line(8, 5, "c")]),
            ],
        }
    }

    #[test]
    fn the_lines_of_all_lives_are_shown_by_their_times() {
        assert_eq!(
            plain(&report()),
            "slot 0 | a\\u{1b}\nslot 1 | (3 lines lost: printed faster than they were read)\n\
             slot 1 | b\nslot 1 | c\nslot 0 | d\n"
        );
        let form = LogsForm::Text(TextReader::Terminal);
        assert_eq!(form.text(&report(), Some(1)), "slot 0 | d\n");
        assert_eq!(form.text(&report(), Some(0)), "");
    }

    #[test]
    fn json_has_a_line_for_each() {
        let text = LogsForm::Json.text(&report(), None);
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(lines.len(), 5);
        assert_eq!(lines[0]["message"], "a\u{1b}");
        assert_eq!(
            (&lines[0]["pid"], &lines[0]["life"]),
            (&77.into(), &"1/0/1".into())
        );
        assert_eq!(lines[0]["time"], "1970-01-01T00:00:00.005Z");
        assert!(lines.iter().any(|line| line["lost"] == 3 && line["slot"] == 1));
    }
}
