//! Every key of the supervisor's own sections, once. The parser, the flags, the example file, the listing of `check`, the
//! README's table and the refusal of a reload all read this table; nothing else knows a default or a bound.

use super::key::{Key, Kind, Section};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

/// The supervisor's own sections, in the order they are printed in.
pub const SECTIONS: &[Section] = &[CLUSTER, HTTP, LOG, DRILL];

const CLUSTER: Section = Section {
    name: "cluster",
    doc: "The supervisor.",
    keys: &[
        Key::new(
            "workers",
            Kind::Workers,
            "auto",
            "How many worker processes; auto is one per CPU this process may use.",
        ),
        Key::new(
            "bind",
            Kind::Addresses,
            "127.0.0.1:8080",
            "Where to listen: IP:PORT or unix:/PATH.",
        ),
        Key::unset(
            "admin",
            Kind::Address,
            "Where /metrics and /healthz are read; nowhere when not set. At a loopback address only by this machine.",
        )
        .fixed(),
        Key::new(
            "socket_mode",
            Kind::Mode,
            "0600",
            "Who may connect to the unix: addresses, as a file mode; the socket belongs to the master's user and group.",
        )
        .fixed(),
        Key::new(
            "data_dir",
            Kind::Path,
            "./data",
            "The databases and the incarnation counter.",
        )
        .fixed(),
        Key::unset(
            "run_dir",
            Kind::Path,
            "Lock, worker records and control socket; <data_dir>/run when not set.",
        )
        .fixed(),
        Key::unset(
            "pid_file",
            Kind::Path,
            "Holds the master's pid while it runs; none when not set.",
        )
        .fixed(),
        Key::unset(
            "user",
            Kind::Text,
            "Workers run as this user (name or number); as the master's when not set.",
        )
        .fixed(),
        Key::unset(
            "group",
            Kind::Text,
            "Workers run as this group (name or number); the user's own when not set.",
        )
        .fixed(),
        Key::new(
            "heartbeat_interval",
            Kind::duration(10, 60 * SECOND),
            "250ms",
            "How often each worker stamps its beat and the master looks.",
        )
        .fixed(),
        Key::new(
            "heartbeat_timeout",
            Kind::duration(50, HOUR),
            "5s",
            "A worker whose beat is older is killed and replaced.",
        ),
        Key::new(
            "lock_hold_timeout",
            Kind::duration(20, HOUR),
            "400ms",
            "A late worker that holds a store lock, and so blocks its siblings' writes, is killed after this.",
        ),
        Key::new(
            "ready_timeout",
            Kind::duration(100, HOUR),
            "10s",
            "A worker that is not ready this long after its fork is killed.",
        ),
        Key::new(
            "drain_timeout",
            Kind::duration(10, 24 * HOUR),
            "30s",
            "A draining worker that is not gone after this is killed.",
        ),
        Key::new(
            "bake_time",
            Kind::duration(0, HOUR),
            "1s",
            "How long the first worker of a reload must hold out before the others follow.",
        ),
        Key::new(
            "early_death",
            Kind::duration(10, HOUR),
            "1s",
            "A shorter life is an early death, after which the slot waits longer and longer.",
        ),
        Key::new(
            "backoff_first",
            Kind::duration(1, HOUR),
            "100ms",
            "The wait before the restart that follows a first early death; it doubles.",
        ),
        Key::new(
            "backoff_longest",
            Kind::duration(1, HOUR),
            "5s",
            "No wait between two restarts of a slot is longer.",
        ),
        Key::new(
            "restart_limit",
            Kind::number(1, 10_000),
            "10",
            "More deaths of one slot within restart_window, and it retries slowly.",
        ),
        Key::new(
            "restart_window",
            Kind::duration(SECOND, 24 * HOUR),
            "1m",
            "The window of restart_limit.",
        ),
        Key::unset(
            "max_draining",
            Kind::number(1, 4_096),
            "While so many workers drain, a reload waits with replacing more (those that scaling down lets go come on top and are not cut); twice the workers, at least 16, when not set.",
        ),
        Key::unset(
            "max_requests",
            Kind::number(100, 1_000_000_000_000),
            "A worker that has answered so many requests (up to a tenth fewer, by chance) is replaced; never when not set.",
        ),
        Key::unset(
            "max_rss",
            Kind::size(16 << 20, 1 << 40),
            "A worker of more resident memory is replaced; never when not set.",
        ),
        Key::unset(
            "max_age",
            Kind::duration(10 * SECOND, 365 * 24 * HOUR),
            "A worker that has served so long (up to a tenth less, by chance) is replaced; never when not set.",
        ),
    ],
};

const HTTP: Section = Section {
    name: "http",
    doc: "The limits of the workers' edge.",
    keys: &[
        Key::new(
            "max_header_bytes",
            Kind::size(1 << 10, 1 << 20),
            "16KiB",
            "Request line and headers together; more is answered 431.",
        ),
        Key::new(
            "max_body_bytes",
            Kind::size(0, 1 << 30),
            "1MiB",
            "A request's body; more is answered 413.",
        ),
        Key::new(
            "header_read_timeout",
            Kind::duration(10, HOUR),
            "10s",
            "From a request's first byte to the end of its headers.",
        ),
        Key::new(
            "idle_timeout",
            Kind::duration(10, 24 * HOUR),
            "75s",
            "A connection that has been silent so long between requests, or before its first, is closed.",
        ),
        Key::new(
            "request_timeout",
            Kind::duration(10, 24 * HOUR),
            "30s",
            "From the end of the headers to the answer; later is answered 503, or 408 while the body is still arriving.",
        ),
        Key::new(
            "write_timeout",
            Kind::duration(10, 24 * HOUR),
            "1m",
            "A client that has taken nothing of its answer for so long is cut.",
        ),
        Key::new(
            "max_connections",
            Kind::number(1, 1_000_000),
            "10000",
            "Per worker; one more is answered 503 and closed.",
        ),
        Key::new(
            "max_streams",
            Kind::number(1, 10_000),
            "100",
            "HTTP/2 requests at once on one connection; the client is told, and one more is refused.",
        ),
    ],
};

const LOG: Section = Section {
    name: "log",
    doc: "What is printed to stderr.",
    keys: &[
        Key::new(
            "format",
            Kind::Word(&["auto", "text", "json"]),
            "auto",
            "auto is text on a terminal and JSON otherwise.",
        ),
        Key::new(
            "level",
            Kind::Word(&["error", "warn", "info", "debug", "trace"]),
            "info",
            "The least severe lines that are printed.",
        ),
        Key::new(
            "access",
            Kind::Switch,
            "false",
            "Whether every request is printed.",
        ),
    ],
};

const DRILL: Section = Section {
    name: "drill",
    doc: "Faults on purpose.",
    keys: &[Key::new(
        "routes",
        Kind::Switch,
        "false",
        "Serve /drill/{spin,sleep,panic,abort,allocate,echo}; refused unless every address is loopback.",
    )],
};
