//! The reader's side. Every word is taken as if a hostile worker had written it, and as if it were written
//! right now: what does not fit together is no line.

use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::fence;

use serde::{Deserialize, Serialize};

use super::layout::{self, line};
use super::mapping::{OutputRingError, map_checked, place};
use crate::sys::memfd::{MapAccess, Mapping};

/// Which stream of the program a line was printed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
}

impl OutputStream {
    /// The stream as log lines name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            OutputStream::Stdout => "stdout",
            OutputStream::Stderr => "stderr",
        }
    }

    pub(super) fn bit(self) -> u64 {
        match self {
            OutputStream::Stdout => 0,
            OutputStream::Stderr => line::STDERR,
        }
    }
}

/// A line that a program printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLine {
    /// The number of the line within its life, from 0.
    pub number: u64,
    /// When it was printed: milliseconds of the wall clock since 1970.
    pub time_ms: u64,
    /// Where it was printed.
    pub stream: OutputStream,
    /// What was printed, without the line end. It may hold control characters; what is no UTF-8 is replaced.
    pub text: String,
}

/// Lines of a ring, and where to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputLines {
    /// The lines, the oldest first.
    pub lines: Vec<OutputLine>,
    /// The number of lines that were asked for and overwritten before.
    pub lost: u64,
    /// The number from which to read on.
    pub next: u64,
}

/// A read-only mapping of a worker's ring.
#[derive(Debug)]
pub struct OutputView {
    mapping: Mapping,
}

impl OutputView {
    /// Maps a worker's ring, read-only.
    ///
    /// # Errors
    /// When the file is no sealed ring of this layout.
    pub fn open(fd: BorrowedFd) -> Result<OutputView, OutputRingError> {
        Ok(OutputView {
            mapping: map_checked(fd, MapAccess::Read)?,
        })
    }

    /// The process id of the program, as its worker says; `None` before it was started.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        let pid = i32::try_from(self.mapping.words()[layout::PID_AT].load(Relaxed)).ok();
        pid.filter(|&pid| pid > 0)
    }

    /// The lines from this number on that are still there.
    #[must_use]
    pub fn lines_from(&self, number: u64) -> OutputLines {
        read(self.mapping.words(), number)
    }

    /// The last lines, at most so many.
    #[must_use]
    pub fn last_lines(&self, most: usize) -> OutputLines {
        let mut all = read(self.mapping.words(), 0);
        all.lost = 0;
        all.lines.drain(..all.lines.len().saturating_sub(most));
        all
    }
}

/// Reads the lines from this number on.
pub(super) fn read(words: &[AtomicU64], number: u64) -> OutputLines {
    let written = words[layout::NEXT_AT].load(Acquire);
    // Nothing new, which is the usual answer for a reader that follows.
    if written == number {
        return none_after(number);
    }
    let lines = whole_lines(&copy(words));
    let next = lines.last().map_or(number, |last| last.number.saturating_add(1));
    if next < number {
        return none_after(number);
    }
    let first = lines.first().map_or(number, |first| first.number);
    OutputLines {
        lines: lines.into_iter().filter(|line| line.number >= number).collect(),
        lost: first.saturating_sub(number),
        next,
    }
}

fn none_after(number: u64) -> OutputLines {
    OutputLines {
        next: number,
        ..OutputLines::default()
    }
}

/// A copy of the words that hold whole lines, from the first word of the oldest.
fn copy(words: &[AtomicU64]) -> Vec<u64> {
    let oldest = words[layout::OLDEST_AT].load(Acquire);
    let end = words[layout::END_AT].load(Acquire);
    let length = end.wrapping_sub(oldest);
    if length > layout::DATA as u64 {
        // The writer has gone on between the two looks by more than the ring holds, or it lies.
        return Vec::new();
    }
    let mut copy: Vec<u64> = (0..length)
        .map(|at| words[place(oldest.wrapping_add(at))].load(Relaxed))
        .collect();
    // If one of these words was written anew, the next look shows that.
    fence(Acquire);
    let overwritten = words[layout::OLDEST_AT].load(Relaxed).wrapping_sub(oldest);
    let overwritten = usize::try_from(overwritten).unwrap_or(usize::MAX);
    copy.drain(..overwritten.min(copy.len()));
    copy
}

/// Takes words apart into lines, up to the first thing that is none.
fn whole_lines(words: &[u64]) -> Vec<OutputLine> {
    let mut lines: Vec<OutputLine> = Vec::new();
    let mut rest = words;
    while let Some((line, after)) = first_line(rest) {
        if lines
            .last()
            .is_some_and(|before| before.number.checked_add(1) != Some(line.number))
        {
            break;
        }
        lines.push(line);
        rest = after;
    }
    lines
}

