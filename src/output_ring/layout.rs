//! Where everything lies, in 64-bit words from the start of the file, native byte order.
//!
//! | words | what |
//! |---|---|
//! | 0 | [`MAGIC`] |
//! | 1 | [`VERSION`] |
//! | 2 | the file's size in bytes, [`BYTES`] |
//! | 3 | the process id of the program; 0 before it was started |
//! | 4 | the number of the next line: so many lines were ever written |
//! | 5 | the position of the oldest line that is whole |
//! | 6 | the position behind the newest line |
//! | 7 | reserved |
//! | 8–8191 | the lines, one behind the other, from the end on to the beginning |
//!
//! A position counts the words that were ever written; its place is the remainder by [`DATA`]. A line is
//! [`line::HEAD`] words and its text, filled up with zeros to whole words.
//!
//! Before the writer overwrites a line it moves the position of the oldest one behind it; what a reader has
//! copied from before that position may be torn.

use crate::sys::file_header::FileHeader;

/// Says what the file is: "clusterO" in ASCII.
pub const MAGIC: u64 = u64::from_be_bytes(*b"clusterO");
/// The version of this table.
pub const VERSION: u64 = 1;
/// The whole file. Pages that nobody has touched cost nothing.
pub const BYTES: usize = 64 * 1024;
/// The whole file, in words.
pub const WORDS: usize = BYTES / 8;

/// What the file begins with.
pub const HEADER: FileHeader = FileHeader {
    magic: MAGIC,
    version: VERSION,
    bytes: BYTES,
};

/// Word of the program's process id.
pub const PID_AT: usize = 3;
/// Word of the number of the next line.
pub const NEXT_AT: usize = 4;
/// Word of the position of the oldest line.
pub const OLDEST_AT: usize = 5;
/// Word of the position behind the newest line.
pub const END_AT: usize = 6;
/// The first word of the lines.
pub const DATA_AT: usize = 8;
/// The number of words of the lines.
pub const DATA: usize = WORDS - DATA_AT;

/// The words of one line, from its first.
pub mod line {
    /// The number of the line, from 0.
    pub const NUMBER_AT: usize = 0;
    /// When it was printed: milliseconds of the wall clock since 1970.
    pub const TIME_AT: usize = 1;
    /// The length of the text in bytes; 2³² more for stderr.
    pub const LENGTH_AT: usize = 2;
    /// The words before the text.
    pub const HEAD: usize = 3;
    /// The longest text, in bytes; the rest is cut.
    pub const MAX_TEXT: usize = 8 * 1024;
    /// What is added to the length of a line of stderr.
    pub const STDERR: u64 = 1 << 32;

    /// The number of words of a line with a text of this length.
    #[must_use]
    pub const fn words(text: usize) -> usize {
        HEAD + text.div_ceil(8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_of_the_longest_lines_fit() {
        const { assert!(DATA >= 4 * line::words(line::MAX_TEXT)) };
        const { assert!(END_AT < DATA_AT) };
    }
}
