//! Where everything lies, in 64-bit words from the start of the file, native byte order. It holds no pointers. Whoever changes
//! the meaning of a word raises [`VERSION`]; whoever fills a reserved one need not, because reserved words are zero and a reader
//! takes zero as "nothing".
//!
//! | words | what |
//! |---|---|
//! | 0 | [`MAGIC`] |
//! | 1 | [`VERSION`] |
//! | 2 | the file's size in bytes, [`BYTES`] |
//! | 3–5 | the life that writes: incarnation, slot, epoch; all zero until it has opened the board |
//! | 6–7 | reserved |
//! | 8–127 | counters, by the numbers of [`super::Counter`] |
//! | 128–255 | 16 cells of 8 words: see [`cell`] |
//! | 256–511 | reserved for gauges of the runtime |
//! | 512–1535 | 64 requests in flight of 16 words: see [`request`] |
//! | 1536–2047 | 16 metrics of the application of 32 words: see [`own`] |
//! | 2048–4095 | 64 routes of 32 words with their answers and latencies: see [`route`] |
//! | 4096–8191 | reserved for the table of connections |

/// Says what the file is: "clusterB" in ASCII.
pub const MAGIC: u64 = u64::from_be_bytes(*b"clusterB");
/// Of this table.
pub const VERSION: u64 = 1;
/// The whole file. Pages that nobody has touched cost nothing.
pub const BYTES: usize = 64 * 1024;
/// The whole file, in words.
pub const WORDS: usize = BYTES / 8;

/// Word of the magic number.
pub const MAGIC_AT: usize = 0;
/// Word of the layout version.
pub const VERSION_AT: usize = 1;
/// Word of the size.
pub const SIZE_AT: usize = 2;
/// Three words: incarnation, slot, epoch.
pub const LIFE_AT: usize = 3;
/// The first counter.
pub const COUNTERS_AT: usize = 8;
/// As many counters have room.
pub const COUNTERS: usize = 120;
/// The first cell.
pub const CELLS_AT: usize = 128;
/// As many cells: the runtime's, and one for each thread that vouches for work of its own.
pub const CELLS: usize = 16;

/// The first entry of the table of requests in flight.
pub const REQUESTS_AT: usize = 512;
/// As many entries; what is in flight beyond them is counted and not named.
pub const REQUESTS: usize = 64;

/// The first metric of the application.
pub const OWN_AT: usize = 1536;
/// As many metrics may an application have.
pub const OWN: usize = 16;

/// The first entry of the table of routes.
pub const ROUTES_AT: usize = 2048;
/// As many routes are counted apart. The first entry is for every answer that has no entry of its own.
pub const ROUTES: usize = 64;

/// The words of one of the application's metrics, from its first.
pub mod own {
    /// As many words.
    pub const WORDS: usize = 32;
    /// What it is, by the numbers of [`super::super::OwnKind`], from 1; 0 while the entry is free. Written last.
    pub const KIND_AT: usize = 0;
    /// The number itself.
    pub const VALUE_AT: usize = 1;
    /// When it was last told, in nanoseconds of `CLOCK_MONOTONIC`; only for what is told for the whole cluster.
    pub const TOLD_AT: usize = 2;
    /// Eight words: the name, as up to 64 bytes, filled up with zeros.
    pub const NAME_AT: usize = 3;
    /// As many bytes has a name at most.
    pub const NAME_BYTES: usize = 64;
    /// Twenty words: what it means, as up to 160 bytes, filled up with zeros.
    pub const HELP_AT: usize = 11;
    /// As many bytes has an explanation at most.
    pub const HELP_BYTES: usize = 160;
}

/// The words of one route, from its first.
pub mod route {
    /// As many words.
    pub const WORDS: usize = 32;
    /// The method, by its place in [`super::super::METHODS`], from 1; 0 while the entry is free. Written last.
    pub const METHOD_AT: usize = 0;
    /// Eight words: the path's template, as up to 64 bytes, filled up with zeros.
    pub const PATH_AT: usize = 1;
    /// As many bytes has a template at most; what is longer has no entry of its own.
    pub const PATH_BYTES: usize = 64;
    /// Five words: answers by status class, 1xx to 5xx.
    pub const CLASSES_AT: usize = 9;
    /// The time all of them took together, in nanoseconds.
    pub const SUM_AT: usize = 14;
    /// Seventeen words: how many took at most each of [`super::super::BOUNDS_MS`], and how many took longer than all; each
    /// answer is counted in one of them.
    pub const BUCKETS_AT: usize = 15;
    /// As many buckets.
    pub const BUCKETS: usize = 17;
}

/// The words of one request in flight, from its first.
pub mod request {
    /// As many words.
    pub const WORDS: usize = 16;
    /// When its head was read, in nanoseconds of `CLOCK_MONOTONIC`; 0 while the entry is free. Written last, cleared first.
    pub const BEGAN_AT: usize = 0;
    /// One word: the method, as up to 8 bytes of ASCII, filled up with zeros.
    pub const METHOD_AT: usize = 1;
    /// As many bytes has a method at most.
    pub const METHOD_BYTES: usize = 8;
    /// Eight words: the path, as up to 64 bytes, filled up with zeros. The query is not written down: it may hold secrets.
    pub const PATH_AT: usize = 2;
    /// As many bytes has a path at most.
    pub const PATH_BYTES: usize = 64;
}

/// The words of one cell, from its first.
pub mod cell {
    /// As many words.
    pub const WORDS: usize = 8;
    /// 1 while somebody beats here, else 0.
    pub const TAKEN_AT: usize = 0;
    /// The last beat, in nanoseconds of `CLOCK_MONOTONIC`; 0 while idle.
    pub const BEAT_AT: usize = 1;
    /// Since when a store lock is waited for or held, in the same unit; 0 while neither.
    pub const LOCK_AT: usize = 2;
    /// Four words: the name, as up to 32 bytes of UTF-8, filled up with zeros.
    pub const NAME_AT: usize = 3;
    /// As many bytes has a name at most.
    pub const NAME_BYTES: usize = 32;
    /// One more than the descriptor that the store lock is held by; 0 while that was not told.
    pub const LOCK_FD_AT: usize = 7;
}

/// The header as bytes, for the file's creator.
#[must_use]
pub fn header() -> [u8; 24] {
    let mut bytes = [0; 24];
    for (at, word) in [(MAGIC_AT, MAGIC), (VERSION_AT, VERSION), (SIZE_AT, BYTES as u64)] {
        bytes[at * 8..at * 8 + 8].copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_regions_follow_each_other() {
        const { assert!(COUNTERS_AT + COUNTERS == CELLS_AT) };
        const { assert!(CELLS_AT + CELLS * cell::WORDS == 256) };
        const { assert!(CELLS_AT + CELLS * cell::WORDS <= REQUESTS_AT) };
        const { assert!(REQUESTS_AT + REQUESTS * request::WORDS == 1536) };
        const { assert!(REQUESTS_AT + REQUESTS * request::WORDS == OWN_AT) };
        const { assert!(OWN_AT + OWN * own::WORDS == ROUTES_AT) };
        const { assert!(ROUTES_AT + ROUTES * route::WORDS == 4096) };
        const { assert!(own::HELP_AT + own::HELP_BYTES / 8 < own::WORDS) };
        const { assert!(route::BUCKETS_AT + route::BUCKETS == route::WORDS) };
        const { assert!(request::PATH_AT + request::PATH_BYTES / 8 < request::WORDS) };
        const { assert!(cell::NAME_AT + cell::NAME_BYTES / 8 < cell::WORDS) };
    }
}
