//! What could not be written yet: whole lines, at most 64 KiB; what does not fit is dropped and counted. Pure.

/// As many bytes wait at most.
const CAPACITY: usize = 64 * 1024;
/// Up to this many bytes a write to a pipe is whole or nothing, so that lines of several processes do not mix (PIPE_BUF).
const ATOMIC: usize = 4096;

/// Lines that wait, and how many could not.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: Vec<u8>,
    /// All that were ever dropped.
    dropped: u64,
    /// Of those, the ones nobody was told of.
    untold: u64,
}

impl Backlog {
    /// One line more, with its newline; dropped and counted when there is no room.
    pub(super) fn push(&mut self, line: &[u8]) {
        if self.waiting.len() + line.len() > CAPACITY {
            self.drop_lines(1);
        } else {
            self.waiting.extend_from_slice(line);
        }
    }

    /// What to write next: as many whole lines as a pipe takes at once, or a single longer one. Empty when nothing waits.
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

    /// That many bytes of it were written.
    pub(super) fn written(&mut self, bytes: usize) {
        self.waiting.drain(..bytes);
    }

    /// The descriptor is broken: what waits is lost, and there is nobody to tell.
    pub(super) fn lose(&mut self) {
        let lines = self.waiting.iter().filter(|&&byte| byte == b'\n').count();
        self.waiting.clear();
        self.dropped += lines as u64;
        self.untold = 0;
    }

    /// How many dropped lines somebody must now be told of, once nothing waits any more.
    pub(super) fn tell(&mut self) -> Option<u64> {
        let told = if self.waiting.is_empty() {
            std::mem::take(&mut self.untold)
        } else {
            0
        };
        (told > 0).then_some(told)
    }

    /// Whether there is nothing to do.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.untold == 0
    }

    /// All lines that were ever dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn drop_lines(&mut self, lines: u64) {
        self.dropped += lines;
        self.untold += lines;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_dropped_and_told_once_there_is_room() {
        let mut backlog = Backlog::default();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        for _ in 0..70 {
            backlog.push(&line);
        }
        assert_eq!(backlog.dropped(), 6);
        assert_eq!(backlog.tell(), None, "there is no room yet");
        while !backlog.next().is_empty() {
            assert_eq!(backlog.next().len() % 1024, 0, "lines are written whole");
            let bytes = backlog.next().len();
            backlog.written(bytes);
        }
        assert_eq!(backlog.tell(), Some(6));
        assert_eq!(backlog.tell(), None, "told once");
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
        backlog.lose();
        assert_eq!(backlog.dropped(), 2);
        assert!(backlog.is_settled());
    }
}
