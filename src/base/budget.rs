//! An intensity budget: at most a fixed number of events in any window of a fixed length.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Monotonic;

/// Counts events over a sliding window (Erlang's restart intensity). It stores at most `limit` + 1 instants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    limit: u32,
    window: Duration,
    spent: VecDeque<Monotonic>,
}

impl Budget {
    /// At most `limit` events in any `window`.
    #[must_use]
    pub fn new(limit: u32, window: Duration) -> Budget {
        Budget {
            limit,
            window,
            spent: VecDeque::new(),
        }
    }

    /// Records one event, and says whether the window still holds no more than the limit.
    pub fn spend(&mut self, now: Monotonic) -> bool {
        self.forget(now);
        self.spent.push_back(now);
        if self.spent.len() > self.limit as usize + 1 {
            self.spent.pop_front();
        }
        self.spent.len() <= self.limit as usize
    }

    /// The number of events in the window that ends at `now`, counted up to the limit and one more.
    pub fn spent(&mut self, now: Monotonic) -> u32 {
        self.forget(now);
        u32::try_from(self.spent.len()).unwrap_or(u32::MAX)
    }

    fn forget(&mut self, now: Monotonic) {
        while self.spent.front().is_some_and(|&at| now.since(at) >= self.window) {
            self.spent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_over_the_limit_is_reported_until_it_leaves_the_window() {
        let mut budget = Budget::new(2, Duration::from_secs(1));
        let at = |ms: u64| Monotonic(ms * 1_000_000);
        assert!(budget.spend(at(0)));
        assert!(budget.spend(at(100)));
        assert!(!budget.spend(at(200)));
        assert_eq!(budget.spent(at(999)), 3);
        assert!(budget.spend(at(1_150)), "the first two have left the window");
        assert_eq!(budget.spent(at(5_000)), 0);
    }

    #[test]
    fn its_memory_is_bounded() {
        let mut budget = Budget::new(3, Duration::from_secs(1_000));
        for ms in 0..10_000 {
            budget.spend(Monotonic(ms));
        }
        assert_eq!(budget.spent.len(), 4);
    }
}
