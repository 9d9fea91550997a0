//! The table of requests in flight: what a worker was answering when it died. The notes that a worker writes,
//! and the samples that are read. It must not know what a request is beyond its method and path.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use super::board::Board;
use super::layout::request;
use crate::base::time::Monotonic;
use crate::sys::clock;

/// A request is written down for as long as its note lives.
#[derive(Debug)]
pub struct RequestNote {
    board: Board,
    index: usize,
}

impl Board {
    /// Writes down a request that is being answered, until the note is dropped; `None` when the table is
    /// full. The writer alone takes entries, so this is a few stores and no system call.
    #[must_use]
    pub fn note(&self, method: &str, path: &str) -> Option<RequestNote> {
        let index = self.take_request_entry()?;
        Some(RequestNote::new(self.clone(), index, method, path))
    }
}

impl RequestNote {
    /// Fills an entry that was just taken.
    pub(super) fn new(board: Board, index: usize, method: &str, path: &str) -> RequestNote {
        let words = board.request_words(index);
        write_text(&words[request::METHOD_AT..][..request::METHOD_BYTES / 8], method);
        write_text(&words[request::PATH_AT..][..request::PATH_BYTES / 8], path);
        words[request::BEGAN_AT].store(clock::now().0, Release);
        RequestNote { board, index }
    }
}

impl Drop for RequestNote {
    fn drop(&mut self) {
        self.board.request_words(self.index)[request::BEGAN_AT].store(0, Release);
        self.board.free_request_entry(self.index);
    }
}

/// Writes a text, cut to the length of `words` and filled up with zeros.
pub(super) fn write_text(words: &[AtomicU64], text: &str) {
    let mut rest = text.as_bytes();
    for word in words {
        let mut bytes = [0; 8];
        let (now, later) = rest.split_at(rest.len().min(8));
        bytes[..now.len()].copy_from_slice(now);
        rest = later;
        word.store(u64::from_ne_bytes(bytes), Relaxed);
    }
}

/// A request that was being answered when the table was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSample {
    /// The time since its head was read.
    pub age: Duration,
    /// The method, printable, at most 8 characters.
    pub method: String,
    /// The path, printable, at most 64 characters.
    pub path: String,
}

impl RequestSample {
    /// Reads an entry as if a hostile worker had written it.
    pub(super) fn read(words: &[AtomicU64], now: Monotonic) -> Option<RequestSample> {
        let began = words[request::BEGAN_AT].load(Acquire);
        (began != 0).then(|| RequestSample {
            age: now.since(Monotonic(began)),
            method: read_text(&words[request::METHOD_AT..][..request::METHOD_BYTES / 8]),
            path: read_text(&words[request::PATH_AT..][..request::PATH_BYTES / 8]),
        })
    }
}

/// Reads a text up to its first zero, and makes it printable.
pub(super) fn read_text(words: &[AtomicU64]) -> String {
    let bytes: Vec<u8> = words
        .iter()
        .flat_map(|word| word.load(Relaxed).to_ne_bytes())
        .take_while(|&byte| byte != 0)
        .collect();
    String::from_utf8_lossy(&bytes)
        .chars()
        .map(|char| if char.is_control() { '?' } else { char })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::board;
    use super::super::layout;
    use super::*;

    #[test]
    fn what_is_being_answered_is_seen_and_what_was_is_not() {
        let (board, view) = board();
        let long = format!("/{}", "x".repeat(100));
        let first = board.note("GET", "/drill/sleep").expect("room");
        let second = board.note("PROPFINDER", &long).expect("room");
        let seen = view.requests(clock::now() + Duration::from_secs(1));
        assert_eq!(
            (seen[0].method.as_str(), seen[0].path.as_str()),
            ("GET", "/drill/sleep")
        );
        assert!(seen[0].age >= Duration::from_secs(1));
        assert_eq!(
            (seen[1].method.as_str(), seen[1].path.as_str()),
            ("PROPFIND", &long[..64])
        );
        drop(first);
        assert_eq!(view.requests(clock::now()).len(), 1);
        drop(second);
        assert_eq!(view.requests(clock::now()), []);
    }

    #[test]
    fn the_table_has_an_end_and_its_entries_are_used_again() {
        let (board, view) = board();
        let mut notes: Vec<_> = (0..layout::REQUESTS)
            .map(|_| board.note("GET", "/").expect("room"))
            .collect();
        assert!(board.note("GET", "/one/too/many").is_none());
        notes.remove(17);
        let _again = board.note("PUT", "/again").expect("room again");
        let seen = view.requests(clock::now());
        assert_eq!(seen.len(), layout::REQUESTS);
        assert_eq!(seen[17].path, "/again");
    }

    #[test]
    fn nonsense_is_survived() {
        let (board, view) = board();
        for index in 0..layout::REQUESTS {
            for word in board.request_words(index) {
                word.store(0xff_0a_1b_80_c3_28_01_fe, Relaxed);
            }
        }
        let seen = view.requests(Monotonic(5));
        assert_eq!(seen.len(), layout::REQUESTS);
        assert!(
            seen.iter()
                .all(|seen| seen.age == Duration::ZERO && seen.path.chars().all(|char| !char.is_control()))
        );
    }
}
