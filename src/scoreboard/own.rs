//! The application's own metrics on a worker's board: a handful of numbers with a name. The writer's handles, and the reader's
//! sight of them. It must not know how the numbers of several workers become one.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use serde::{Deserialize, Serialize};

use super::board::Board;
use super::layout::{self, own};
use super::requests::{read_text, write_text};
use crate::base::time::Monotonic;
use crate::sys::clock;

/// How the numbers of several workers become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u64)]
pub enum OwnKind {
    /// It only grows: the sum over all workers there ever were.
    Counter = 1,
    /// Each worker's share of something: the sum over the living.
    Gauge = 2,
    /// A fact about the whole cluster that any worker may tell: what was told last, also by one that is dead.
    Told = 3,
}

impl OwnKind {
    fn of(word: u64) -> Option<OwnKind> {
        [OwnKind::Counter, OwnKind::Gauge, OwnKind::Told]
            .into_iter()
            .find(|kind| *kind as u64 == word)
    }
}

/// Why an application cannot have a metric.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnError {
    /// The name is none.
    #[error(
        "{0:?} is no name for a metric (expected at most {max} letters, digits and _, no digit first, not beginning with \
         cluster_ or process_, and for a counter ending in _total)",
        max = own::NAME_BYTES
    )]
    Name(String),
    /// The explanation is too long, or of several lines.
    #[error("the explanation of {0} is no text of one line and at most {max} bytes", max = own::HELP_BYTES)]
    Help(String),
    /// There are enough.
    #[error("{0} has no room: an application has at most {max} metrics", max = layout::OWN)]
    Full(String),
    /// It is something else already.
    #[error("{0} is there already, as another kind of metric")]
    Taken(String),
}

/// A number of the application that is seen cluster-wide. Cheap to clone; any thread may use it.
#[derive(Clone, Debug)]
pub struct OwnMetric {
    board: Board,
    index: usize,
    kind: OwnKind,
}

/// Two threads may register at the same time; nobody else writes to the table.
static REGISTERING: Mutex<()> = Mutex::new(());

impl Board {
    /// Registers a metric of the application; the same name and kind again is the same metric.
    ///
    /// # Errors
    /// When name or explanation cannot be shown, or there is no room.
    pub fn own(&self, kind: OwnKind, name: &str, help: &str) -> Result<OwnMetric, OwnError> {
        if !is_name(kind, name) {
            return Err(OwnError::Name(name.to_owned()));
        }
        if help.len() > own::HELP_BYTES || help.contains(char::is_control) {
            return Err(OwnError::Help(name.to_owned()));
        }
        let _alone = REGISTERING
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let index = self.place_of(kind, name)?;
        let words = self.own_words(index);
        write_text(&words[own::NAME_AT..][..own::NAME_BYTES / 8], name);
        write_text(&words[own::HELP_AT..][..own::HELP_BYTES / 8], help);
        words[own::KIND_AT].store(kind as u64, Release);
        Ok(OwnMetric {
            board: self.clone(),
            index,
            kind,
        })
    }

    /// Where it is, or the first free place.
    fn place_of(&self, kind: OwnKind, name: &str) -> Result<usize, OwnError> {
        for index in 0..layout::OWN {
            let words = self.own_words(index);
            let taken = words[own::KIND_AT].load(Acquire);
            if taken == 0 {
                return Ok(index);
            }
            if read_text(&words[own::NAME_AT..][..own::NAME_BYTES / 8]) == name {
                let same = taken == kind as u64;
                return same
                    .then_some(index)
                    .ok_or_else(|| OwnError::Taken(name.to_owned()));
            }
        }
        Err(OwnError::Full(name.to_owned()))
    }
}

/// A metric's name by the convention of Prometheus, and none of the supervisor's own.
fn is_name(kind: OwnKind, name: &str) -> bool {
    let good = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let total = (kind == OwnKind::Counter) == name.ends_with("_total");
    (1..=own::NAME_BYTES).contains(&name.len())
        && name.chars().all(good)
        && !name.starts_with(|char: char| char.is_ascii_digit())
        && !["cluster_", "process_"].iter().any(|ours| name.starts_with(ours))
        && total
}

impl OwnMetric {
    /// So many more.
    pub fn add(&self, many: u64) {
        self.words()[own::VALUE_AT].fetch_add(many, Relaxed);
        self.told();
    }

