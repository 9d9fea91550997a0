//! The text below the flags in `--help`: signals, exit codes, files, environment. The signals and the
//! environment are tables, so that a test can compare the documentation with them.

use std::fmt::Write;

use crate::base::exit::Exit;

/// What a signal to the master does.
pub const SIGNALS: &[(&str, &str)] = &[
    (
        "SIGTERM",
        "stop gracefully: after stop_delay, in which readiness says no and requests are served, workers \
         finish what they accepted, within drain_timeout; a second one skips the rest of the delay, and one \
         in the drain stops at once; what follows within 250 ms (as `timeout` sends it) does not count",
    ),
    ("SIGINT", "as SIGTERM"),
    ("SIGQUIT", "stop at once: workers are killed"),
    (
        "SIGHUP",
        "reload: read the configuration again and replace the workers one by one; if it fails, nothing \
         changes",
    ),
    ("SIGTTIN", "one worker more"),
    ("SIGTTOU", "one worker less, never less than one"),
    (
        "SIGUSR1",
        "open run.log_file again, after a rotation; ignored when there is none",
    ),
    (
        "SIGUSR2",
        "upgrade: the binary on disk, if it can take over, becomes the master in the same process, with the \
         same workers; if not, nothing changes",
    ),
    ("SIGWINCH", "ignored"),
    (
        "SIGALRM",
        "ignored, and so are SIGVTALRM, SIGPROF, SIGIO and SIGPWR",
    ),
];

/// What the environment means to the master, and what it gives its workers.
pub const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "NOTIFY_SOCKET",
        "systemd's: told READY, RELOADING and STOPPING; each worker gets one of its own instead",
    ),
    (
        "WATCHDOG_USEC",
        "systemd's, with WATCHDOG_PID: the master's loop says WATCHDOG=1 twice in that time",
    ),
    (
        "FDSTORE",
        "systemd's: how many listeners it keeps over a restart of the service (FileDescriptorStoreMax)",
    ),
    (
        "JOURNAL_STREAM",
        "systemd's: if stderr is that stream and log.format is auto, lines become entries of the journal",
    ),
    (
        "LISTEN_FDS",
        "given to workers, with LISTEN_PID and LISTEN_FDNAMES: the listeners, from descriptor 3 on",
    ),
    (
        "CLUSTER_WORKER",
        "1 in a worker, which never starts a cluster of its own",
    ),
    (
        "CLUSTER_INCARNATION",
        "given to workers: how often a master was started over this data directory",
    ),
    (
        "CLUSTER_MASTER",
        "given to workers: a name that this master and no other one has; an upgrade keeps it",
    ),
    ("CLUSTER_SLOT", "given to workers: the slot they fill, from 0"),
    (
        "CLUSTER_EPOCH",
        "given to workers: how often that slot was filled",
    ),
    ("CLUSTER_GENERATION", "given to workers: +1 per reload"),
    ("CLUSTER_SCOREBOARD_FD", "given to workers: the page they beat in"),
    (
        "CLUSTER_LIFELINE_FD",
        "given to workers: the socket to the master; its end is the master's",
    ),
    (
        "CLUSTER_SETTINGS_FD",
        "given to workers: their generation's settings, as JSON",
    ),
    (
        "CLUSTER_DATA_DIR",
        "given to workers: the data directory, as an absolute path",
    ),
    (
        "CLUSTER_LOG_FD",
        "given to workers: where log lines go, the master's stderr; not with cluster.user",
    ),
    (
        "CLUSTER_LOG_PIPE_FD",
        "given to workers of cluster.user instead: a pipe for log lines in JSON, which the master copies",
    ),
    (
        "CLUSTER_OUTPUT_FD",
        "given to workers that run a program: the memory for the last lines that it prints",
    ),
    (
        "CLUSTER_OUTPUT_FILE_FD",
        "given to workers that run a program: run.log_file, if that is set",
    ),
    (
        "CLUSTER_STUB",
        "given to the stub, which refuses while no worker can serve: the value of its Retry-After",
    ),
    (
        "CLUSTER_UPGRADE_FD",
        "given to the next master by an upgrade: the state that it goes on from",
    ),
];

/// The files a cluster has.
pub const FILES: &[(&str, &str)] = &[
    (
        "--config FILE",
        "the configuration (TOML); every key with its default: `check --keys`",
    ),
    (
        "<data_dir>",
        "./data, and ./.cluster where a program is run: the databases and the incarnation counter; one master \
         at a time",
    ),
    (
        "<run_dir>",
        "<data_dir>/run: lock, worker records and control.sock, which the other commands use; only the \
         master's user may enter",
    ),
    ("<pid_file>", "the master's pid while it runs, if asked for"),
];

/// Longest line below the flags, in columns.
const COLUMNS: usize = 96;

/// The whole text.
#[must_use]
pub fn after() -> String {
    sections().map(|(title, rows)| part(title, &rows)).join("\n")
}

/// The title of each section, and its rows: a name, and what it means.
pub(super) fn sections() -> [(&'static str, Vec<(String, &'static str)>); 4] {
    let owned = |rows: &[(&str, &'static str)]| -> Vec<(String, &'static str)> {
        rows.iter().map(|&(name, doc)| (name.to_owned(), doc)).collect()
    };
    let codes = Exit::ALL.iter().map(|exit| (exit.code().to_string(), exit.doc()));
    [
        ("Signals", owned(SIGNALS)),
        ("Exit codes", codes.collect()),
        ("Files", owned(FILES)),
        ("Environment", owned(ENVIRONMENT)),
    ]
}

fn part(title: &str, rows: &[(String, &str)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = format!("{title}:\n");
    for (name, doc) in rows {
        let doc = hanging(doc, width + 4);
        writeln!(text, "  {name:width$}  {doc}").expect("writing to a String never fails");
    }
    text
}

/// Wraps the text at [`COLUMNS`]; each line but the first is indented by `indent` spaces.
fn hanging(doc: &str, indent: usize) -> String {
    let mut text = String::new();
    let mut column = indent;
    for word in doc.split(' ') {
        if column > indent && column + word.len() > COLUMNS {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            text.push(' ');
        }
        text.push_str(word);
        column += word.len() + 1;
    }
    text
}
