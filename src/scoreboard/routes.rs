//! The table of routes: the answers by status class, and the time they took. How a worker writes an entry,
//! and how one is read. It must not know how a request finds its route.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::board::Board;
use super::layout::{self, route};
use super::requests::{read_text, write_text};

/// The methods that are told apart, by their index. Any other method is the last one.
pub const METHODS: [&str; 10] = [
    "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "other",
];

/// The upper ends of the buckets of latency, in milliseconds; one more bucket has what took longer.
pub const BOUNDS_MS: [f64; route::BUCKETS - 1] = [
    0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0, 30_000.0,
    60_000.0,
];

/// [`BOUNDS_MS`] in nanoseconds.
const BOUNDS_NS: [u64; route::BUCKETS - 1] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];

/// The index of a method in [`METHODS`].
#[must_use]
pub fn method_index(method: &str) -> usize {
    METHODS
        .iter()
        .position(|known| *known == method)
        .unwrap_or(METHODS.len() - 1)
}

impl Board {
    /// Gives an entry of the table its name, once, before anything is counted there. `index` is from 1 to
    /// [`layout::ROUTES`] − 1, `method` an index of [`METHODS`], and `path` at most [`route::PATH_BYTES`]
    /// long.
    pub fn name_route(&self, index: usize, method: usize, path: &str) {
        let words = self.route_words(index);
        write_text(&words[route::PATH_AT..][..route::PATH_BYTES / 8], path);
        words[route::METHOD_AT].store(method as u64 + 1, Release);
    }

    /// Counts an answer. An answer whose time was not measured (to what was no request) is in no bucket.
    pub fn count_answer(&self, index: usize, status: u16, took: Option<Duration>) {
        debug_assert!(index < layout::ROUTES, "the table of routes has {index} entries");
        let words = self.route_words(index);
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        words[route::CLASSES_AT + class].fetch_add(1, Relaxed);
        if let Some(took) = took {
            let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            let bucket = BOUNDS_NS.partition_point(|bound| *bound < ns);
            words[route::BUCKETS_AT + bucket].fetch_add(1, Relaxed);
            if ns > 0 {
                words[route::SUM_AT].fetch_add(ns, Relaxed);
            }
        }
    }
}

/// What was counted on one route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteCounts {
    /// Answers by status class, 1xx to 5xx.
    pub classes: [u64; 5],
    /// The time that all answers took together, in nanoseconds.
    pub sum_ns: u64,
    /// Answers by the time they took, see [`BOUNDS_MS`]; each answer is in one bucket.
    pub buckets: [u64; route::BUCKETS],
}

/// One entry of the table, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSample {
    /// Method and template, printable; `None` for everything that has no entry of its own.
    pub name: Option<(&'static str, String)>,
    /// What was counted on this route.
    pub counts: RouteCounts,
}

impl RouteSample {
    /// Reads an entry as if a hostile worker had written it.
    pub(super) fn read(index: usize, words: &[AtomicU64]) -> Option<RouteSample> {
        let method = words[route::METHOD_AT].load(Acquire);
        let name = match (index, method) {
            (0, _) => None,
            (_, 0) => return None,
            (_, method) => {
                let index_of_method = usize::try_from(method - 1).unwrap_or(usize::MAX);
                let method = METHODS.get(index_of_method).copied().unwrap_or("other");
                let path = read_text(&words[route::PATH_AT..][..route::PATH_BYTES / 8]);
                Some((method, path))
            }
        };
        let word = |at: usize| words[at].load(Relaxed);
        let counts = RouteCounts {
            classes: std::array::from_fn(|class| word(route::CLASSES_AT + class)),
            sum_ns: word(route::SUM_AT),
            buckets: std::array::from_fn(|bucket| word(route::BUCKETS_AT + bucket)),
        };
        Some(RouteSample { name, counts })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::board;
    use super::*;

    #[test]
    fn the_bounds_are_the_same_in_both_units_and_rise() {
        for (ms, ns) in BOUNDS_MS.iter().zip(BOUNDS_NS) {
            assert!((ms * 1e6 - ns as f64).abs() < 0.5, "{ms} ms is not {ns} ns");
        }
        assert!(BOUNDS_NS.is_sorted());
    }

    #[test]
    fn answers_are_seen_under_their_name_class_and_time() {
        let (board, view) = board();
        let long = "/".repeat(route::PATH_BYTES);
        board.name_route(1, method_index("POST"), &long);
        board.count_answer(1, 201, Some(Duration::from_micros(500)));
        board.count_answer(1, 503, Some(Duration::from_secs(3600)));
        board.count_answer(0, 400, None);
        let seen = view.routes();
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert_eq!((&seen[0].name, seen[0].counts.classes), (&None, [0, 0, 0, 1, 0]));
        assert_eq!(seen[0].counts.buckets.iter().sum::<u64>(), 0);
        assert_eq!(seen[1].name, Some(("POST", long)));
        assert_eq!(seen[1].counts.classes, [0, 1, 0, 0, 1]);
        assert_eq!((seen[1].counts.buckets[0], seen[1].counts.buckets[16]), (1, 1));
        assert_eq!(seen[1].counts.sum_ns, 3_600_000_500_000);
    }

    #[test]
    fn every_time_is_in_the_first_bucket_that_holds_it() {
        let (board, view) = board();
        for (bucket, ns) in BOUNDS_NS.into_iter().enumerate() {
            for (ns, expected) in [(ns, bucket), (ns + 1, bucket + 1)] {
                let before = view.routes()[0].counts.buckets[expected];
                board.count_answer(0, 200, Some(Duration::from_nanos(ns)));
                assert_eq!(view.routes()[0].counts.buckets[expected], before + 1, "{ns} ns");
            }
        }
    }

    #[test]
    fn nonsense_is_survived() {
        let (board, view) = board();
        for index in 0..layout::ROUTES {
            for at in 0..route::WORDS {
                board.route_words(index)[at].store(u64::MAX ^ (at as u64) << 32, Relaxed);
            }
        }
        let seen = view.routes();
        assert_eq!(seen.len(), layout::ROUTES);
        for (method, path) in seen.into_iter().filter_map(|seen| seen.name) {
            assert!(METHODS.contains(&method));
            assert!(path.chars().all(|char| !char.is_control()), "{path:?}");
        }
    }
}
