//! Lines of a byte stream, within a bound. It knows neither sockets nor what a line means (pure).

use std::mem;

/// The longest line that is taken, in bytes, without its newline.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// What is kept of the buffer between two lines, in bytes.
const KEPT_BYTES: usize = 64 << 10;

/// A line is longer than [`MAX_LINE_BYTES`]. It is told once of each such line, which is skipped.
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
    /// The first line is too long, and its beginning is dropped already.
    skips: bool,
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
    /// When the line is longer than [`MAX_LINE_BYTES`]. The next call goes on behind it.
    pub fn line(&mut self) -> Result<Option<&[u8]>, LineTooLong> {
        loop {
            let Some(newline) = memchr::memchr(b'\n', &self.bytes[self.searched..]) else {
                self.searched = self.bytes.len();
                return self.unfinished().map(|()| None);
            };
            let (from, to) = (self.start, self.searched + newline);
            (self.start, self.searched) = (to + 1, to + 1);
            if mem::take(&mut self.skips) {
                continue;
            }
            if to - from > MAX_LINE_BYTES {
                return Err(LineTooLong);
            }
            return Ok(Some(&self.bytes[from..to]));
        }
    }

    fn unfinished(&mut self) -> Result<(), LineTooLong> {
        let length = self.bytes.len() - self.start;
        if length > MAX_LINE_BYTES || self.skips {
            let was_told = self.skips;
            *self = NodeLines {
                skips: true,
                ..NodeLines::default()
            };
            return if was_told { Ok(()) } else { Err(LineTooLong) };
        }
        if length == 0 && self.bytes.capacity() > KEPT_BYTES {
            *self = NodeLines::default();
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
    }

    #[test]
    fn a_longer_line_is_told_once_and_skipped() {
        for size in [4096, MAX_LINE_BYTES, 3 * MAX_LINE_BYTES] {
            let mut lines = NodeLines::default();
            let (mut told, mut found) = (0, Vec::new());
            let mut sent = b"one\n".to_vec();
            sent.extend(vec![b'x'; 2 * MAX_LINE_BYTES]);
            sent.extend(b"\ntwo\n");
            for part in sent.chunks(size) {
                lines.feed(part);
                loop {
                    match lines.line() {
                        Ok(Some(line)) => found.push(String::from_utf8_lossy(line).into_owned()),
                        Ok(None) => break,
                        Err(LineTooLong) => told += 1,
                    }
                }
            }
            assert_eq!((told, found), (1, vec!["one".to_owned(), "two".to_owned()]));
        }
    }

    #[test]
    fn a_stream_without_newline_takes_no_memory() {
        let mut lines = NodeLines::default();
        let mut told = 0;
        for _ in 0..4 * MAX_LINE_BYTES / 4096 {
            lines.feed(&[b'x'; 4096]);
            told += u32::from(lines.line().is_err());
        }
        assert_eq!(told, 1);
        assert!(lines.bytes.capacity() <= KEPT_BYTES);
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
