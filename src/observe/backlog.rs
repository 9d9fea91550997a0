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
}

impl Backlog {
    /// Adds a line with its newline, or drops and counts it when there is no room.
    pub(super) fn push(&mut self, line: &[u8]) {
        if self.waiting.len() + line.len() > CAPACITY {
            self.drop_lines(1);
        } else {
            self.waiting.extend_from_slice(line);
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

    /// This number of bytes was written.
    pub(super) fn written(&mut self, bytes: usize) {
        self.waiting.drain(..bytes);
    }

    /// The descriptor is broken: the lines that wait are dropped, and there is no log to report it to.
    pub(super) fn drop_all(&mut self) {
        let lines = self.waiting.iter().filter(|&&byte| byte == b'\n').count();
        self.waiting.clear();
        self.dropped += lines as u64;
        self.unreported = 0;
    }

    /// The number of dropped lines to report now, once no line waits any more.
    pub(super) fn take_unreported(&mut self) -> Option<u64> {
        let count = if self.waiting.is_empty() {
            std::mem::take(&mut self.unreported)
        } else {
            0
        };
        (count > 0).then_some(count)
    }

    /// Whether no line waits and no dropped line is unreported.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.unreported == 0
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
        assert_eq!(backlog.take_unreported(), None, "there is no room yet");
        while !backlog.next().is_empty() {
            assert_eq!(backlog.next().len() % 1024, 0, "lines are written whole");
            let bytes = backlog.next().len();
            backlog.written(bytes);
        }
        assert_eq!(backlog.take_unreported(), Some(6));
        assert_eq!(backlog.take_unreported(), None, "reported once");
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
    fn what_a_broken_descriptor_cannot_take_is_counted() {
        let mut backlog = Backlog::default();
        backlog.push(b"one\n");
        backlog.push(b"two\n");
        backlog.drop_all();
        assert_eq!(backlog.dropped(), 2);
        assert!(backlog.is_settled());
    }
}
