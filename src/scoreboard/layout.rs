//! Where everything lies, in 64-bit words from the start of the file, native byte order. There are no
//! pointers. A change of the meaning of a word raises [`VERSION`]. A use of a reserved word need not, because
//! reserved words are zero and a reader takes zero as "nothing".
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
//! | 1536–2047 | 16 metrics of the application of 32 words: see [`app_metric`] |
//! | 2048–4095 | 64 routes of 32 words with their answers and latencies: see [`route`] |
//! | 4096–8191 | reserved for the table of connections |

use crate::sys::file_header::FileHeader;

/// Says what the file is: "clusterB" in ASCII.
pub const MAGIC: u64 = u64::from_be_bytes(*b"clusterB");
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

/// Three words: incarnation, slot, epoch.
pub const LIFE_AT: usize = 3;
/// The first counter.
pub const COUNTERS_AT: usize = 8;
/// The number of counters that have room.
pub const COUNTERS: usize = 120;
/// The first cell.
pub const CELLS_AT: usize = 128;
/// The number of cells: that of the runtime, and one for each thread that vouches for work of its own.
pub const CELLS: usize = 16;

/// The first entry of the table of requests in flight.
pub const REQUESTS_AT: usize = 512;
/// The number of entries; requests in flight beyond them are counted and not named.
pub const REQUESTS: usize = 64;

/// The first metric of the application.
pub const APP_METRICS_AT: usize = 1536;
/// The number of metrics that an application may have.
pub const APP_METRICS: usize = 16;

/// The first entry of the table of routes.
pub const ROUTES_AT: usize = 2048;
/// The number of routes that are counted apart. The first entry is for every answer that has no entry of its
/// own.
pub const ROUTES: usize = 64;

/// The words of one of the application's metrics, from its first.
pub mod app_metric {
    /// The number of words of one entry.
    pub const WORDS: usize = 32;
    /// The kind, by the numbers of [`super::super::AppMetricKind`], from 1; 0 while the entry is free.
    /// Written last.
    pub const KIND_AT: usize = 0;
    /// The number itself.
    pub const VALUE_AT: usize = 1;
    /// When the number was last reported, in nanoseconds of `CLOCK_MONOTONIC`; only for a shared gauge.
    pub const REPORTED_AT: usize = 2;
    /// Eight words: the name, as up to 64 bytes, filled up with zeros.
    pub const NAME_AT: usize = 3;
    /// The longest name, in bytes.
    pub const NAME_BYTES: usize = 64;
    /// Twenty words: what the metric means, as up to 160 bytes, filled up with zeros.
    pub const HELP_AT: usize = 11;
    /// The longest explanation, in bytes.
    pub const HELP_BYTES: usize = 160;
}

/// The words of one route, from its first.
pub mod route {
    /// The number of words of one entry.
    pub const WORDS: usize = 32;
    /// The method, by its place in [`super::super::METHODS`], from 1; 0 while the entry is free. Written
    /// last.
    pub const METHOD_AT: usize = 0;
    /// Eight words: the path's template, as up to 64 bytes, filled up with zeros.
    pub const PATH_AT: usize = 1;
    /// The longest template, in bytes; a longer one has no entry of its own.
    pub const PATH_BYTES: usize = 64;
    /// Five words: answers by status class, 1xx to 5xx.
    pub const CLASSES_AT: usize = 9;
    /// The time that all answers took together, in nanoseconds.
    pub const SUM_AT: usize = 14;
    /// Seventeen words: the number of answers up to each of [`super::super::BOUNDS_MS`], and of those that
    /// took longer; each answer is counted in one word.
    pub const BUCKETS_AT: usize = 15;
    /// The number of buckets.
    pub const BUCKETS: usize = 17;
}

/// The words of one request in flight, from its first.
pub mod request {
    /// The number of words of one entry.
    pub const WORDS: usize = 16;
    /// When the head of the request was read, in nanoseconds of `CLOCK_MONOTONIC`; 0 while the entry is free.
    /// Written last, cleared first.
    pub const BEGAN_AT: usize = 0;
    /// One word: the method, as up to 8 bytes of ASCII, filled up with zeros.
    pub const METHOD_AT: usize = 1;
    /// The longest method, in bytes.
    pub const METHOD_BYTES: usize = 8;
    /// Eight words: the path, as up to 64 bytes, filled up with zeros. The query is not written down: it may
    /// hold secrets.
    pub const PATH_AT: usize = 2;
    /// The longest path, in bytes; the rest is cut.
    pub const PATH_BYTES: usize = 64;
}

/// The words of one cell, from its first.
pub mod cell {
    /// The number of words of one entry.
    pub const WORDS: usize = 8;
    /// 1 while a thread beats here, else 0.
    pub const TAKEN_AT: usize = 0;
    /// The last beat, in nanoseconds of `CLOCK_MONOTONIC`; 0 while idle.
    pub const BEAT_AT: usize = 1;
    /// Since when a store lock is waited for or held, in the same unit; 0 while neither.
    pub const LOCK_AT: usize = 2;
    /// Four words: the name, as up to 32 bytes of UTF-8, filled up with zeros.
    pub const NAME_AT: usize = 3;
    /// The longest name, in bytes; the rest is cut.
    pub const NAME_BYTES: usize = 32;
    /// One more than the descriptor that the store lock is held by; 0 while that was not told.
    pub const LOCK_FD_AT: usize = 7;
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
        const { assert!(REQUESTS_AT + REQUESTS * request::WORDS == APP_METRICS_AT) };
        const { assert!(APP_METRICS_AT + APP_METRICS * app_metric::WORDS == ROUTES_AT) };
        const { assert!(ROUTES_AT + ROUTES * route::WORDS == 4096) };
        const { assert!(app_metric::HELP_AT + app_metric::HELP_BYTES / 8 < app_metric::WORDS) };
        const { assert!(route::BUCKETS_AT + route::BUCKETS == route::WORDS) };
        const { assert!(request::PATH_AT + request::PATH_BYTES / 8 < request::WORDS) };
        const { assert!(cell::NAME_AT + cell::NAME_BYTES / 8 < cell::WORDS) };
    }
}