fn first_line(words: &[u64]) -> Option<(OutputLine, &[u64])> {
    let (head, body) = words.split_at_checked(line::HEAD)?;
    let length = head[line::LENGTH_AT];
    let (stream, length) = match length.checked_sub(line::STDERR) {
        Some(length) => (OutputStream::Stderr, length),
        None => (OutputStream::Stdout, length),
    };
    let length = usize::try_from(length)
        .ok()
        .filter(|&length| length <= line::MAX_TEXT)?;
    let (text, after) = body.split_at_checked(line::words(length) - line::HEAD)?;
    let bytes: Vec<u8> = text.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let line = OutputLine {
        number: head[line::NUMBER_AT],
        time_ms: head[line::TIME_AT],
        stream,
        text: String::from_utf8_lossy(&bytes[..length]).into_owned(),
    };
    Some((line, after))
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, OwnedFd};

    use proptest::prelude::*;

    use super::*;
    use crate::output_ring::OutputRing;

    fn pair() -> (OwnedFd, OutputRing, OutputView) {
        let fd = OutputRing::create_fd("test").expect("a memfd");
        let view = OutputView::open(fd.as_fd()).expect("a view");
        let ring = OutputRing::open(fd.try_clone().expect("a copy")).expect("a ring");
        (fd, ring, view)
    }

    fn texts(lines: &OutputLines) -> Vec<&str> {
        lines.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn lines_are_read_as_they_were_written_and_once() {
        let (_fd, ring, view) = pair();
        assert_eq!((view.pid(), view.lines_from(0)), (None, OutputLines::default()));
        ring.started(77);
        ring.push(OutputStream::Stdout, 5, b"one");
        ring.push(OutputStream::Stderr, 6, b"");
        ring.push(OutputStream::Stdout, 7, b"a longer one, \xff");
        let read = view.lines_from(0);
        assert_eq!(texts(&read), ["one", "", "a longer one, \u{fffd}"]);
        assert_eq!((read.lost, read.next, view.pid()), (0, 3, Some(77)));
        let second = &read.lines[1];
        assert_eq!(
            (second.number, second.time_ms, second.stream),
            (1, 6, OutputStream::Stderr)
        );
        assert_eq!(view.lines_from(read.next), none_after(3));
        ring.push(OutputStream::Stdout, 8, b"new");
        assert_eq!(texts(&view.lines_from(read.next)), ["new"]);
        assert_eq!(texts(&view.last_lines(2)), ["a longer one, \u{fffd}", "new"]);
    }

    #[test]
    fn a_late_reader_knows_how_many_lines_it_lost() {
        let (_fd, ring, view) = pair();
        for number in 0..100_000_u64 {
            ring.push(OutputStream::Stdout, 0, format!("line {number}").as_bytes());
        }
        let read = view.lines_from(10);
        assert_eq!(read.next, 100_000);
        assert_eq!(read.lost + 10 + read.lines.len() as u64, 100_000);
        assert!(read.lines.len() > 1000, "{} lines were kept", read.lines.len());
        let all = read.lines.iter().zip(10 + read.lost..);
        assert!(
            all.into_iter()
                .all(|(line, number)| line.text == format!("line {number}"))
        );
    }

    #[test]
    fn the_longest_lines_are_cut_and_several_are_kept() {
        let (_fd, ring, view) = pair();
        for _ in 0..50 {
            ring.push(OutputStream::Stderr, 0, &[b'x'; 3 * line::MAX_TEXT]);
        }
        let read = view.lines_from(0);
        assert!(read.lines.len() >= 4 && read.lost + read.lines.len() as u64 == 50);
        assert!(read.lines.iter().all(|line| line.text.len() == line::MAX_TEXT));
    }

    #[test]
    fn what_is_read_while_it_is_written_is_whole() {
        let (_fd, ring, view) = pair();
        let writer = std::thread::spawn(move || {
            for number in 0..200_000_u64 {
                let length = usize::try_from(number % 300).expect("short");
                let text = format!("{number} {}", "y".repeat(length));
                ring.push(OutputStream::Stdout, number, text.as_bytes());
            }
        });
        let mut seen = 0;
        while seen < 200_000 {
            let read = view.lines_from(seen);
            for line in &read.lines {
                let (number, filling) = line.text.split_once(' ').expect("two words");
                assert_eq!((number.parse(), line.time_ms), (Ok(line.number), line.number));
                assert_eq!(filling.len() as u64, line.number % 300);
            }
            seen = read.next;
        }
        writer.join().expect("the writer ends");
    }

    #[test]
    fn nonsense_is_survived() {
        let (fd, ring, view) = pair();
        ring.push(OutputStream::Stdout, 0, b"one");
        let hostile = Mapping::new(
            fd.as_fd(),
            std::num::NonZeroUsize::new(layout::BYTES).expect("not zero"),
            MapAccess::Write,
        );
        let hostile = hostile.expect("mapped");
        let set = |at: usize, word: u64| hostile.words()[at].store(word, Relaxed);
        for (oldest, end) in [
            (u64::MAX - 7, 5),
            (5, 4),
            (0, u64::MAX),
            (u64::MAX, u64::MAX),
            (3, 3000),
        ] {
            set(layout::OLDEST_AT, oldest);
            set(layout::END_AT, end);
            assert!(view.lines_from(0).lines.len() <= layout::DATA / line::HEAD);
        }
        set(layout::OLDEST_AT, 0);
        set(layout::END_AT, 4);
        set(layout::DATA_AT + line::NUMBER_AT, u64::MAX);
        assert_eq!(view.lines_from(0).next, u64::MAX);
        for length in [
            u64::MAX,
            line::STDERR - 1,
            line::STDERR * 2,
            line::MAX_TEXT as u64 + 1,
            9,
        ] {
            set(layout::DATA_AT + line::LENGTH_AT, length);
            assert_eq!(view.lines_from(0).lines, [], "a line of {length} bytes");
        }
        set(layout::PID_AT, u64::MAX);
        assert_eq!(view.pid(), None);
    }

    proptest! {
        #[test]
        fn arbitrary_words_never_panic(words in prop::collection::vec(any::<u64>(), 0..200)) {
            for line in whole_lines(&words) {
                assert!(line.text.len() <= 3 * line::MAX_TEXT);
            }
        }
    }
}
