//! What became of every request of a load, and what that comes to. It must not know how requests are sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// Answered whole, with a status that was expected.
    Ok,
    /// Nobody listened.
    Refused,
    /// A new connection ended before the first byte of an answer.
    ResetNew,
    /// A connection that had carried an answer, and had not been told that it would close, ended before the
    /// first byte of the next one. The client does not look before it sends: that a polite server was merely
    /// quick is no excuse.
    ResetReused,
    /// The connection ended within an answer.
    Cut,
    /// No answer in time.
    TimedOut,
    /// An answer with another status.
    Status(u16),
    /// The client could not send it: a fault of the test.
    Unsent,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// When it should have been sent, whenever that was possible.
    pub(crate) due: Instant,
    /// When it was over.
    pub(crate) over: Instant,
    pub(crate) end: End,
    /// The client's end of its connection.
    pub(crate) from: Option<SocketAddr>,
    /// How often it was sent once more because the server had said that it did not look at it (HTTP/2 alone
    /// can).
    pub(crate) again: usize,
}

impl End {
    /// Of a whole answer with that status.
    pub(crate) fn of(status: u16) -> End {
        if matches!(status, 200..=202) {
            End::Ok
        } else {
            End::Status(status)
        }
    }
}

impl Request {
    pub(crate) fn failed(&self) -> bool {
        self.end != End::Ok
    }

    pub(crate) fn took(&self) -> Duration {
        self.over.duration_since(self.due)
    }
}

/// Every request of a load.
#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    pub(crate) requests: Vec<Request>,
}

impl RequestLog {
    pub(crate) fn failed(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(|request| request.failed())
    }

    /// How many ended how, the good ones left out.
    pub(crate) fn census(&self) -> BTreeMap<End, usize> {
        let mut census = BTreeMap::new();
        for request in self.failed() {
            *census.entry(request.end).or_default() += 1;
        }
        census
    }

    /// Latencies of those that were due then, in milliseconds: of `quantile` of them, none took longer.
    pub(crate) fn quantile_ms(&self, due: std::ops::Range<Instant>, quantile: f64) -> f64 {
        let within = self.requests.iter().filter(|request| due.contains(&request.due));
        let mut took: Vec<f64> = within.map(|request| request.took().as_secs_f64() * 1e3).collect();
        took.sort_by(f64::total_cmp);
        let at = (took.len() as f64 * quantile) as usize;
        took.get(at.min(took.len().saturating_sub(1)))
            .copied()
            .unwrap_or(f64::NAN)
    }
}
