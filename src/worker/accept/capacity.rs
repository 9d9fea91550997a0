//! How many connections a worker takes: `max_connections`, or fewer where its descriptors do not allow as
//! many. Some descriptors are kept for everything else that is opened while the worker serves (files of the
//! application, clients of the admin listener, queues of other slots), so that a worker at its limit can
//! still be watched and can still write. It must not know what a connection is.

use crate::sys::limits;
use crate::worker::handle::Worker;

/// This number of descriptors is kept for everything else, where there are enough.
const RESERVE: u64 = 64;
/// Where there are fewer, this fraction (one in this number) of those that are left after the boot.
const RESERVED_PART: u64 = 4;
/// Refused connections kept half-open so that the 503 arrives; beyond this number they are closed at once.
const LINGERING: u64 = 128;
/// Where descriptors are short, this fraction (one in this number) of those that are kept in reserve.
const LINGERING_PART: u64 = 4;

/// The number of connections that a worker can have at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) struct Capacity {
    /// Connections that are served.
    pub(in crate::worker) connections: usize,
    /// Connections that were refused and are kept half-open for a moment.
    pub(in crate::worker) lingering: usize,
}

impl Capacity {
    /// To be called when everything is open that the application opens at its boot. One worker of the cluster
    /// warns.
    pub(in crate::worker) fn of(worker: &Worker) -> Capacity {
        let wanted = worker.settings().http.max_connections;
        // Without /proc the number of open files is unknown; then a lack of them is met when it happens.
        let Ok(files) = limits::open_files() else {
            return Capacity::within(wanted, u64::MAX);
        };
        let capacity = Capacity::within(wanted, files.limit.saturating_sub(files.open));
        if capacity.connections < wanted && worker.identity().life.slot.0 == 0 {
            warn(wanted, files, capacity.connections);
        }
        capacity
    }

    /// `free`: descriptors that can still be opened.
    fn within(wanted: usize, free: u64) -> Capacity {
        let reserve = RESERVE.min(free / RESERVED_PART);
        let connections = wanted.min(to_usize(free - reserve)).max(1);
        let unused = free - (connections as u64).min(free);
        let lingering = if unused >= RESERVE + LINGERING {
            LINGERING
        } else {
            reserve / LINGERING_PART
        };
        Capacity {
            connections,
            lingering: to_usize(lingering),
        }
    }
}

fn warn(wanted: usize, files: limits::OpenFiles, connections: usize) {
    let limits::OpenFiles { limit, open } = files;
    tracing::warn!(
        "http.max_connections is {wanted}, but a process may open {limit} files here: each worker has \
         {open} open already, keeps some for its own use and serves {connections} connections, and answers the \
         rest 503; raise the limit (ulimit -n, LimitNOFILE=) or lower max_connections"
    );
}

fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(free: u64) -> (usize, usize) {
        let capacity = Capacity::within(10_000, free);
        (capacity.connections, capacity.lingering)
    }

    #[test]
    fn what_is_configured_holds_where_descriptors_abound() {
        for free in [20_000, u64::MAX] {
            assert_eq!(within(free), (10_000, 128));
        }
    }

    #[test]
    fn some_descriptors_are_kept_for_everything_else_where_they_are_short() {
        assert_eq!(within(1_000), (936, 16));
        assert_eq!(within(90), (68, 5));
        assert_eq!(within(8), (6, 0));
        assert_eq!(within(0), (1, 0), "a worker without any connection would be none");
        for free in 4..2_000 {
            let (connections, lingering) = within(free);
            let left = free - (connections + lingering) as u64;
            assert!(left >= free.min(RESERVE * RESERVED_PART) / 6, "{free}: {left}");
        }
    }
}
