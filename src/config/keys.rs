//! Every key of the supervisor's own sections, in one table. The parser, the flags, the example file, the
//! listing of `check`, the table in `docs/reference` and the check of a reload all read it. No other place
//! knows a default or a bound.

use super::key::{Key, Kind, Section};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

/// The supervisor's own sections, in the order in which they are printed.
pub const SECTIONS: &[Section] = &[CLUSTER, HTTP, LOG, RUN, DRILL];

/// The defaults (section, key, value) that are others when the workers run a program: it asks for its
/// addresses itself, and its master has a directory of its own beside that of another cluster.
pub const RUN_DEFAULTS: &[(&str, &str, &str)] =
    &[("cluster", "bind", ""), ("cluster", "data_dir", "./.cluster")];

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
        Key::new(
            "internal",
            Kind::Addresses,
            "",
            "More addresses to listen on, for your own programs: their clients may do what nobody else may, \
             such as changing stock. When neither this nor internal_token_file is set, the loopback and \
             unix: addresses of bind are internal.",
        ),
        Key::unset(
            "internal_token_file",
            Kind::Path,
            "A file with bearer tokens, one a line: a client that sends one may do everything at every \
             address. A worker reads it when it starts, so a reload reads it anew.",
        ),
        Key::unset(
            "admin",
            Kind::Address,
            "Where /metrics and /healthz can be read; nowhere when not set. A loopback address is read by \
             this machine alone.",
        )
        .fixed(),
        Key::new(
            "socket_mode",
            Kind::Mode,
            "0600",
            "Who may connect to the unix: addresses, as a file mode; the sockets belong to the master's \
             user and group.",
        )
        .fixed(),
        Key::new(
            "data_dir",
            Kind::Path,
            "./data",
            "The directory of the databases and the incarnation counter.",
        )
        .fixed(),
        Key::unset(
            "run_dir",
            Kind::Path,
            "The directory of the lock, the worker records and the control socket; <data_dir>/run when not \
             set.",
        )
        .fixed(),
        Key::unset(
            "pid_file",
            Kind::Path,
            "A file that holds the master's pid while it runs; none when not set.",
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
            "pass_environment",
            Kind::Variables,
            "",
            "Variables of the master's environment that workers of another user get, beside PATH, the \
             locale and a few more; a * at the end of a name stands for any rest.",
        ),
        Key::new(
            "heartbeat_interval",
            Kind::duration(10, 60 * SECOND),
            "250ms",
            "How often each worker stamps its beat, and the master looks at it.",
        )
        .fixed(),
        Key::new(
            "heartbeat_timeout",
            Kind::duration(50, HOUR),
            "5s",
            "A worker whose last beat is older than this is killed and replaced.",
        ),
        Key::new(
            "lock_hold_timeout",
            Kind::duration(20, HOUR),
            "400ms",
            "A worker whose beat is late while it holds a database lock, and so blocks all other writers, \
             is killed after this.",
        ),
        Key::new(
            "ready_timeout",
            Kind::duration(100, HOUR),
            "10s",
            "A worker that is not ready this long after its fork is killed.",
        ),
        Key::new(
            "stop_delay",
            Kind::duration(0, HOUR),
            "0s",
            "How long a cluster that is asked to stop serves on, while its readiness says no so that load \
             balancers go elsewhere. A second stop skips the rest.",
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
            "How long the first worker of a reload is watched before the others follow.",
        ),
        Key::new(
            "early_death",
            Kind::duration(10, HOUR),
            "1s",
            "A worker that ends sooner than this died early; the slot then waits longer before each restart.",
        ),
        Key::new(
            "backoff_first",
            Kind::duration(1, HOUR),
            "100ms",
            "The wait before the restart after a first early death; it doubles with each further one.",
        ),
        Key::new(
            "backoff_longest",
            Kind::duration(1, HOUR),
            "5s",
            "The longest wait between two restarts of a slot.",
        ),
        Key::new(
            "restart_limit",
            Kind::number(1, 10_000),
            "10",
            "After more deaths than this within restart_window, the slot is restarted slowly.",
        ),
        Key::new(
            "restart_window",
            Kind::duration(SECOND, 24 * HOUR),
            "1m",
            "The time over which the deaths of restart_limit are counted.",
        ),
        Key::unset(
            "max_draining",
            Kind::number(1, 4_096),
            "A reload waits while this many workers drain. Workers that scaling down lets go are not \
             counted. Twice the number of workers, and at least 16, when not set.",
        ),
        Key::unset(
            "max_requests",
            Kind::number(100, 1_000_000_000_000),
            "A worker is replaced after this many requests (up to a tenth fewer, at random); never when \
             not set.",
        ),
        Key::unset(
            "max_rss",
            Kind::size(16 << 20, 1 << 40),
            "A worker with more resident memory than this is replaced; never when not set.",
        ),
        Key::unset(
            "max_age",
            Kind::duration(10 * SECOND, 365 * 24 * HOUR),
            "A worker is replaced after it has served this long (up to a tenth less, at random); never \
             when not set.",
        ),
    ],
};

