//! A status cut to the size of a terminal: a line that wraps would push the rest of a frame in place off its
//! place. Pure.

use super::table::{self, COLUMNS, CpuShares, Row, StatusParts};
use crate::control::ClusterStatus;

/// The columns that a narrow terminal does without, the least important first. The slot and its state stay.
const FIRST_TO_GO: [&str; COLUMNS - 2] = [
    "WEIGHT", "EPOCH", "QUEUE", "LAST END", "GEN", "ENDED", "BUSY", "UP", "5XX", "BEAT", "PID", "REQUESTS",
    "CPU", "RSS", "CONN",
];
/// The head of the table, one row, and the line that counts what is not shown.
const LEAST_TABLE: usize = 3;

/// The size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScreenSize {
    pub(super) columns: usize,
    pub(super) lines: usize,
}

/// The status in lines that fit. When not all fit, the last line counts the workers that are not shown.
pub(super) fn text(status: &ClusterStatus, shares: Option<&CpuShares>, size: ScreenSize) -> String {
    let StatusParts { head, rows, notes } = table::parts(status, shares);
    let head: Vec<String> = head.lines().map(str::to_owned).collect();
    // The cursor stands in the line after the last one.
    let room = size.lines.saturating_sub(1).max(1);
    let lines = shortened(head, narrowed(&rows, size.columns), notes, room);
    let cut = lines.iter().map(|line| cut(line, size.columns) + "\n");
    cut.collect()
}

/// The lines of the table without the columns for which there is no room.
fn narrowed(rows: &[Row], columns: usize) -> Vec<String> {
    let mut kept: Vec<usize> = (0..COLUMNS).collect();
    let mut to_go = FIRST_TO_GO.iter();
    loop {
        let cells: Vec<Vec<&str>> = rows
            .iter()
            .map(|row| kept.iter().map(|&column| row[column].as_str()).collect())
            .collect();
        let lines = table::aligned(&cells);
        let fits = lines.iter().all(|line| line.chars().count() <= columns);
        match to_go.next() {
            Some(name) if !fits => kept.retain(|&column| table::HEAD[column] != *name),
            Some(_) | None => return lines,
        }
    }
}

/// At most `all_room` lines of all these. The head of the status gives way to a table of [`LEAST_TABLE`]
/// lines.
fn shortened(
    mut head: Vec<String>,
    mut table: Vec<String>,
    mut notes: Vec<String>,
    all_room: usize,
) -> Vec<String> {
    if head.len() + 1 + table.len() + notes.len() <= all_room {
        head.push(String::new());
        return [head, table, notes].concat();
    }
    head.truncate(all_room.saturating_sub(LEAST_TABLE).max(1));
    // One line is for what is not shown.
    let room = all_room.saturating_sub(head.len() + 1);
    let all_rows = table.len() - 1;
    table.truncate(room);
    let hidden_rows = all_rows - table.len().saturating_sub(1);
    let all_notes = notes.len();
    notes.truncate(room - table.len());
    let hidden = [
        counted(hidden_rows, "worker"),
        counted(all_notes - notes.len(), "note"),
    ];
    let hidden: Vec<String> = hidden.into_iter().flatten().collect();
    let last = format!("not shown: {}", hidden.join(", "));
    let mut lines = [head, table, notes, vec![last]].concat();
    lines.truncate(all_room);
    lines
}

fn counted(many: usize, noun: &str) -> Option<String> {
    match many {
        0 => None,
        1 => Some(format!("1 {noun}")),
        _ => Some(format!("{many} {noun}s")),
    }
}

/// The line, or as much of it as there is room for.
fn cut(line: &str, columns: usize) -> String {
    if line.chars().count() <= columns {
        return line.to_owned();
    }
    let beginning = line.chars().take(columns.saturating_sub(1));
    beginning.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(name: &str, many: usize) -> Vec<String> {
        (0..many).map(|number| format!("{name}{number}")).collect()
    }

    #[test]
    fn columns_go_in_their_order_until_the_table_fits() {
        let rows = [table::HEAD.map(str::to_owned)];
        let whole = narrowed(&rows, 1000).concat();
        assert_eq!(
            whole.split_whitespace().count(),
            COLUMNS + 1,
            "LAST END is two words"
        );
        let width = whole.chars().count();
        let less = narrowed(&rows, width - 1).concat();
        assert!(!less.contains("WEIGHT") && less.contains("EPOCH"), "{less}");
        let table = narrowed(&rows, 20).concat();
        assert_eq!(table, "SLOT  STATE  CONN");
        assert_eq!(
            narrowed(&rows, 5).concat(),
            "SLOT  STATE",
            "these are cut, not left out"
        );
    }

    #[test]
    fn every_column_but_two_has_its_turn_once() {
        let mut names: Vec<&str> = FIRST_TO_GO.into_iter().chain(["SLOT", "STATE"]).collect();
        let mut all = table::HEAD.to_vec();
        names.sort_unstable();
        all.sort_unstable();
        assert_eq!(names, all);
    }

    #[test]
    fn what_does_not_fit_is_counted_in_the_last_line() {
        let shown = |room| shortened(lines("head", 3), lines("row", 6), lines("note", 2), room);
        assert_eq!(shown(12).len(), 12, "3 + 1 + 6 + 2");
        assert_eq!(shown(12)[3], "");
        for room in 1..12 {
            assert!(shown(room).len() <= room, "{room}: {:?}", shown(room));
        }
        let last = |room| shown(room).pop();
        assert_eq!(last(11).as_deref(), Some("not shown: 1 note"));
        assert_eq!(last(7).as_deref(), Some("not shown: 3 workers, 2 notes"));
        assert_eq!(
            shown(4),
            ["head0", "row0", "row1", "not shown: 4 workers, 2 notes"]
        );
        assert_eq!(shown(2), ["head0", "not shown: 5 workers, 2 notes"]);
    }

    #[test]
    fn a_line_is_cut_by_characters() {
        assert_eq!(cut("×××", 3), "×××");
        assert_eq!(cut("××××", 3), "××…");
        assert_eq!(cut("ab", 0), "…");
    }
}
