//! The application's own metrics on a worker's board: at most 16 numbers with a name. The handles that write
//! them, and the samples that are read. It must not know how the numbers of several workers become one.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use serde::{Deserialize, Serialize};

use super::board::Board;
use super::layout::{self, app_metric};
use super::requests::{read_text, write_text};
use crate::base::time::Monotonic;
use crate::sys::clock;

/// How the numbers of several workers become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u64)]
pub enum AppMetricKind {
    /// A number that only grows. Published is the sum over all workers there ever were.
    Counter = 1,
    /// Each worker's share of something. Published is the sum over the workers that live.
    Gauge = 2,
    /// A fact about the whole cluster that any worker may report. Published is the latest report, also of a
    /// worker that is dead.
    #[serde(rename = "told")]
    Shared = 3,
}

impl AppMetricKind {
    fn of(word: u64) -> Option<AppMetricKind> {
        [
            AppMetricKind::Counter,
            AppMetricKind::Gauge,
            AppMetricKind::Shared,
        ]
        .into_iter()
        .find(|kind| *kind as u64 == word)
    }
}

/// Why an application cannot have a metric.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppMetricError {
    /// This name is none that Prometheus takes, or it belongs to the supervisor.
    #[error(
        "{0:?} is no name for a metric (expected at most {max} letters, digits and _, no digit first, \
         not beginning with cluster_ or process_, and for a counter ending in _total)",
        max = app_metric::NAME_BYTES
    )]
    Name(String),
    /// The explanation of the metric of this name is too long, or of several lines.
    #[error(
        "the explanation of {0} is no text of one line and at most {max} bytes",
        max = app_metric::HELP_BYTES
    )]
    Help(String),
    /// There is no room for the metric of this name.
    #[error("{0} has no room: an application has at most {max} metrics", max = layout::APP_METRICS)]
    Full(String),
    /// A metric of this name and of another kind is registered.
    #[error("{0} is there already, as another kind of metric")]
    Taken(String),
}

/// A number of the application that is published cluster-wide: [`crate::Worker::counter`] and its siblings
/// give one out. Cheap to clone; any thread may use it.
#[derive(Clone, Debug)]
pub struct AppMetric {
    board: Board,
    index: usize,
    kind: AppMetricKind,
}

/// Two threads may register at the same time; nobody else writes to the table.
static REGISTERING: Mutex<()> = Mutex::new(());

impl Board {
    /// Registers a metric of the application. The same name and kind again give the same metric.
    ///
    /// # Errors
    /// When name or explanation cannot be shown, or there is no room.
    pub fn register_metric(
        &self,
        kind: AppMetricKind,
        name: &str,
        help: &str,
    ) -> Result<AppMetric, AppMetricError> {
        if !is_valid_name(kind, name) {
            return Err(AppMetricError::Name(name.to_owned()));
        }
        if help.len() > app_metric::HELP_BYTES || help.contains(char::is_control) {
            return Err(AppMetricError::Help(name.to_owned()));
        }
        let _alone = REGISTERING
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let index = self.index_of(kind, name)?;
        let words = self.app_metric_words(index);
        write_text(&words[app_metric::NAME_AT..][..app_metric::NAME_BYTES / 8], name);
        write_text(&words[app_metric::HELP_AT..][..app_metric::HELP_BYTES / 8], help);
        words[app_metric::KIND_AT].store(kind as u64, Release);
        Ok(AppMetric {
            board: self.clone(),
            index,
            kind,
        })
    }

    /// The index of the metric of this name, or the first free one.
    fn index_of(&self, kind: AppMetricKind, name: &str) -> Result<usize, AppMetricError> {
        for index in 0..layout::APP_METRICS {
            let words = self.app_metric_words(index);
            let taken = words[app_metric::KIND_AT].load(Acquire);
            if taken == 0 {
                return Ok(index);
            }
            if read_text(&words[app_metric::NAME_AT..][..app_metric::NAME_BYTES / 8]) == name {
                let same = taken == kind as u64;
                return same
                    .then_some(index)
                    .ok_or_else(|| AppMetricError::Taken(name.to_owned()));
            }
        }
        Err(AppMetricError::Full(name.to_owned()))
    }
}

/// Whether a name follows the conventions of Prometheus and is none of the supervisor's own.
fn is_valid_name(kind: AppMetricKind, name: &str) -> bool {
    let is_allowed = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let has_right_end = (kind == AppMetricKind::Counter) == name.ends_with("_total");
    (1..=app_metric::NAME_BYTES).contains(&name.len())
        && name.chars().all(is_allowed)
        && !name.starts_with(|char: char| char.is_ascii_digit())
        && !["cluster_", "process_"].iter().any(|ours| name.starts_with(ours))
        && has_right_end
}

impl AppMetric {
    /// Adds to the number.
    pub fn add(&self, many: u64) {
        self.words()[app_metric::VALUE_AT].fetch_add(many, Relaxed);
        self.stamp_report();
    }

