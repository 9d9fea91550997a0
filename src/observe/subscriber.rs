//! From tracing's events to lines, and from lines to the descriptor.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::backlog::Backlog;
use super::line::{LineStyle, LogContent};
use super::outlet::Outlet;
use crate::config::settings::LogLevel;

/// The log of this process.
pub(super) struct Log {
    style: LineStyle,
    who: String,
    writer: Mutex<LogWriter>,
}

struct LogWriter {
    outlet: Outlet,
    backlog: Backlog,
}

impl Log {
    pub(super) fn new(outlet: Outlet, backlog: Backlog, style: LineStyle, who: String) -> Log {
        Log {
            style,
            who,
            writer: Mutex::new(LogWriter { outlet, backlog }),
        }
    }

    /// Logs a line.
    pub(super) fn say(&self, level: Level, content: &LogContent) {
        let line = self.line(level, content);
        let mut writer = self.writer();
        self.flush_into(&mut writer);
        writer.backlog.push(line.as_bytes());
        writer.write_backlog();
    }

    /// Writes the lines that wait, as far as the descriptor takes them now.
    pub(super) fn flush(&self) {
        let mut writer = self.writer();
        if !writer.backlog.is_settled() {
            self.flush_into(&mut writer);
        }
    }

    /// Writes the lines that wait, and waits for the descriptor at most this long.
    pub(super) fn finish(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let mut writer = self.writer();
        self.flush_into(&mut writer);
        while !writer.backlog.is_settled() && Instant::now() < deadline {
            writer
                .outlet
                .wait(deadline.saturating_duration_since(Instant::now()));
            self.flush_into(&mut writer);
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.writer().backlog.dropped()
    }

    fn flush_into(&self, writer: &mut LogWriter) {
        writer.write_backlog();
        if let Some(lines) = writer.backlog.take_unreported() {
            let content = LogContent::message(format!(
                "{lines} log lines were dropped: the log did not take them in time"
            ));
            writer.backlog.push(self.line(Level::WARN, &content).as_bytes());
            writer.write_backlog();
        }
    }

    fn line(&self, level: Level, content: &LogContent) -> String {
        content.line(self.style, OffsetDateTime::now_utc(), level, &self.who)
    }

    fn writer(&self) -> MutexGuard<'_, LogWriter> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogWriter {
    fn write_backlog(&mut self) {
        while !self.backlog.next().is_empty() {
            match self.outlet.write(self.backlog.next()) {
                Ok(0) => return,
                Ok(bytes) => self.backlog.written(bytes),
                Err(_) => return self.backlog.drop_all(),
            }
        }
    }
}

/// The lines of a reason that is logged without a log: one for each of its own lines.
pub(super) fn error_lines(style: LineStyle, who: &str, reason: &str) -> String {
    let now = OffsetDateTime::now_utc();
    let lines = reason.lines().filter(|line| !line.trim().is_empty());
    let logged = |line: &str| LogContent::message(line.to_owned()).line(style, now, Level::ERROR, who);
    lines.map(logged).collect()
}

/// The layer that makes a line of each event.
pub(super) struct LineLayer {
    log: &'static Log,
}

impl LineLayer {
    pub(super) fn new(log: &'static Log) -> LineLayer {
        LineLayer { log }
    }
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut content = LogContent::default();
        event.record(&mut content);
        self.log.say(*event.metadata().level(), &content);
    }
}

/// Events below `level` are not even put together.
pub(super) fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsFd;

    use nix::unistd::pipe;

    use super::*;

    #[test]
    fn a_full_pipe_costs_lines_not_time_and_says_so_when_there_is_room() {
        let (reader, writer) = pipe().expect("a pipe");
        let outlet = Outlet::open(writer.as_fd()).expect("an outlet");
        let log = Log::new(
            outlet,
            Backlog::default(),
            LineStyle::Text,
            "worker 7/0/3".to_owned(),
        );
        for number in 0..20_000 {
            log.say(Level::INFO, &LogContent::message(format!("line {number}")));
        }
        let dropped = log.dropped();
        assert!(dropped > 0);
        let all = std::thread::spawn(move || {
            let mut all = String::new();
            File::from(reader).read_to_string(&mut all).map(|_| all)
        });
        log.finish(Duration::from_secs(10));
        drop((log, writer));
        let all = all.join().expect("read").expect("text");
        let told = format!("{dropped} log lines were dropped");
        assert!(
            all.lines().last().expect("lines").contains(&told),
            "{:?}",
            all.lines().last()
        );
        let kept = all.lines().filter(|line| line.contains(": line ")).count() as u64;
        assert_eq!(kept + dropped, 20_000);
        assert!(
            all.lines().all(|line| line.contains("worker 7/0/3: ")),
            "a line was torn"
        );
    }
}
