//! The table of all published metrics: name, kind, labels and meaning of each. The text, the README and the
//! tests read it.

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A number that only grows, for as long as the master lives.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// Counters by size, and the sum of all sizes.
    Histogram,
}

impl MetricKind {
    /// The kind as Prometheus writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// One metric with all its labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// The name, by the conventions of Prometheus: it contains the unit.
    pub name: &'static str,
    /// The kind.
    pub kind: MetricKind,
    /// The names of the labels that tell its numbers apart.
    pub labels: &'static [&'static str],
    /// What the metric means.
    pub help: &'static str,
}

macro_rules! families {
    ($($id:ident = $kind:ident $name:literal $labels:tt $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: Family = Family {
                name: $name,
                kind: MetricKind::$kind,
                labels: &$labels,
                help: $help,
            };
        )*

        /// Every metric of the supervisor, in the order in which they are printed.
        pub const FAMILIES: &[Family] = &[$($id),*];
    };
}

families! {
    REQUESTS = Counter "cluster_http_requests_total" ["route", "method", "status"]
        "Requests answered, by the template of the route that matched, method and class of status.";
    DURATION = Histogram "cluster_http_request_duration_seconds" ["route", "method"]
        "From the end of a request's head to the head of its answer.";
    STARTED = Counter "cluster_http_requests_started_total" []
        "Requests whose head was read, answered or not.";
    IN_FLIGHT = Gauge "cluster_http_requests_in_flight" []
        "Requests being answered now.";
    PANICS = Counter "cluster_http_handler_panics_total" []
        "Handlers that panicked; each was answered 500.";
    REQUEST_TIMEOUTS = Counter "cluster_http_request_timeouts_total" []
        "Requests that ran into request_timeout.";
    HEADER_TIMEOUTS = Counter "cluster_http_header_timeouts_total" []
        "Connections whose request head took longer than header_read_timeout.";
    CONNECTIONS = Gauge "cluster_connections_open" []
        "Connections open now, with those of workers that drain.";
    UPGRADED = Gauge "cluster_connections_upgraded" []
        "Of the open connections, those that have switched to another protocol, such as WebSockets.";
    STREAMS = Gauge "cluster_http_streams_open" []
        "Answers of unknown length that are being sent now, such as event streams.";
    ACCEPTED = Counter "cluster_connections_accepted_total" []
        "Connections accepted.";
    REFUSED = Counter "cluster_connections_refused_total" []
        "Connections accepted and answered 503 because there was no room.";
    CUT = Counter "cluster_connections_cut_total" []
        "Connections cut at the end of a drain.";
    LOG_LINES_DROPPED = Counter "cluster_log_lines_dropped_total" []
        "Log lines that were dropped because nobody took them.";
    WORKERS_CPU = Counter "cluster_workers_cpu_seconds_total" []
        "CPU time of all workers there ever were.";
    EXITS = Counter "cluster_worker_exits_total" ["cause"]
        "Lives of workers that ended, by cause.";
    SLOTS = Gauge "cluster_slots" ["state"]
        "Slots, by what their worker does or why they have none.";
    DRAINING = Gauge "cluster_workers_draining" []
        "Workers in no slot any more that finish what they have.";
    QUEUE = Gauge "cluster_accept_queue_length" ["slot"]
        "Connections that wait to be accepted.";
    WEIGHT = Gauge "cluster_steering_weight" ["slot"]
        "Share of new connections: 1 is an equal one, 0 gets none.";
    BEAT_AGE = Gauge "cluster_worker_beat_age_seconds" ["slot"]
        "Age of the worker's oldest beat.";
    WORKER_CONNECTIONS = Gauge "cluster_worker_connections_open" ["slot"]
        "Connections the slot's worker has open.";
    WORKER_MEMORY = Gauge "cluster_worker_resident_memory_bytes" ["slot"]
        "Memory of the slot's worker in RAM.";
    WORKER_GENERATION = Gauge "cluster_worker_generation" ["slot"]
        "Generation the slot's worker was started from.";
    GENERATION = Gauge "cluster_generation" []
        "Generation the cluster is committed to.";
    INCARNATION = Gauge "cluster_incarnation" []
        "How often a master was started over this data directory.";
    UPTIME = Gauge "cluster_uptime_seconds" []
        "Time since the master began.";
    MASTER_MEMORY = Gauge "process_resident_memory_bytes" []
        "Memory of the master in RAM.";
    MASTER_CPU = Counter "process_cpu_seconds_total" []
        "CPU time of the master.";
    MASTER_FDS = Gauge "process_open_fds" []
        "Descriptors the master has open.";
}

/// Every metric as a row of a Markdown table, for the README.
#[must_use]
pub fn markdown() -> String {
    let row = |family: &Family| {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let kind = family.kind.as_str();
        format!(
            "| `{}` | {kind} | {} | {} |\n",
            family.name,
            labels.join(", "),
            family.help
        )
    };
    let rows: String = FAMILIES.iter().map(row).collect();
    format!("| metric | kind | labels | meaning |\n|---|---|---|---|\n{rows}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions_and_none_is_there_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for family in FAMILIES {
            assert!(seen.insert(family.name), "{} twice", family.name);
            assert_eq!(
                family.kind == MetricKind::Counter,
                family.name.ends_with("_total"),
                "{}",
                family.name
            );
            assert!(
                ["cluster_", "process_"]
                    .iter()
                    .any(|prefix| family.name.starts_with(prefix))
            );
            assert!(family.help.ends_with('.') && !family.name.contains("_ms"));
        }
    }
}
