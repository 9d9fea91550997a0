//! How many connections a worker takes: `max_connections`, or fewer where its descriptors do not allow as many. Some are kept for
//! everything else that is opened while it serves (files of the application, the admin listener's clients, queues of siblings),
//! so that a full house can still be watched and can still write. It must not know what a connection is.

use crate::sys::limits;
use crate::worker::handle::Worker;

/// As many descriptors are kept for everything else, where there are enough.
const RESERVE: u64 = 64;
/// Where there are not, this part of those that are left after the boot.
const RESERVED_PART: u64 = 4;
/// As many who were told no may linger, for a moment, where there are descriptors enough; more are closed at once.
const LINGERING: u64 = 128;
/// Where there are not, this part of what is reserved.
const LINGERING_PART: u64 = 4;

/// How many may be there at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) struct Places {
    /// Connections that are served.
    pub(in crate::worker) seats: usize,
    /// Connections that were told that there is no seat.
    pub(in crate::worker) lingering: usize,
}

impl Places {
    /// To be called when everything is open that the application opens at its boot. One worker of the cluster warns.
    pub(in crate::worker) fn count(worker: &Worker) -> Places {
        let wanted = worker.settings().http.max_connections;
        // Without /proc nobody knows; then running out of them is met when it happens.
        let Ok(files) = limits::open_files() else {
            return Places::among(wanted, u64::MAX);
        };
        let places = Places::among(wanted, files.limit.saturating_sub(files.open));
        if places.seats < wanted && worker.identity().life.slot.0 == 0 {
            let limits::Files { limit, open } = files;
            tracing::warn!(
                "http.max_connections is {wanted}, but a process may open {limit} files here: each worker has {open} open already, \
                 keeps some for its own use and serves {} connections, and answers the rest 503; raise the limit (ulimit -n, \
                 LimitNOFILE=) or lower max_connections",
                places.seats
            );
        }
        places
    }

    /// `left`: descriptors that can still be opened.
    fn among(wanted: usize, left: u64) -> Places {
        let reserve = RESERVE.min(left / RESERVED_PART);
        let seats = wanted.min(small(left - reserve)).max(1);
        let beside = left - (seats as u64).min(left);
        let lingering = if beside >= RESERVE + LINGERING {
            LINGERING
        } else {
            reserve / LINGERING_PART
        };
        Places {
            seats,
            lingering: small(lingering),
        }
    }
}

fn small(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_holds_where_descriptors_abound() {
        for left in [20_000, u64::MAX] {
            let places = Places::among(10_000, left);
            assert_eq!((places.seats, places.lingering), (10_000, 128));
        }
    }

    #[test]
    fn some_are_kept_for_everything_else_where_they_are_short() {
        let among = |left| {
            let places = Places::among(10_000, left);
            (places.seats, places.lingering)
        };
        assert_eq!(among(1_000), (936, 16));
        assert_eq!(among(90), (68, 5));
        assert_eq!(among(8), (6, 0));
        assert_eq!(among(0), (1, 0), "a worker without a seat would be none");
        for left in 4..2_000 {
            let (seats, lingering) = among(left);
            let free = left - (seats + lingering) as u64;
            assert!(free >= left.min(RESERVE * RESERVED_PART) / 6, "{left}: {free}");
        }
    }
}
