//! The reader's side. Every value is taken as if a hostile worker had written it: a stamp in the future is no
//! beat, texts are cut and made printable, numbers saturate. It must not keep anything between two looks; the
//! caller that compares them must expect numbers that fall.

use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::Duration;

use super::app_metrics::AppMetricSample;
use super::board::{BoardError, map_checked};
use super::counters::{Counter, Counters};
use super::layout::{self, cell};
use super::requests::{RequestSample, read_text};
use super::routes::RouteSample;
use crate::base::ids::{Epoch, Incarnation, Life, Slot};
use crate::base::time::Monotonic;
use crate::sys::memfd::{MapAccess, Mapping};

/// A stamp may be this much later than the clock was read for the look, because boards are read one after the
/// other.
const MAX_LOOK_TIME: Duration = Duration::from_secs(1);

/// A read-only mapping of a worker's board.
#[derive(Debug)]
pub struct BoardView {
    mapping: Mapping,
}

/// What one look at a board shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// The life that the board belongs to, as its writer says; `None` before it has said so, or when it wrote
    /// nonsense.
    pub life: Option<Life>,
    /// The oldest beat among the threads that have work, never later than the look. `None` until the runtime
    /// (the first cell) has beaten once, and while any stamp lies in the future: judge a worker that is ready
    /// and has none by the time of its fork, or by the last beat that was seen.
    pub beat: Option<Monotonic>,
    /// Some stamp lies in the future, which no clock of this machine can have said.
    pub from_the_future: bool,
    /// The store locks that are waited for or held.
    pub locks: Vec<LockMark>,
    /// The counters.
    pub counts: CounterValues,
}

/// A store lock that a worker waits for, or holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockMark {
    /// When the worker began to wait for the lock, never later than the look.
    pub since: Monotonic,
    /// The worker's descriptor that holds the lock, if the worker has told it.
    pub fd: Option<i32>,
}

impl LockMark {
    fn read(words: &[AtomicU64], now: Monotonic) -> Option<LockMark> {
        let number = words[cell::LOCK_FD_AT].load(Relaxed).checked_sub(1);
        Some(LockMark {
            since: stamp(words, cell::LOCK_AT, now)?,
            fd: number.and_then(|number| i32::try_from(number).ok()),
        })
    }
}

/// The counters at one look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each is the counter of its name, which is documented there"
)]
pub struct CounterValues {
    pub connections: u32,
    pub accepted: u64,
    pub refused: u64,
    pub in_flight: u32,
    pub requests: u64,
    /// By status class: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub responses: [u64; 5],
    pub panics: u64,
    pub request_timeouts: u64,
    pub header_timeouts: u64,
    pub log_lines_dropped: u64,
    pub cut: u64,
    pub loop_lag_ns: u64,
    pub upgraded: u32,
    pub streams: u32,
}

impl BoardView {
    /// Maps a worker's board, read-only.
    ///
    /// # Errors
    /// When the file is no sealed board of this layout.
    pub fn open(fd: BorrowedFd) -> Result<BoardView, BoardError> {
        Ok(BoardView {
            mapping: map_checked(fd, MapAccess::Read)?,
        })
    }

    /// Looks at the board at `now`.
    #[must_use]
    pub fn vitals(&self, now: Monotonic) -> Vitals {
        let mut vitals = Vitals {
            life: self.life(),
            beat: None,
            from_the_future: false,
            locks: Vec::new(),
            counts: self.counts(),
        };
        let runtime_beats = self.cell(0)[cell::BEAT_AT].load(Acquire) != 0;
        for cell in (0..layout::CELLS)
            .map(|index| self.cell(index))
            .filter(|cell| is_taken(cell))
        {
            if let Some(beat) = stamp(cell, cell::BEAT_AT, now).filter(|_| runtime_beats)
                && vitals.beat.is_none_or(|oldest| beat < oldest)
            {
                vitals.beat = Some(beat);
            }
            vitals.locks.extend(LockMark::read(cell, now));
            vitals.from_the_future |= [cell::BEAT_AT, cell::LOCK_AT]
                .iter()
                .any(|&at| is_ahead(cell, at, now));
        }
        vitals.beat = vitals.beat.filter(|_| !vitals.from_the_future);
        vitals
    }

