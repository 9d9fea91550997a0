//! Lines of a byte stream, within a bound. It knows neither sockets nor what a line means (pure).

use std::mem;

/// The longest line that is taken, in bytes, without its newline.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// What is kept of the buffer between two lines, in bytes.
const KEPT_BYTES: usize = 64 << 10;

/// A line is longer than [`MAX_LINE_BYTES`].
#[derive(Debug, PartialEq, Eq)]
pub struct LineTooLong;

/// Bytes that came, taken apart at each newline.
#[derive(Debug, Default)]
pub struct NodeLines {
    bytes: Vec<u8>,
    /// Where the first line begins that was not handed out.
    start: usize,
    /// Up to where no newline was found.
    searched: usize,
}

impl NodeLines {
    /// Takes bytes that were read. The caller asks for all lines before it feeds more, so that the buffer
    /// never holds more than one unfinished line and one read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.searched -= mem::take(&mut self.start);
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line, without its newline.
    ///
    /// # Errors
    /// When the line is longer than [`MAX_LINE_BYTES`]. It stays so: the stream is to be given up.
    pub fn line(&mut self) -> Result<Option<&[u8]>, LineTooLong> {
        let Some(newline) = memchr::memchr(b'\n', &self.bytes[self.searched..]) else {
            self.searched = self.bytes.len();
            return self.unfinished().map(|()| None);
        };
        let (from, to) = (self.start, self.searched + newline);
        if to - from > MAX_LINE_BYTES {
            return Err(LineTooLong);
        }
        (self.start, self.searched) = (to + 1, to + 1);
        Ok(Some(&self.bytes[from..to]))
    }

    fn unfinished(&mut self) -> Result<(), LineTooLong> {
        match self.bytes.len() - self.start {
            0 if self.bytes.capacity() > KEPT_BYTES => *self = NodeLines::default(),
            length if length > MAX_LINE_BYTES => return Err(LineTooLong),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut NodeLines) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(line) = lines.line().expect("short lines") {
            found.push(String::from_utf8_lossy(line).into_owned());
        }
        found
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        for size in 1..=9 {
            let mut lines = NodeLines::default();
            let mut found = Vec::new();
            for part in b"one\ntwo\n\nthree and more\nrest".chunks(size) {
                lines.feed(part);
                found.extend(all(&mut lines));
            }
            assert_eq!(
                found,
                ["one", "two", "", "three and more"],
                "parts of {size} bytes"
            );
        }
    }

    #[test]
    fn a_line_at_the_bound_is_taken_and_a_longer_one_is_not() {
        let mut lines = NodeLines::default();
        lines.feed(&vec![b'x'; MAX_LINE_BYTES]);
        assert_eq!(lines.line(), Ok(None));
        lines.feed(b"\n");
        assert_eq!(
            lines.line().map(|line| line.map(<[u8]>::len)),
            Ok(Some(MAX_LINE_BYTES))
        );
        lines.feed(&vec![b'x'; MAX_LINE_BYTES + 1]);
        assert_eq!(lines.line(), Err(LineTooLong));
        lines.feed(b"\n");
        assert_eq!(lines.line(), Err(LineTooLong));
    }

    #[test]
    fn a_stream_without_newline_ends_before_it_takes_memory() {
        let mut lines = NodeLines::default();
        let mut taken = 0;
        while lines.line().is_ok() {
            lines.feed(&[b'x'; 4096]);
            taken += 4096;
        }
        assert!(taken <= MAX_LINE_BYTES + 4096, "{taken} bytes were taken");
        assert!(lines.bytes.capacity() <= 4 * MAX_LINE_BYTES);
    }

    #[test]
    fn a_long_line_does_not_keep_its_memory() {
        let mut lines = NodeLines::default();
        lines.feed(&vec![b'x'; MAX_LINE_BYTES - 1]);
        lines.feed(b"\n");
        assert_eq!(all(&mut lines).len(), 1);
        assert!(lines.bytes.capacity() <= KEPT_BYTES);
    }
}