    /// Subtracts from the number, down to 0; not for a counter.
    pub fn sub(&self, many: u64) {
        let fewer = |value: u64| Some(value.saturating_sub(many));
        // The closure always has a new value, so this cannot fail.
        let _before = self.words()[app_metric::VALUE_AT].fetch_update(Relaxed, Relaxed, fewer);
        self.stamp_report();
    }

    /// Sets the number. For a counter this is meant for what is counted elsewhere; if the value falls, the
    /// published sum does not.
    pub fn set(&self, value: u64) {
        self.words()[app_metric::VALUE_AT].store(value, Relaxed);
        self.stamp_report();
    }

    /// The number as this worker has it.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.words()[app_metric::VALUE_AT].load(Relaxed)
    }

    fn stamp_report(&self) {
        if self.kind == AppMetricKind::Shared {
            self.words()[app_metric::REPORTED_AT].store(clock::now().0, Release);
        }
    }

    fn words(&self) -> &[AtomicU64] {
        self.board.app_metric_words(self.index)
    }
}

/// One of the application's metrics, as it was read from a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppMetricSample {
    /// A valid name.
    pub name: String,
    /// What the metric means, printable.
    pub help: String,
    /// How the numbers of several workers become one.
    pub kind: AppMetricKind,
    /// The number.
    pub value: u64,
    /// When the number was last reported, never later than it was read; 0 if it never was.
    pub reported: Monotonic,
}

impl AppMetricSample {
    /// Reads an entry as if a hostile worker had written it: without a valid name it is no metric.
    pub(super) fn read(words: &[AtomicU64], now: Monotonic) -> Option<AppMetricSample> {
        let kind = AppMetricKind::of(words[app_metric::KIND_AT].load(Acquire))?;
        let name = read_text(&words[app_metric::NAME_AT..][..app_metric::NAME_BYTES / 8]);
        is_valid_name(kind, &name).then(|| AppMetricSample {
            reported: Monotonic(words[app_metric::REPORTED_AT].load(Acquire)).min(now),
            value: words[app_metric::VALUE_AT].load(Relaxed),
            help: read_text(&words[app_metric::HELP_AT..][..app_metric::HELP_BYTES / 8]),
            kind,
            name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::board;
    use super::*;

    #[test]
    fn what_is_registered_is_seen_and_registering_again_is_the_same() {
        let (board, view) = board();
        let parked = board
            .register_metric(AppMetricKind::Counter, "shop_parked_total", "Sagas parked.")
            .expect("room");
        parked.add(2);
        let again = board
            .register_metric(AppMetricKind::Counter, "shop_parked_total", "Sagas parked.")
            .expect("there");
        again.add(1);
        let waiting = board
            .register_metric(AppMetricKind::Shared, "shop_waiting", "Waiting.")
            .expect("room");
        waiting.set(9);
        let now = clock::now();
        let seen = view.app_metrics(now);
        assert_eq!(seen.len(), 2);
        assert_eq!(
            (seen[0].name.as_str(), seen[0].value, seen[0].reported),
            ("shop_parked_total", 3, Monotonic(0))
        );
        assert!(seen[1].value == 9 && seen[1].reported > Monotonic(0) && seen[1].reported <= now);
        assert_eq!(
            board
                .register_metric(AppMetricKind::Gauge, "shop_waiting", "")
                .expect_err("taken"),
            AppMetricError::Taken("shop_waiting".to_owned())
        );
    }

    #[test]
    fn bad_names_and_one_too_many_are_refused() {
        let (board, _view) = board();
        for (kind, name) in [
            (AppMetricKind::Counter, "parked"),
            (AppMetricKind::Gauge, "parked_total"),
            (AppMetricKind::Gauge, ""),
            (AppMetricKind::Gauge, "1st"),
            (AppMetricKind::Gauge, "a-b"),
            (AppMetricKind::Gauge, "cluster_generation"),
            (AppMetricKind::Gauge, &"x".repeat(65)),
        ] {
            let refused = board.register_metric(kind, name, "").expect_err(name);
            assert_eq!(refused, AppMetricError::Name(name.to_owned()));
        }
        assert!(
            board
                .register_metric(AppMetricKind::Gauge, "a", "two\nlines")
                .is_err()
        );
        for number in 0..layout::APP_METRICS {
            board
                .register_metric(AppMetricKind::Gauge, &format!("g{number}"), "")
                .expect("room");
        }
        assert!(matches!(
            board.register_metric(AppMetricKind::Gauge, "more", ""),
            Err(AppMetricError::Full(_))
        ));
    }

    #[test]
    fn nonsense_is_no_metric() {
        let (board, view) = board();
        for index in 0..layout::APP_METRICS {
            for at in 0..app_metric::WORDS {
                board.app_metric_words(index)[at].store(u64::MAX, Relaxed);
            }
            board.app_metric_words(index)[app_metric::KIND_AT].store(index as u64 % 5, Relaxed);
        }
        assert_eq!(view.app_metrics(clock::now()), []);
    }
}