    /// The name of the thread with the oldest beat among those that have work, printable, for the evidence.
    /// Not a part of the vitals, which are looked at all the time.
    #[must_use]
    pub fn oldest(&self, now: Monotonic) -> Option<String> {
        (0..layout::CELLS)
            .map(|index| self.cell(index))
            .filter(|cell| is_taken(cell))
            .filter_map(|cell| Some((stamp(cell, cell::BEAT_AT, now)?, cell)))
            .min_by_key(|(beat, _)| *beat)
            .map(|(_, cell)| name(cell))
    }

    /// The requests that are being answered, as far as the table holds them.
    #[must_use]
    pub fn requests(&self, now: Monotonic) -> Vec<RequestSample> {
        let first = layout::REQUESTS_AT;
        self.mapping.words()[first..first + layout::REQUESTS * layout::request::WORDS]
            .chunks_exact(layout::request::WORDS)
            .filter_map(|entry| RequestSample::read(entry, now))
            .collect()
    }

    /// One counter as the worker has written it.
    #[must_use]
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters().value(counter)
    }

    /// The routes that are counted apart; the first entry is for all others.
    #[must_use]
    pub fn routes(&self) -> Vec<RouteSample> {
        let first = layout::ROUTES_AT;
        self.mapping.words()[first..first + layout::ROUTES * layout::route::WORDS]
            .chunks_exact(layout::route::WORDS)
            .enumerate()
            .filter_map(|(index, entry)| RouteSample::read(index, entry))
            .collect()
    }

    /// The application's own metrics.
    #[must_use]
    pub fn app_metrics(&self, now: Monotonic) -> Vec<AppMetricSample> {
        let first = layout::APP_METRICS_AT;
        self.mapping.words()[first..first + layout::APP_METRICS * layout::app_metric::WORDS]
            .chunks_exact(layout::app_metric::WORDS)
            .filter_map(|entry| AppMetricSample::read(entry, now))
            .collect()
    }

    fn counters(&self) -> Counters<'_> {
        Counters::new(&self.mapping.words()[layout::COUNTERS_AT..layout::COUNTERS_AT + layout::COUNTERS])
    }

    fn life(&self) -> Option<Life> {
        let word = |at: usize| self.mapping.words()[layout::LIFE_AT + at].load(Relaxed);
        let life = Life::new(
            Incarnation(word(0)),
            Slot(u16::try_from(word(1)).ok()?),
            Epoch(u32::try_from(word(2)).ok()?),
        );
        (life.epoch.0 > 0).then_some(life)
    }

    fn counts(&self) -> CounterValues {
        let counters = self.counters();
        let many = |counter| counters.value(counter);
        let few = |counter| u32::try_from(counters.value(counter)).unwrap_or(u32::MAX);
        let classes = [
            Counter::Responses1xx,
            Counter::Responses2xx,
            Counter::Responses3xx,
            Counter::Responses4xx,
            Counter::Responses5xx,
        ];
        CounterValues {
            connections: few(Counter::ConnectionsOpen),
            accepted: many(Counter::Accepted),
            refused: many(Counter::Refused),
            in_flight: few(Counter::InFlight),
            requests: many(Counter::Requests),
            responses: classes.map(many),
            panics: many(Counter::Panics),
            request_timeouts: many(Counter::RequestTimeouts),
            header_timeouts: many(Counter::HeaderTimeouts),
            log_lines_dropped: many(Counter::LogLinesDropped),
            cut: many(Counter::Cut),
            loop_lag_ns: many(Counter::LoopLagNs),
            upgraded: few(Counter::UpgradedOpen),
            streams: few(Counter::StreamsOpen),
        }
    }

    fn cell(&self, index: usize) -> &[AtomicU64] {
        let first = layout::CELLS_AT + index * cell::WORDS;
        &self.mapping.words()[first..first + cell::WORDS]
    }
}

fn is_taken(cell: &[AtomicU64]) -> bool {
    cell[cell::TAKEN_AT].load(Acquire) == 1
}

/// Whether a stamp lies further in the future than a look can take.
fn is_ahead(cell: &[AtomicU64], at: usize, now: Monotonic) -> bool {
    Monotonic(cell[at].load(Acquire)).since(now) > MAX_LOOK_TIME
}

/// An instant, unless it is zero; what lies in the future is now.
fn stamp(cell: &[AtomicU64], at: usize, now: Monotonic) -> Option<Monotonic> {
    let nanos = cell[at].load(Acquire);
    (nanos != 0).then(|| Monotonic(nanos).min(now))
}

fn name(cell: &[AtomicU64]) -> String {
    read_text(&cell[cell::NAME_AT..cell::NAME_AT + cell::NAME_BYTES / 8])
}

