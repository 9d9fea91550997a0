//! The counts of one life, or of many lives together. Looks raise them, sums add them up, and nothing lowers
//! them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::time::Monotonic;
use crate::scoreboard::{AppMetricKind, BoardView, Counter, RouteCounts};

/// The route of everything that is not counted apart.
pub const OTHER: &str = "other";

/// The largest count that is taken from a worker: up to here the floating point number of a scraper is exact.
const MAX_COUNT: u64 = 1 << 53;

/// The counters that are published, each with its name in the hand-over from one master to the next.
const COUNTERS: [(Counter, &str); 8] = [
    (Counter::Requests, "requests"),
    (Counter::Accepted, "accepted"),
    (Counter::Refused, "refused"),
    (Counter::Cut, "cut"),
    (Counter::Panics, "panics"),
    (Counter::RequestTimeouts, "request_timeouts"),
    (Counter::HeaderTimeouts, "header_timeouts"),
    (Counter::LogLinesDropped, "log_lines_dropped"),
];

/// Everything that was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// The counters by name; see [`Totals::counter`].
    counters: BTreeMap<String, u64>,
    /// CPU time, in milliseconds.
    pub cpu_ms: u64,
    /// Answers by `METHOD /template`, or [`OTHER`].
    pub routes: BTreeMap<String, RouteCounts>,
    /// The application's own metrics, by name.
    #[serde(rename = "own")]
    pub app_metrics: BTreeMap<String, AppMetricTotal>,
}

/// One of the application's metrics, of one life or of many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppMetricTotal {
    /// How the numbers of several workers become one.
    pub kind: AppMetricKind,
    /// What the metric means.
    pub help: String,
    /// The number.
    pub value: u64,
    /// When the number was last reported; for [`AppMetricKind::Shared`].
    #[serde(rename = "told")]
    pub reported: Monotonic,
}

impl Totals {
    /// Reads everything that is counted on a board.
    #[must_use]
    pub fn read(board: &BoardView, cpu_ms: Option<u64>, now: Monotonic) -> Totals {
        let counters =
            COUNTERS.map(|(counter, name)| (name.to_owned(), board.counter(counter).min(MAX_COUNT)));
        let mut totals = Totals {
            counters: counters.into(),
            cpu_ms: cpu_ms.unwrap_or(0).min(MAX_COUNT),
            ..Totals::default()
        };
        for route in board.routes() {
            let name = route.name.map(|(method, path)| format!("{method} {path}"));
            let counts = totals
                .routes
                .entry(name.unwrap_or_else(|| OTHER.to_owned()))
                .or_default();
            counts.add(&route.counts.bounded());
        }
        for sample in board.app_metrics(now) {
            let total = AppMetricTotal {
                kind: sample.kind,
                help: sample.help,
                value: sample.value.min(MAX_COUNT),
                reported: sample.reported,
            };
            totals.app_metrics.entry(sample.name).or_insert(total);
        }
        totals
    }

    /// One of the counters.
    #[must_use]
    pub fn counter(&self, counter: Counter) -> u64 {
        let name = COUNTERS.iter().find(|(known, _)| *known == counter);
        name.and_then(|(_, name)| self.counters.get(*name))
            .copied()
            .unwrap_or(0)
    }

    /// Adds what was counted elsewhere to one of the counters.
    pub fn raise(&mut self, counter: Counter, by: u64) {
        if let Some((_, name)) = COUNTERS.iter().find(|(known, _)| *known == counter) {
            add(self.counters.entry((*name).to_owned()).or_default(), by);
        }
    }

    /// Takes in a later look at the same life. Nothing gets smaller, whatever the writer did; only a gauge
    /// may fall.
    pub(super) fn raise_to(&mut self, later: &Totals) {
        for (name, value) in &later.counters {
            raise(self.counters.entry(name.clone()).or_default(), *value);
        }
        raise(&mut self.cpu_ms, later.cpu_ms);
        for (name, counts) in &later.routes {
            self.routes.entry(name.clone()).or_default().raise_to(counts);
        }
        for (name, later) in &later.app_metrics {
            let metric = self.app_metrics.entry(name.clone());
            metric.or_insert_with(|| later.clone()).raise_to(later);
        }
    }

    /// Adds the counts of another life.
    pub(super) fn add(&mut self, other: &Totals) {
        for (name, value) in &other.counters {
            add(self.counters.entry(name.clone()).or_default(), *value);
        }
        add(&mut self.cpu_ms, other.cpu_ms);
        for (name, counts) in &other.routes {
            self.routes.entry(name.clone()).or_default().add(counts);
        }
        for (name, other) in &other.app_metrics {
            match self.app_metrics.get_mut(name) {
                Some(metric) => metric.add(other),
                None => drop(self.app_metrics.insert(name.clone(), other.clone())),
            }
        }
    }
}

impl AppMetricTotal {
    /// The same metric with nothing counted yet.
    pub(super) fn empty(&self) -> AppMetricTotal {
        AppMetricTotal {
            value: 0,
            reported: Monotonic(0),
            ..self.clone()
        }
    }

    fn raise_to(&mut self, later: &AppMetricTotal) {
        match self.kind {
            _ if self.kind != later.kind => {}
            AppMetricKind::Counter => raise(&mut self.value, later.value),
            AppMetricKind::Gauge => self.value = later.value,
            AppMetricKind::Shared => self.take_later(later),
        }
    }

    fn add(&mut self, other: &AppMetricTotal) {
        match self.kind {
            _ if self.kind != other.kind => {}
            AppMetricKind::Counter | AppMetricKind::Gauge => add(&mut self.value, other.value),
            AppMetricKind::Shared => self.take_later(other),
        }
    }

    /// Of two reports the later one counts.
    fn take_later(&mut self, other: &AppMetricTotal) {
        if other.reported >= self.reported {
            (self.reported, self.value) = (other.reported, other.value);
        }
    }
}

impl RouteCounts {
    fn bounded(mut self) -> RouteCounts {
        for count in self.classes.iter_mut().chain(&mut self.buckets) {
            *count = (*count).min(MAX_COUNT);
        }
        self
    }

    fn raise_to(&mut self, later: &RouteCounts) {
        self.each(later, raise);
    }

    pub(super) fn add(&mut self, other: &RouteCounts) {
        self.each(other, add);
    }

    fn each(&mut self, other: &RouteCounts, change: fn(&mut u64, u64)) {
        let own = self
            .classes
            .iter_mut()
            .chain(&mut self.buckets)
            .chain([&mut self.sum_ns]);
        let theirs = other.classes.iter().chain(&other.buckets).chain([&other.sum_ns]);
        for (own, theirs) in own.zip(theirs) {
            change(own, *theirs);
        }
    }
}

fn raise(own: &mut u64, later: u64) {
    *own = (*own).max(later);
}

fn add(own: &mut u64, other: u64) {
    *own = own.saturating_add(other);
}
