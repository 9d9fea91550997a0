//! Bytes of a pipe, split into the log lines that a worker sent. Pure.

use serde::{Deserialize, Serialize};

/// The longest line, in bytes. The longest log line is one of 8 KiB that a program printed, six bytes of JSON
/// for each.
const MAX_LINE_BYTES: usize = 56 * 1024;

/// Splits bytes into lines. A line that is too long is cut, and its rest is skipped.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::master) struct LineSplitter {
    unfinished: Vec<u8>,
}

impl LineSplitter {
    /// Adds bytes that were read, and calls `with` with each line that is complete now, without its newline.
    pub(in crate::master) fn push(&mut self, bytes: &[u8], mut with: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.keep(&rest[..end]);
            if !self.unfinished.is_empty() {
                with(&self.unfinished);
            }
            self.unfinished.clear();
            rest = &rest[end + 1..];
        }
        self.keep(rest);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_LINE_BYTES.saturating_sub(self.unfinished.len());
        self.unfinished.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_and_bounded() {
        let mut lines = Vec::new();
        let mut splitter = LineSplitter::default();
        let mut push = |bytes: &[u8]| splitter.push(bytes, |line| lines.push(line.to_vec()));
        push(b"on");
        push(b"e\n\ntwo\nth");
        push(b"ree\n");
        push(&vec![b'x'; 2 * MAX_LINE_BYTES]);
        push(b"y\nfour\n");
        let expected = [
            b"one".to_vec(),
            b"two".to_vec(),
            b"three".to_vec(),
            vec![b'x'; MAX_LINE_BYTES],
            b"four".to_vec(),
        ];
        assert_eq!(lines, expected);
    }
}