const HTTP: Section = Section {
    name: "http",
    doc: "The limits of requests and connections.",
    keys: &[
        Key::new(
            "max_header_bytes",
            Kind::size(1 << 10, 1 << 20),
            "16KiB",
            "The longest request line and headers together; a longer one is answered 431.",
        ),
        Key::new(
            "max_body_bytes",
            Kind::size(0, 1 << 30),
            "1MiB",
            "The longest body of a request; a longer one is answered 413.",
        ),
        Key::new(
            "header_read_timeout",
            Kind::duration(10, HOUR),
            "10s",
            "The longest time from a request's first byte to the end of its headers.",
        ),
        Key::new(
            "idle_timeout",
            Kind::duration(10, 24 * HOUR),
            "75s",
            "A connection is closed after this long without a byte between requests, or before the first.",
        ),
        Key::new(
            "request_timeout",
            Kind::duration(10, 24 * HOUR),
            "30s",
            "The longest time from the end of the headers to the answer; then the answer is 503, or 408 \
             while the body is still arriving.",
        ),
        Key::new(
            "write_timeout",
            Kind::duration(10, 24 * HOUR),
            "1m",
            "A connection is cut when the client has taken nothing of its answer for this long.",
        ),
        Key::new(
            "max_connections",
            Kind::number(1, 1_000_000),
            "10000",
            "The most connections of one worker, fewer where the limit of open files is lower; one more is \
             answered 503 and closed.",
        ),
        Key::new(
            "max_streams",
            Kind::number(1, 10_000),
            "100",
            "The most HTTP/2 requests at once on one connection; the client is told, and one more is \
             refused.",
        ),
        Key::unset(
            "max_connection_age",
            Kind::duration(10, 24 * HOUR),
            "A connection of this age, plus or minus a tenth by chance, is told to go: by Connection: close \
             with its next answer, by GOAWAY over HTTP/2. Never when not set.",
        ),
        Key::new(
            "max_connection_age_grace",
            Kind::duration(0, 24 * HOUR),
            "1m",
            "The longest time that requests of an HTTP/2 connection go on after it was told to go for its \
             age; then it is cut.",
        ),
        Key::new(
            "grpc_reflection",
            Kind::Word(&["auto", "on", "off"]),
            "auto",
            "Whether clients of gRPC services may ask for their descriptions; auto is on while every address \
             is loopback.",
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
            "The least severe level that is printed.",
        ),
        Key::new(
            "access",
            Kind::Switch,
            "false",
            "Whether every request is printed.",
        ),
    ],
};

const RUN: Section = Section {
    name: "run",
    doc: "A program of yours that the workers run, whatever it is written in.",
    keys: &[
        Key::unset(
            "command",
            Kind::Command,
            "The program and its arguments, without a shell; no program is run when not set.",
        ),
        Key::unset(
            "directory",
            Kind::Path,
            "The directory in which the program starts; the one the master was started in when not set.",
        ),
        Key::unset(
            "env",
            Kind::Assignments,
            "Variables for the program, beside those it inherits; a flag adds to those of the file.",
        ),
        Key::new(
            "listen",
            Kind::Word(&["auto", "fds", "node", "reuseport"]),
            "auto",
            "How the program gets its connections. fds: the listeners of bind, as systemd passes them. node: \
             what a Node program listens on, as under Node's cluster module. reuseport: it binds by itself. \
             auto: what fits the program.",
        ),
        Key::new(
            "ready",
            Kind::ReadyRule,
            "auto",
            "When the program is ready. notify: it says READY=1. tcp: it takes connections. http: it answers \
             a GET of that path. log: it prints a line that matches. delay: so long after its start. auto: \
             what it shows first.",
        ),
        Key::unset(
            "probe",
            Kind::HttpPath,
            "A program that does not answer a GET of this path for heartbeat_timeout, three times in a row, \
             is replaced; not asked when not set.",
        ),
        Key::new(
            "stuck_timeout",
            Kind::duration(100, HOUR),
            "30s",
            "A program that takes nothing from a queue of connections that waits for it is killed and \
             replaced after this.",
        ),
        Key::new(
            "stop_signal",
            Kind::StopSignal,
            "SIGTERM",
            "What asks the program to finish and end.",
        ),
        Key::new(
            "preload",
            Kind::Switch,
            "true",
            "Load a small script into Node programs, with which keep-alive clients do not notice a reload \
             and a blocked event loop is noticed.",
        ),
        Key::unset(
            "log_file",
            Kind::Path,
            "The file for the program's output, opened again at SIGUSR1; the log of the master when not set.",
        ),
        Key::unset(
            "watch",
            Kind::Paths,
            "Files and directories, seen from directory, whose change reloads; for development.",
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
