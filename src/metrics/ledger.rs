//! Where the numbers of a life are counted: among the living until the life is closed, and among the dead
//! ever after; never in both and never in neither. The master owns the only ledger and hands it to its
//! successor with everything else.
//!
//! The same thread looks at a life and closes it, and a board keeps what was counted after its process is
//! gone. So there is no moment between death and closing at which a number is lost. What was once seen of a
//! life is the least that is seen later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::totals::{AppMetricTotal, OTHER, Totals};
use crate::base::ids::Life;
use crate::base::time::Monotonic;
use crate::scoreboard::{AppMetricKind, BoardView, RouteCounts};

/// The number of routes that are published in all, over all generations; a later route is counted as
/// [`OTHER`].
pub const MAX_ROUTES: usize = 256;
/// The number of metrics of the application that are published; a later one is not.
pub const MAX_APP_METRICS: usize = 64;

/// All lives there were under this incarnation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The closed lives, together. A route that was ever seen has its entry here, so that it never goes
    /// again.
    dead: Totals,
    /// The most that was seen of each other life.
    living: BTreeMap<Life, Totals>,
}

impl Ledger {
    /// Looks at a worker that lives, or that is dead and not closed.
    pub fn look(&mut self, life: Life, board: &BoardView, cpu_ms: Option<u64>, now: Monotonic) {
        self.see(life, Totals::read(board, cpu_ms, now));
    }

    fn see(&mut self, life: Life, seen: Totals) {
        let seen = self.admitted(seen);
        self.living.entry(life).or_default().raise_to(&seen);
    }

    /// Counts a life among the dead. It must not be looked at again.
    pub fn close(&mut self, life: Life) {
        if let Some(mut last) = self.living.remove(&life) {
            // A share of something is gone with its worker.
            last.app_metrics
                .retain(|_, metric| metric.kind != AppMetricKind::Gauge);
            self.dead.add(&last);
        }
    }

    /// Everything that was counted.
    #[must_use]
    pub fn total(&self) -> Totals {
        let mut total = self.dead.clone();
        self.living.values().for_each(|life| total.add(life));
        total
    }

    /// Keeps only names that have an entry among the dead, which a name is given while there is room. So a
    /// name is published for ever or never, and what is counted under it never moves.
    fn admitted(&mut self, mut seen: Totals) -> Totals {
        for (name, counts) in std::mem::take(&mut seen.routes) {
            let name = if self.admits_route(&name) {
                name.as_str()
            } else {
                OTHER
            };
            seen.routes.entry(name.to_owned()).or_default().add(&counts);
        }
        seen.app_metrics
            .retain(|name, metric| self.admits_app_metric(name, metric));
        seen
    }

    fn admits_route(&mut self, name: &str) -> bool {
        let routes = &mut self.dead.routes;
        let known = routes.contains_key(name);
        if !known && (routes.len() < MAX_ROUTES || name == OTHER) {
            routes.insert(name.to_owned(), RouteCounts::default());
            return true;
        }
        known
    }

