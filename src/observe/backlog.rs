//! Lines that could not be written yet: at most 64 KiB. A line that does not fit is dropped whole and
//! counted. Pure.

/// The number of bytes that may wait.
const CAPACITY: usize = 64 * 1024;
/// Up to this many bytes a write to a pipe is whole or nothing, so that lines of several processes do not mix
/// (PIPE_BUF).
const ATOMIC: usize = 4096;

/// Lines that wait, and the number of those that were dropped.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: Vec<u8>,
    /// All lines that were ever dropped.
    dropped: u64,
    /// Dropped lines that no log line has reported yet.
    unreported: u64,
    /// The line at the front that reports dropped lines, while it waits.
    report: Option<DropReport>,
    /// Whether the last write failed.
    failing: bool,
    /// Whether the last byte that was written is within a line.
    within_line: bool,
}

/// A line that reports dropped lines.
#[derive(Clone, Copy, Debug)]
struct DropReport {
    /// The number of lines that it reports.
    lines: u64,
    /// The number of its bytes that are not written yet.
    bytes: usize,
}

impl Backlog {
    /// Adds a line with its newline, or drops and counts it when there is no room.
    pub(super) fn push(&mut self, line: &[u8]) {
        if self.waiting.len() + line.len() > CAPACITY {
            self.drop_lines(1);
        } else {
            self.end_torn_line();
            self.waiting.extend_from_slice(line);
        }
    }

    /// Adds the line that reports so many dropped lines. No other line waits.
    pub(super) fn push_report(&mut self, line: &[u8], lines: u64) {
        self.end_torn_line();
        self.waiting.extend_from_slice(line);
        let bytes = self.waiting.len();
        self.report = Some(DropReport { lines, bytes });
    }

    /// The rest of a line was dropped: the next one begins on a line of its own.
    fn end_torn_line(&mut self) {
        if self.within_line && self.waiting.is_empty() {
            self.waiting.push(b'\n');
        }
    }

    /// The bytes to write next: as many whole lines as a pipe takes at once, or a single longer one. Empty
    /// when nothing waits.
    pub(super) fn next(&self) -> &[u8] {
        let window = &self.waiting[..self.waiting.len().min(ATOMIC)];
        let end = match window.iter().rposition(|&byte| byte == b'\n') {
            Some(newline) => newline + 1,
            None => self
                .waiting
                .iter()
                .position(|&byte| byte == b'\n')
                .map_or(self.waiting.len(), |at| at + 1),
        };
        &self.waiting[..end]
    }

    /// This number of bytes was written, at least one.
    pub(super) fn written(&mut self, bytes: usize) {
        self.failing = false;
        self.within_line = self.waiting[bytes - 1] != b'\n';
        self.waiting.drain(..bytes);
        let left = self.report.map(|report| DropReport {
            bytes: report.bytes.saturating_sub(bytes),
            ..report
        });
        self.report = left.filter(|report| report.bytes > 0);
    }

    /// A write failed: the lines that wait are dropped.
    pub(super) fn drop_all(&mut self) {
        let waiting = self.waiting.split(|&byte| byte == b'\n');
        let lines = waiting.filter(|line| !line.is_empty()).count() as u64;
        self.waiting.clear();
        self.failing = true;
        let Some(report) = self.report.take() else {
            return self.drop_lines(lines);
        };
        // The report is no line of anybody's: what it was to report is unreported again.
        self.drop_lines(lines.saturating_sub(1));
        self.unreported += report.lines;
    }

    /// The number of dropped lines to report now, once no line waits any more. After a failed write that is
    /// only when a write has succeeded since, or with `retry`.
    pub(super) fn take_unreported(&mut self, retry: bool) -> Option<u64> {
        let ready = self.waiting.is_empty() && (retry || !self.failing);
        let count = if ready {
            std::mem::take(&mut self.unreported)
        } else {
            0
        };
        (count > 0).then_some(count)
    }

    /// Whether dropped lines are unreported because writes fail.
    pub(super) fn wants_retry(&self) -> bool {
        self.failing && self.unreported > 0
    }

    /// Whether no line waits and no dropped line could be reported now.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting.is_empty() && (self.unreported == 0 || self.failing)
    }

    /// All lines that were ever dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn drop_lines(&mut self, lines: u64) {
        self.dropped += lines;
        self.unreported += lines;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_dropped_and_reported_once_there_is_room() {
        let mut backlog = Backlog::default();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        for _ in 0..70 {
            backlog.push(&line);
        }
        assert_eq!(backlog.dropped(), 6);
        assert_eq!(backlog.take_unreported(false), None, "there is no room yet");
        while !backlog.next().is_empty() {
            assert_eq!(backlog.next().len() % 1024, 0, "lines are written whole");
            let bytes = backlog.next().len();
            backlog.written(bytes);
        }
        assert_eq!(backlog.take_unreported(false), Some(6));
        assert_eq!(backlog.take_unreported(false), None, "reported once");
        assert_eq!(backlog.dropped(), 6);
    }

    #[test]
    fn a_long_line_goes_out_alone_and_partly_written_ones_go_on() {
        let mut backlog = Backlog::default();
        let long = [&[b'x'; 9000][..], b"\n"].concat();
        backlog.push(&long);
        backlog.push(b"short\n");
        assert_eq!(backlog.next().len(), 9001);
        backlog.written(9000);
        assert_eq!(backlog.next(), b"\nshort\n");
    }

    #[test]
    fn what_a_failed_write_drops_is_counted_and_reported_once_a_write_succeeds() {
        let mut backlog = Backlog::default();
        backlog.push(b"one\n");
        backlog.push(b"two\n");
        backlog.drop_all();
        assert_eq!(backlog.dropped(), 2);
        assert!(backlog.is_settled(), "nothing can be done now");
        assert_eq!(backlog.take_unreported(false), None);
        // A report that fails, too, is no line of anybody's.
        assert_eq!(backlog.take_unreported(true), Some(2));
        backlog.push_report(b"2 were dropped\n", 2);
        backlog.push(b"three\n");
        backlog.drop_all();
        assert!(backlog.wants_retry());
        assert_eq!(backlog.dropped(), 3);
        backlog.push(b"four\n");
        backlog.written(5);
        assert_eq!(backlog.take_unreported(false), Some(3));
        backlog.push_report(b"3 were dropped\n", 3);
        backlog.written(15);
        backlog.push(b"five\n");
        backlog.drop_all();
        assert_eq!(
            backlog.take_unreported(true),
            Some(1),
            "the report itself arrived"
        );
        assert_eq!(backlog.dropped(), 4);
    }

    #[test]
    fn the_line_after_a_torn_one_begins_on_a_line_of_its_own() {
        let mut backlog = Backlog::default();
        backlog.push(b"one\n");
        backlog.written(2);
        backlog.drop_all();
        assert_eq!(backlog.dropped(), 1);
        backlog.push(b"two\n");
        assert_eq!(backlog.next(), b"\ntwo\n");
        backlog.written(5);
        backlog.push(b"three\n");
        assert_eq!(backlog.next(), b"three\n");
    }
}
