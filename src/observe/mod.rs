//! Log lines that never block: a full pipe, a stopped terminal or a slow collector costs lines (counted and said), never time.
//! No thread; whoever has a loop calls [`flush`] in it. It must not know what the lines say.

mod backlog;
mod line;
mod outlet;
mod subscriber;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tracing_subscriber::layer::SubscriberExt;

use self::backlog::Backlog;
use self::line::Style;
use self::outlet::Outlet;
use self::subscriber::{Lines, Log, filter};
use crate::config::LogFormat;
use crate::config::settings::LogLevel;

static LOG: OnceLock<Log> = OnceLock::new();

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The system's words.
    #[error("the log's descriptor cannot be used: {0}")]
    Descriptor(#[from] io::Error),
    /// This process has one.
    #[error("this process logs already")]
    Twice,
}

/// Sends every `tracing` event of this process from `level` up to `fd`, one line each, as `format` says (`auto`: text on a
/// terminal, JSON otherwise). Each line carries `who`, as in `master` or `worker 7/0/3`. The descriptor is duplicated; its
/// O_NONBLOCK flag, which others may share, is not touched.
///
/// # Errors
/// When the descriptor cannot be used, or when this process logs already.
pub fn init(
    fd: BorrowedFd,
    format: LogFormat,
    level: LogLevel,
    who: impl Into<String>,
) -> Result<(), InitError> {
    let outlet = Outlet::open(fd)?;
    let style = match format {
        LogFormat::Text => Style::Text,
        LogFormat::Json => Style::Json,
        LogFormat::Auto if outlet.is_terminal() => Style::Text,
        LogFormat::Auto => Style::Json,
    };
    LOG.set(Log::new(outlet, Backlog::default(), style, who.into()))
        .map_err(|_| InitError::Twice)?;
    let log = LOG.get().expect("it was set one line above");
    let lines = tracing_subscriber::registry()
        .with(filter(level))
        .with(Lines::new(log));
    tracing::subscriber::set_global_default(lines).map_err(|_| InitError::Twice)
}

/// Hands out what waits, as far as the descriptor takes it now. Costs next to nothing when nothing waits.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.flush();
    }
}

/// Before the process ends: hands out what waits, and gives the descriptor that much time to take it.
pub fn finish(within: Duration) {
    if let Some(log) = LOG.get() {
        log.finish(within);
    }
}

/// How long somebody who reads slowly may hold up the end of a program that has only its last word to say.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Says a program's last word on stderr. When that is gone or nobody reads it there is nobody to tell, and the exit code says it.
pub fn complain(text: &str) {
    tell(std::io::stderr().as_fd(), text.as_bytes(), LAST_WORD);
}

/// Writes a text to a descriptor that nobody may be reading, without a log: at most that long is waited for room.
fn tell(fd: BorrowedFd, text: &[u8], within: Duration) {
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
            // There is nobody left to tell.
            Err(_) => return,
        }
    }
}

/// How many lines this process has dropped so far.
#[must_use]
pub fn dropped() -> u64 {
    LOG.get().map_or(0, Log::dropped)
}

/// From now on a panic is one log line instead of a blocking message on stderr.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("(no text)");
        tracing::error!(place, panic = message, "a panic");
    }));
}