    /// A name keeps the kind it had first.
    fn admits_app_metric(&mut self, name: &str, metric: &AppMetricTotal) -> bool {
        let room = self.dead.app_metrics.len() < MAX_APP_METRICS;
        match self.dead.app_metrics.get(name) {
            Some(known) => known.kind == metric.kind,
            None if room => {
                self.dead.app_metrics.insert(name.to_owned(), metric.empty());
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::os::fd::AsFd;
    use std::sync::atomic::Ordering::Relaxed;
    use std::time::Duration;

    use super::*;
    use crate::base::ids::Epoch;
    use crate::scoreboard::{Board, Counter, layout, method_index};
    use crate::sys::clock;
    use crate::sys::memfd::{MapAccess, Mapping};

    struct Worker {
        life: Life,
        board: Board,
        view: BoardView,
        /// The same page, for nonsense.
        raw: Mapping,
    }

    fn worker(epoch: u32) -> Worker {
        let fd = Board::create_fd("test").expect("a memfd");
        let view = BoardView::open(fd.as_fd()).expect("a board");
        let life = Life::of(1, 0, epoch);
        let bytes = NonZeroUsize::new(layout::BYTES).expect("a size");
        let raw = Mapping::new(fd.as_fd(), bytes, MapAccess::Write).expect("mapped");
        let board = Board::open(fd).expect("a board");
        Worker {
            life,
            board,
            view,
            raw,
        }
    }

    impl Ledger {
        fn at(&mut self, worker: &Worker) {
            self.look(worker.life, &worker.view, None, clock::now());
        }
    }

    fn answers(ledger: &Ledger, route: &str) -> u64 {
        let total = ledger.total();
        total
            .routes
            .get(route)
            .map_or(0, |counts| counts.classes.iter().sum())
    }

    #[test]
    fn a_life_is_counted_once_before_and_after_it_is_closed() {
        let (mut ledger, one, two) = (Ledger::default(), worker(1), worker(2));
        for worker in [&one, &two] {
            worker.board.name_route(1, method_index("GET"), "/a");
            worker.board.count_answer(1, 200, Some(Duration::ZERO));
            ledger.at(worker);
        }
        assert_eq!(answers(&ledger, "GET /a"), 2);
        one.board.count_answer(1, 200, Some(Duration::ZERO));
        ledger.at(&one);
        ledger.close(one.life);
        assert_eq!(answers(&ledger, "GET /a"), 3);
        ledger.close(one.life);
        assert_eq!(answers(&ledger, "GET /a"), 3, "no life is counted twice");
        ledger.close(two.life);
        assert_eq!(answers(&ledger, "GET /a"), 3);
    }

    #[test]
    fn nothing_falls_whatever_a_worker_writes() {
        let (mut ledger, worker) = (Ledger::default(), worker(1));
        let counters = worker.board.counters();
        worker.board.name_route(1, method_index("GET"), "/a");
        let mut before = Totals::default();
        for round in [7, 3, 0, u64::MAX, 1, u64::MAX / 2] {
            for index in 0..2 {
                let first = layout::ROUTES_AT + index * layout::route::WORDS;
                let counts = first + layout::route::CLASSES_AT..first + layout::route::WORDS;
                for word in &worker.raw.words()[counts] {
                    word.store(round, Relaxed);
                }
            }
            counters.set(Counter::Accepted, round);
            ledger.at(&worker);
            let now = ledger.total();
            let mut floor = now.clone();
            floor.raise_to(&before);
            assert_eq!(floor, now, "something fell after {round}");
            before = now;
        }
        assert_eq!(before.counter(Counter::Accepted), 1 << 53);
        // Many such lives do not overflow.
        for epoch in 2..5000 {
            let mut other = worker.life;
            other.epoch = Epoch(epoch);
            ledger.see(other, before.clone());
            ledger.close(other);
        }
        let sum = ledger.total();
        assert_eq!(sum.routes[OTHER].sum_ns, u64::MAX);
        assert!(sum.counter(Counter::Accepted) > before.counter(Counter::Accepted));
    }

    #[test]
    fn names_have_an_end_and_what_comes_later_is_other() {
        let mut ledger = Ledger::default();
        for epoch in 1..20 {
            let worker = worker(epoch);
            for index in 1..64 {
                worker
                    .board
                    .name_route(index, method_index("GET"), &format!("/{epoch}/{index}"));
                worker.board.count_answer(index, 200, None);
            }
            ledger.at(&worker);
            ledger.close(worker.life);
        }
        let total = ledger.total();
        assert!(total.routes.len() <= MAX_ROUTES + 1, "{}", total.routes.len());
        let all: u64 = total.routes.values().map(|counts| counts.classes[1]).sum();
        assert_eq!(all, 19 * 63);
        assert!(answers(&ledger, OTHER) > 0);
    }

    #[test]
    fn the_applications_metrics_are_put_together_by_their_kind() {
        let (mut ledger, one, two) = (Ledger::default(), worker(1), worker(2));
        let all = |worker: &Worker, value: u64| {
            let set = |kind, name| {
                worker
                    .board
                    .register_metric(kind, name, "help")
                    .expect("room")
                    .set(value)
            };
            set(AppMetricKind::Counter, "c_total");
            set(AppMetricKind::Gauge, "g");
            set(AppMetricKind::Shared, "t");
        };
        let values = |ledger: &Ledger| {
            let metrics = ledger.total().app_metrics;
            ["c_total", "g", "t"].map(|name| metrics[name].value)
        };
        all(&one, 5);
        all(&two, 7);
        ledger.at(&one);
        ledger.at(&two);
        assert_eq!(values(&ledger), [12, 12, 7]);
        all(&one, 6);
        ledger.at(&one);
        assert_eq!(values(&ledger), [13, 13, 6], "the latest report");
        ledger.close(one.life);
        assert_eq!(
            values(&ledger),
            [13, 7, 6],
            "the latest report is of a dead worker"
        );
        ledger.close(two.life);
        assert_eq!(values(&ledger), [13, 0, 6], "still there");
    }

    #[test]
    fn the_next_master_reads_it() {
        let (mut ledger, worker) = (Ledger::default(), worker(1));
        worker.board.name_route(1, method_index("GET"), "/a b\"c\\");
        worker.board.count_answer(1, 200, Some(Duration::from_millis(3)));
        ledger.at(&worker);
        let json = serde_json::to_vec(&ledger).expect("JSON");
        assert_eq!(serde_json::from_slice::<Ledger>(&json).expect("read"), ledger);
    }
}
