//! What a program prints, cut into lines of bounded length. It knows neither pipes nor what a line says
//! (pure).

/// The longest line, in bytes, without its end. A longer one becomes several.
pub(crate) const MAX_PRINTED_LINE: usize = 8 * 1024;

/// The bytes of one stream, cut into lines.
#[derive(Debug, Default)]
pub(crate) struct LineCutter {
    unfinished: Vec<u8>,
}

impl LineCutter {
    /// Adds bytes that were read, and calls `with` with each line that is complete now, without its end (`\n`
    /// or `\r\n`).
    pub(crate) fn push(&mut self, bytes: &[u8], mut with: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.add(&rest[..end], &mut with);
            let line = self.unfinished.strip_suffix(b"\r");
            with(line.unwrap_or(&self.unfinished));
            self.unfinished.clear();
            rest = &rest[end + 1..];
        }
        self.add(rest, &mut with);
    }

    /// Gives out what has no line end yet as a line of its own.
    pub(crate) fn finish(&mut self, with: impl FnOnce(&[u8])) {
        if self.is_within_line() {
            with(&self.unfinished);
            self.unfinished.clear();
        }
    }

    /// Whether something has no line end yet.
    pub(crate) fn is_within_line(&self) -> bool {
        !self.unfinished.is_empty()
    }

    fn add(&mut self, bytes: &[u8], with: &mut impl FnMut(&[u8])) {
        let mut rest = bytes;
        while self.unfinished.len() + rest.len() > MAX_PRINTED_LINE {
            let (now, later) = rest.split_at(MAX_PRINTED_LINE - self.unfinished.len());
            self.unfinished.extend_from_slice(now);
            let next = later.first().copied();
            let end = self.unfinished.len() - begun_character(&self.unfinished, next);
            with(&self.unfinished[..end]);
            self.unfinished.drain(..end);
            rest = later;
        }
        self.unfinished.extend_from_slice(rest);
    }
}

/// How many bytes at the end belong to a character of UTF-8 that the next byte continues.
fn begun_character(bytes: &[u8], next: Option<u8>) -> usize {
    let continues = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    if !next.is_some_and(continues) {
        return 0;
    }
    let last = bytes.iter().rev().take(3);
    last.take_while(|&&byte| continues(byte))
        .count()
        .saturating_add(1)
        .min(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(parts: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut lines, mut cutter) = (Vec::new(), LineCutter::default());
        for part in parts {
            cutter.push(part, |line| lines.push(line.to_vec()));
        }
        cutter.finish(|line| lines.push(line.to_vec()));
        assert!(!cutter.is_within_line());
        lines
    }

    #[test]
    fn lines_come_whole_however_they_arrive() {
        let expected: [&[u8]; 5] = [b"one", b"", b"two", b"th\rree", b"rest"];
        let text = b"one\n\ntwo\r\nth\rree\nrest";
        for size in 1..=text.len() {
            assert_eq!(
                cut(&text.chunks(size).collect::<Vec<_>>()),
                expected,
                "parts of {size}"
            );
        }
    }

    #[test]
    fn a_line_without_end_becomes_several() {
        let long = vec![b'x'; 2 * MAX_PRINTED_LINE + 5];
        for size in [1000, MAX_PRINTED_LINE, long.len()] {
            let lines = cut(&long.chunks(size).collect::<Vec<_>>());
            let lengths: Vec<usize> = lines.iter().map(Vec::len).collect();
            assert_eq!(lengths, [MAX_PRINTED_LINE, MAX_PRINTED_LINE, 5]);
        }
        let exact = [&[b'y'; MAX_PRINTED_LINE][..], b"\n"].concat();
        assert_eq!(cut(&[&exact]).len(), 1);
    }

    #[test]
    fn a_character_is_not_cut() {
        for character in ["é", "€", "🦀"] {
            for before in 0..5 {
                let text = "x".repeat(MAX_PRINTED_LINE - before) + character + "y";
                let lines = cut(&[text.as_bytes()]);
                assert!(
                    lines.iter().all(|line| std::str::from_utf8(line).is_ok()),
                    "{before}"
                );
                assert_eq!(lines.concat(), text.as_bytes());
            }
        }
        let nonsense = vec![0b1000_0000; 3 * MAX_PRINTED_LINE];
        assert_eq!(cut(&[&nonsense]).concat(), nonsense);
    }
}
