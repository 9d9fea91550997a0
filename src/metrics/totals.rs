//! What only grows, of one life or of many lives together: raised by looks, added up, never lowered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::time::Monotonic;
use crate::scoreboard::{BoardView, Counter, OwnKind, RouteCounts};

/// The route of everything that is not counted apart.
pub const OTHER: &str = "other";

/// No single count is taken for more: up to here a sum is exact as the number that a text or a scraper makes of it.
const MOST: u64 = 1 << 53;

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

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// By name; see [`Totals::counter`].
    counters: BTreeMap<String, u64>,
    /// CPU time, in milliseconds.
    pub cpu_ms: u64,
    /// By `METHOD /template`, or [`OTHER`].
    pub routes: BTreeMap<String, RouteCounts>,
    /// The application's own, by name.
    pub own: BTreeMap<String, Own>,
}

/// One of the application's metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// How it is put together.
    pub kind: OwnKind,
    /// What it means.
    pub help: String,
    /// The number.
    pub value: u64,
    /// When it was last told; for [`OwnKind::Told`].
    pub told: Monotonic,
}

impl Totals {
    /// What a board says at one look.
    #[must_use]
    pub fn read(board: &BoardView, cpu_ms: Option<u64>, now: Monotonic) -> Totals {
        let counters = COUNTERS.map(|(counter, name)| (name.to_owned(), board.counter(counter).min(MOST)));
        let mut totals = Totals {
            counters: counters.into(),
            cpu_ms: cpu_ms.unwrap_or(0).min(MOST),
            ..Totals::default()
        };
        for seen in board.routes() {
            let name = seen.name.map(|(method, path)| format!("{method} {path}"));
            let counts = totals
                .routes
                .entry(name.unwrap_or_else(|| OTHER.to_owned()))
                .or_default();
            counts.add(&seen.counts.bounded());
        }
        for seen in board.own(now) {
            let own = Own {
                kind: seen.kind,
                help: seen.help,
                value: seen.value.min(MOST),
                told: seen.told,
            };
            totals.own.entry(seen.name).or_insert(own);
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

    /// A later look at the same life: nothing gets smaller by it, whatever the writer did. Only a gauge may fall.
    pub(super) fn raise_to(&mut self, later: &Totals) {
        for (name, value) in &later.counters {
            raise(self.counters.entry(name.clone()).or_default(), *value);
        }
        raise(&mut self.cpu_ms, later.cpu_ms);
        for (name, counts) in &later.routes {
            self.routes.entry(name.clone()).or_default().raise_to(counts);
        }
        for (name, later) in &later.own {
            let own = self.own.entry(name.clone()).or_insert_with(|| later.clone());
            own.raise_to(later);
        }
    }

    /// Another life's, on top.
    pub(super) fn add(&mut self, other: &Totals) {
        for (name, value) in &other.counters {
            add(self.counters.entry(name.clone()).or_default(), *value);
        }
        add(&mut self.cpu_ms, other.cpu_ms);
        for (name, counts) in &other.routes {
            self.routes.entry(name.clone()).or_default().add(counts);
        }
        for (name, other) in &other.own {
            match self.own.get_mut(name) {
                Some(own) => own.add(other),
                None => drop(self.own.insert(name.clone(), other.clone())),
            }
        }
    }
}

impl Own {
    /// The same name with nothing counted yet.
    pub(super) fn empty(&self) -> Own {
        Own {
            value: 0,
            told: Monotonic(0),
            ..self.clone()
        }
    }

    fn raise_to(&mut self, later: &Own) {
        match self.kind {
            _ if self.kind != later.kind => {}
            OwnKind::Counter => raise(&mut self.value, later.value),
            OwnKind::Gauge => self.value = later.value,
            OwnKind::Told => self.hear(later),
        }
    }

    fn add(&mut self, other: &Own) {
        match self.kind {
            _ if self.kind != other.kind => {}
            OwnKind::Counter | OwnKind::Gauge => add(&mut self.value, other.value),
            OwnKind::Told => self.hear(other),
        }
    }

    /// What was told last counts.
    fn hear(&mut self, other: &Own) {
        if other.told >= self.told {
            (self.told, self.value) = (other.told, other.value);
        }
    }
}

impl RouteCounts {
    fn bounded(mut self) -> RouteCounts {
        for count in self.classes.iter_mut().chain(&mut self.buckets) {
            *count = (*count).min(MOST);
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
