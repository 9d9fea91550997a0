//! The load of a worker when it was last looked at. The worker's numbers are not trusted: a counter that can
//! only grow never falls here, and one that fell counts for nothing until it has passed its old height.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::pool::protocol::event::Sample;
use crate::pool::protocol::verdict::Share;

/// One worker's load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct Load {
    pub(in crate::pool) connections: u32,
    pub(in crate::pool) in_flight: u32,
    pub(in crate::pool) accepted: u64,
    pub(in crate::pool) answered: Share,
    /// Half the last value and half what it was before, so that one look decides nothing by chance.
    pub(in crate::pool) loop_lag: Duration,
    /// Open connections in sixteenths of a connection, smoothed in the same way.
    pub(in crate::pool) smooth: u64,
    pub(in crate::pool) rss: Option<u64>,
    /// What had been answered at the last mark.
    mark: Share,
}

impl Load {
    pub(in crate::pool) fn see(&mut self, sample: &Sample) {
        self.connections = sample.connections;
        self.in_flight = sample.in_flight;
        self.accepted = self.accepted.max(sample.accepted);
        let requests = self.answered.requests.max(sample.requests);
        self.answered = Share {
            requests,
            server_errors: self
                .answered
                .server_errors
                .max(sample.server_errors)
                .min(requests),
            refused: self.answered.refused.max(sample.refused),
        };
        self.loop_lag = (self.loop_lag.saturating_add(sample.loop_lag)) / 2;
        self.smooth = u64::midpoint(self.smooth, u64::from(sample.connections) * 16);
        self.rss = sample.rss.or(self.rss);
    }

    /// [`Load::since_mark`] counts from here on.
    pub(in crate::pool) fn mark(&mut self) {
        self.mark = self.answered;
    }

    pub(in crate::pool) fn since_mark(&self) -> Share {
        Share {
            requests: self.answered.requests - self.mark.requests,
            server_errors: self
                .answered
                .server_errors
                .saturating_sub(self.mark.server_errors),
            refused: self.answered.refused - self.mark.refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(load: &mut Load, requests: u64, server_errors: u64) {
        load.see(&Sample {
            requests,
            server_errors,
            ..Sample::default()
        });
    }

    #[test]
    fn counters_that_fall_count_nothing_and_never_twice() {
        let mut load = Load::default();
        seen(&mut load, 100, 3);
        load.mark();
        seen(&mut load, 10, 1);
        seen(&mut load, 100, 3);
        assert_eq!(load.since_mark(), Share::default());
        seen(&mut load, 150, u64::MAX);
        assert_eq!(
            load.since_mark(),
            Share {
                requests: 50,
                server_errors: 147,
                refused: 0
            },
            "no more errors in a life than answers"
        );
        load.see(&Sample {
            refused: 4,
            ..Sample::default()
        });
        load.see(&Sample::default());
        assert_eq!(load.since_mark().refused, 4);
        seen(&mut load, u64::MAX, 0);
        assert_eq!(load.since_mark().requests, u64::MAX - 100);
    }
}
