//! Log lines that never block: a full pipe, a stopped terminal or a slow collector costs lines (counted and
//! reported), never time. There is no thread; the loops of master and worker call `flush`. It must not know
//! what the lines say.

mod backlog;
pub mod fields;
mod line;
mod outlet;
mod program;
mod relayed;
mod request;
mod subscriber;
mod systemd_journal;

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tracing_subscriber::layer::SubscriberExt;

use self::backlog::Backlog;
use self::line::LineStyle;
use self::outlet::Outlet;
pub(crate) use self::program::{ProgramLine, TextReader, printable};
pub use self::request::{RequestContext, X_REQUEST_ID};
use self::subscriber::{LineLayer, Log, filter};
use self::systemd_journal::SystemdJournal;
use crate::base::ids::Life;
use crate::config::LogFormat;
use crate::config::settings::LogLevel;

/// Who the lines of a master are by.
pub(crate) const MASTER: &str = "master";

static LOG: OnceLock<Log> = OnceLock::new();

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogInitError {
    /// The descriptor cannot be used.
    #[error("the log's descriptor cannot be used: {0}")]
    Descriptor(#[from] io::Error),
    /// This process has a log already.
    #[error("this process logs already")]
    Twice,
}

/// Sends every `tracing` event of this process from `level` up to `fd`, one line each, as `format` says
/// (`auto`: text on a terminal, fields in systemd's journal, JSON otherwise). Each line carries `who`, as in
/// `master` or `worker 7/0/3`. The descriptor is duplicated; its O_NONBLOCK flag, which others may share, is
/// not touched. If the program has set a subscriber of its own before, the events go there and nowhere else.
///
/// # Errors
/// When the descriptor cannot be used, or when this process logs already.
pub(crate) fn init(
    fd: BorrowedFd,
    format: LogFormat,
    level: LogLevel,
    who: impl Into<String>,
) -> Result<(), LogInitError> {
    let journal = match format {
        LogFormat::Auto => SystemdJournal::behind(fd),
        LogFormat::Text | LogFormat::Json => None,
    };
    let (outlet, style) = match journal {
        Some(journal) => (Outlet::journal(journal), LineStyle::Journal),
        None => {
            let outlet = Outlet::open(fd)?;
            let style = LineStyle::of(format, outlet.is_terminal());
            (outlet, style)
        }
    };
    LOG.set(Log::new(outlet, Backlog::default(), style, who.into()))
        .map_err(|_| LogInitError::Twice)?;
    let log = LOG.get().expect("it was set one line above");
    let lines = tracing_subscriber::registry()
        .with(filter(level))
        .with(LineLayer::new(log));
    // A program that has set a subscriber of its own before gets all lines there.
    let _is_ours = tracing::subscriber::set_global_default(lines);
    Ok(())
}

/// Writes the lines that wait, as far as the descriptor takes them now. Costs next to nothing when no line
/// waits.
pub(crate) fn flush() {
    if let Some(log) = LOG.get() {
        log.flush();
    }
}

/// Writes the lines that wait, before the process ends. The descriptor has this time to take them.
pub(crate) fn finish(within: Duration) {
    if let Some(log) = LOG.get() {
        log.finish(within);
    }
}

/// The longest time that a slow reader of stderr can hold up the end of a program.
const STDERR_TIMEOUT: Duration = Duration::from_secs(1);

/// Prints an error on stderr before the program ends. If stderr is closed or nobody reads it, the text is
/// lost and the exit code remains.
pub(crate) fn print_error(text: &str) {
    write_within(std::io::stderr().as_fd(), text.as_bytes(), STDERR_TIMEOUT);
}

/// Logs on stderr why the master cannot start or go on, before there is a log: one line for each line of the
/// reason, as `format` says.
pub(crate) fn print_fatal(format: LogFormat, reason: &str) {
    let style = LineStyle::of(format, std::io::stderr().is_terminal());
    print_error(&subscriber::error_lines(style, MASTER, reason));
}

/// Writes a text to a descriptor that perhaps nobody reads, without a log. Waits for room at most this long.
fn write_within(fd: BorrowedFd, text: &[u8], within: Duration) {
    let Ok(mut outlet) = Outlet::open(fd) else { return };
    let deadline = Instant::now() + within;
    let mut left = text;
    while !left.is_empty() {
        match outlet.write(left) {
            Ok(0) => {
                let patience = deadline.saturating_duration_since(Instant::now());
                if patience.is_zero() {
                    return;
                }
                outlet.wait(patience);
            }
            Ok(written) => left = &left[written..],
            // The descriptor is broken, so the rest is lost.
            Err(_) => return,
        }
    }
}

/// Logs a line that a worker has logged in JSON, as a line of this life, whatever the line says about that.
/// Returns false, and logs nothing, when it is no such line.
#[must_use]
pub(crate) fn relay(life: Life, line: &[u8]) -> bool {
    LOG.get().is_none_or(|log| log.relay(life, line))
}

/// Logs a line that a program printed, whatever the level of the log is: the level chooses among the
/// supervisor's own lines.
pub(crate) fn program_printed(line: &ProgramLine<'_>) {
    if let Some(log) = LOG.get() {
        log.program_printed(line);
    }
}

/// The time that a line which is printed now has, in milliseconds since 1970. It is for people; what waits,
/// waits by the monotonic clock.
pub(crate) fn now_ms() -> u64 {
    subscriber::now_ms()
}

/// The time as a log line has it, from milliseconds since 1970.
pub(crate) fn date_of(ms: u64) -> String {
    line::date_of(ms)
}

/// Reads a line that a worker sent, and says whether it is a log line. Written anew it is one printable line.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz_relayed_line(bytes: &[u8]) -> bool {
    relayed::fuzz(bytes)
}

/// The number of lines that this process has dropped so far.
#[must_use]
pub(crate) fn dropped() -> u64 {
    LOG.get().map_or(0, Log::dropped)
}

/// From now on a panic is one log line instead of a blocking message on stderr.
pub(crate) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("(no text)");
        if LOG.get().is_none() {
            print_fatal(LogFormat::Auto, &format!("a panic at {place}: {message}"));
        }
        tracing::error!(place, panic = message, "a panic");
    }));
}