#[cfg(test)]
mod tests {
    use super::super::Board;
    use super::super::fixture::board;
    use super::*;
    use crate::sys::clock;

    fn raw(board: &Board, index: usize, at: usize, value: u64) {
        board.cell_words(index)[at].store(value, Relaxed);
    }

    #[test]
    fn a_new_board_says_nothing() {
        let (_board, view) = board();
        let vitals = view.vitals(clock::now());
        assert_eq!((vitals.life, vitals.beat, vitals.locks), (None, None, Vec::new()));
        assert_eq!(vitals.counts, CounterValues::default());
    }

    #[test]
    fn the_oldest_beat_counts_and_idle_threads_do_not() {
        let (board, view) = board();
        let (runtime, writer) = (
            board.cell("runtime").expect("a cell"),
            board.cell("orders").expect("a cell"),
        );
        writer.stamp();
        let before = clock::now();
        runtime.stamp();
        let vitals = view.vitals(clock::now());
        assert!(vitals.beat.expect("a beat") <= before);
        assert_eq!(view.oldest(clock::now()).as_deref(), Some("orders"));
        writer.idle();
        let vitals = view.vitals(clock::now());
        assert!(vitals.beat.expect("a beat") >= before);
        assert_eq!(view.oldest(clock::now()).as_deref(), Some("runtime"));
    }

    #[test]
    fn nobody_vouches_for_a_runtime_that_never_beat() {
        let (board, view) = board();
        let (_runtime, writer) = (
            board.cell("runtime").expect("a cell"),
            board.cell("orders").expect("a cell"),
        );
        writer.stamp();
        assert_eq!(view.vitals(clock::now()).beat, None);
    }

    #[test]
    fn a_held_lock_shows_since_when() {
        let (board, view) = board();
        let cell = board.cell("orders").expect("a cell");
        let before = clock::now();
        cell.lock_taken();
        assert!(view.vitals(clock::now()).locks[0].since >= before);
        let file = std::io::stdin();
        cell.guards(&file);
        assert_eq!(view.vitals(clock::now()).locks[0].fd, Some(0));
        cell.lock_released();
        assert_eq!(view.vitals(clock::now()).locks, []);
    }

    #[test]
    fn a_stamp_that_came_during_the_look_is_clamped_to_now_and_one_from_the_future_is_no_beat() {
        let (board, view) = board();
        let _cells = ["runtime", "orders"].map(|name| board.cell(name).expect("a cell"));
        let now = clock::now();
        raw(&board, 0, cell::BEAT_AT, now.0 + 1);
        raw(&board, 0, cell::LOCK_AT, now.0 + 1);
        let vitals = view.vitals(now);
        let locks: Vec<Monotonic> = vitals.locks.iter().map(|lock| lock.since).collect();
        assert_eq!(
            (vitals.beat, locks, vitals.from_the_future),
            (Some(now), vec![now], false)
        );
        for at in [cell::BEAT_AT, cell::LOCK_AT] {
            raw(&board, 1, at, u64::MAX);
            let vitals = view.vitals(now);
            assert_eq!((vitals.beat, vitals.from_the_future), (None, true));
            raw(&board, 1, at, 0);
        }
    }

    #[test]
    fn nonsense_is_survived() {
        let (board, view) = board();
        for index in 0..layout::CELLS {
            for at in 0..cell::WORDS {
                raw(&board, index, at, 0x1b_9b_ff_0a_01_80_fe_c3 ^ (index as u64));
            }
            raw(&board, index, cell::TAKEN_AT, 1);
        }
        board.counters().set(Counter::ConnectionsOpen, u64::MAX);
        board.claim(Life::of(u64::MAX, u16::MAX, 0));
        let vitals = view.vitals(Monotonic(5));
        assert_eq!(vitals.counts.connections, u32::MAX);
        assert_eq!(vitals.life, None);
        let oldest = view.oldest(Monotonic(5)).expect("a thread with a beat");
        assert!(oldest.chars().all(|c| !c.is_control()), "{oldest:?}");
    }

    #[test]
    fn what_a_worker_counts_is_read() {
        let (board, view) = board();
        let counters = board.counters();
        counters.add(Counter::ConnectionsOpen);
        counters.add(Counter::ConnectionsOpen);
        counters.sub(Counter::ConnectionsOpen);
        counters.add(Counter::of_status(503));
        let counts = view.vitals(clock::now()).counts;
        assert_eq!((counts.connections, counts.responses), (1, [0, 0, 0, 0, 1]));
    }
}