    /// So many fewer, and never fewer than none; for what is no counter.
    pub fn sub(&self, many: u64) {
        let fewer = |value: u64| Some(value.saturating_sub(many));
        // It always has a new value.
        let _before = self.words()[own::VALUE_AT].fetch_update(Relaxed, Relaxed, fewer);
        self.told();
    }

    /// Exactly so many. For a counter that is counted elsewhere, and may not fall: cluster-wide it does not.
    pub fn set(&self, value: u64) {
        self.words()[own::VALUE_AT].store(value, Relaxed);
        self.told();
    }

    /// What this worker says.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.words()[own::VALUE_AT].load(Relaxed)
    }

    fn told(&self) {
        if self.kind == OwnKind::Told {
            self.words()[own::TOLD_AT].store(clock::now().0, Release);
        }
    }

    fn words(&self) -> &[AtomicU64] {
        self.board.own_words(self.index)
    }
}

/// One of the application's metrics at one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSeen {
    /// A good name.
    pub name: String,
    /// What it means, printable.
    pub help: String,
    /// How it is put together.
    pub kind: OwnKind,
    /// The number.
    pub value: u64,
    /// When it was last told, never later than the look; zero when never.
    pub told: Monotonic,
}

impl OwnSeen {
    /// What an entry says, as if a hostile worker had written it: no good name, no metric.
    pub(super) fn read(words: &[AtomicU64], now: Monotonic) -> Option<OwnSeen> {
        let kind = OwnKind::of(words[own::KIND_AT].load(Acquire))?;
        let name = read_text(&words[own::NAME_AT..][..own::NAME_BYTES / 8]);
        is_name(kind, &name).then(|| OwnSeen {
            told: Monotonic(words[own::TOLD_AT].load(Acquire)).min(now),
            value: words[own::VALUE_AT].load(Relaxed),
            help: read_text(&words[own::HELP_AT..][..own::HELP_BYTES / 8]),
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
            .own(OwnKind::Counter, "shop_parked_total", "Sagas parked.")
            .expect("room");
        parked.add(2);
        let again = board
            .own(OwnKind::Counter, "shop_parked_total", "Sagas parked.")
            .expect("there");
        again.add(1);
        let waiting = board
            .own(OwnKind::Told, "shop_waiting", "Waiting.")
            .expect("room");
        waiting.set(9);
        let now = clock::now();
        let seen = view.own(now);
        assert_eq!(seen.len(), 2);
        assert_eq!(
            (seen[0].name.as_str(), seen[0].value, seen[0].told),
            ("shop_parked_total", 3, Monotonic(0))
        );
        assert!(seen[1].value == 9 && seen[1].told > Monotonic(0) && seen[1].told <= now);
        assert_eq!(
            board.own(OwnKind::Gauge, "shop_waiting", "").expect_err("taken"),
            OwnError::Taken("shop_waiting".to_owned())
        );
    }

    #[test]
    fn bad_names_and_one_too_many_are_refused() {
        let (board, _view) = board();
        for (kind, name) in [
            (OwnKind::Counter, "parked"),
            (OwnKind::Gauge, "parked_total"),
            (OwnKind::Gauge, ""),
            (OwnKind::Gauge, "1st"),
            (OwnKind::Gauge, "a-b"),
            (OwnKind::Gauge, "cluster_generation"),
            (OwnKind::Gauge, &"x".repeat(65)),
        ] {
            let refused = board.own(kind, name, "").expect_err(name);
            assert_eq!(refused, OwnError::Name(name.to_owned()));
        }
        assert!(board.own(OwnKind::Gauge, "a", "two\nlines").is_err());
        for number in 0..layout::OWN {
            board
                .own(OwnKind::Gauge, &format!("g{number}"), "")
                .expect("room");
        }
        assert!(matches!(
            board.own(OwnKind::Gauge, "more", ""),
            Err(OwnError::Full(_))
        ));
    }

    #[test]
    fn nonsense_is_no_metric() {
        let (board, view) = board();
        for index in 0..layout::OWN {
            for at in 0..own::WORDS {
                board.own_words(index)[at].store(u64::MAX, Relaxed);
            }
            board.own_words(index)[own::KIND_AT].store(index as u64 % 5, Relaxed);
        }
        assert_eq!(view.own(clock::now()), []);
    }
}
