//! From tracing's events to lines, and from lines to the descriptor.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::backlog::Backlog;
use super::line::{LineHead, LineStyle, LogContent, timestamp};
use super::outlet::Outlet;
use super::program::{LEVEL, ProgramLine, TextReader};
use super::relayed::RelayedLine;
use super::request;
use crate::base::ids::Life;
use crate::config::settings::LogLevel;

/// The time between two tries to report what was dropped because writes fail.
const RETRY: Duration = Duration::from_secs(1);

/// The log of this process.
pub(super) struct Log {
    style: LineStyle,
    /// Who reads lines of text.
    reader: TextReader,
    who: String,
    writer: Mutex<LogWriter>,
}

struct LogWriter {
    outlet: Outlet,
    backlog: Backlog,
    /// The error of the last write that failed, and when it failed.
    last_error: Option<(io::Error, Instant)>,
}

impl Log {
    pub(super) fn new(outlet: Outlet, backlog: Backlog, style: LineStyle, who: String) -> Log {
        let no_color = std::env::var_os("NO_COLOR");
        Log {
            style,
            reader: TextReader::of(outlet.is_terminal(), no_color.as_deref()),
            who,
            writer: Mutex::new(LogWriter {
                outlet,
                backlog,
                last_error: None,
            }),
        }
    }

    /// Logs a line.
    pub(super) fn say(&self, level: Level, content: &LogContent) {
        self.write(&self.line(level, content));
    }

    /// Logs a line that a program printed.
    pub(super) fn program_printed(&self, line: &ProgramLine<'_>) {
        let time = &timestamp(OffsetDateTime::now_utc());
        let (level, who) = (LEVEL, self.who.as_str());
        self.write(&line.line(self.style, self.reader, &LineHead { time, level, who }));
    }

    /// Logs a line of a worker. Returns false, and logs nothing, when this is no log line in JSON.
    pub(super) fn relay(&self, life: Life, line: &[u8]) -> bool {
        let Some(RelayedLine { time, level, content }) = RelayedLine::parse(line) else {
            return false;
        };
        let (time, who) = (time.as_str(), &*format!("worker {life}"));
        let head = LineHead { time, level, who };
        // In JSON a line of its program is a log line like any other.
        self.write(&match (self.style, ProgramLine::read(&content, life.slot)) {
            (LineStyle::Text, Some(line)) => line.line(self.style, self.reader, &head),
            (style, _) => content.line(style, &head),
        });
        true
    }

    fn write(&self, line: &str) {
        let mut writer = self.writer();
        self.flush_into(&mut writer, false);
        writer.backlog.push(line.as_bytes());
        // If this is the first write that succeeds after a failed one, what was dropped is reported now.
        self.flush_into(&mut writer, false);
    }

    /// Writes the lines that wait, as far as the descriptor takes them now.
    pub(super) fn flush(&self) {
        let mut writer = self.writer();
        if !writer.backlog.is_settled() {
            self.flush_into(&mut writer, false);
        } else if writer.backlog.wants_retry() && writer.is_retry_due() {
            self.flush_into(&mut writer, true);
        }
    }

    /// Writes the lines that wait, and waits for the descriptor at most this long.
    pub(super) fn finish(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let mut writer = self.writer();
        self.flush_into(&mut writer, true);
        while !writer.backlog.is_settled() && Instant::now() < deadline {
            writer
                .outlet
                .wait(deadline.saturating_duration_since(Instant::now()));
            self.flush_into(&mut writer, false);
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.writer().backlog.dropped()
    }

    fn flush_into(&self, writer: &mut LogWriter, retry: bool) {
        writer.write_backlog();
        if let Some(lines) = writer.backlog.take_unreported(retry) {
            let reason = match &writer.last_error {
                Some((error, _)) => format!("writing to the log failed ({error})"),
                None => "the log did not take them in time".to_owned(),
            };
            let content = LogContent::message(format!("{lines} log lines were dropped: {reason}"));
            let line = self.line(Level::WARN, &content);
            writer.backlog.push_report(line.as_bytes(), lines);
            writer.write_backlog();
            if !writer.backlog.wants_retry() {
                writer.last_error = None;
            }
        }
    }

    fn line(&self, level: Level, content: &LogContent) -> String {
        line_now(self.style, level, &self.who, content)
    }

    fn writer(&self) -> MutexGuard<'_, LogWriter> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time of the wall clock as a line has it, in milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let nanos = OffsetDateTime::now_utc().unix_timestamp_nanos();
    u64::try_from(nanos / 1_000_000).unwrap_or_default()
}

fn line_now(style: LineStyle, level: Level, who: &str, content: &LogContent) -> String {
    let time = &timestamp(OffsetDateTime::now_utc());
    content.line(style, &LineHead { time, level, who })
}

impl LogWriter {
    fn write_backlog(&mut self) {
        while !self.backlog.next().is_empty() {
            match self.outlet.write(self.backlog.next()) {
                Ok(0) => return,
                Ok(bytes) => self.backlog.written(bytes),
                Err(error) => {
                    self.last_error = Some((error, Instant::now()));
                    return self.backlog.drop_all();
                }
            }
        }
    }

    /// Whether it is time to find out whether writes still fail.
    fn is_retry_due(&self) -> bool {
        self.last_error
            .as_ref()
            .is_none_or(|(_, at)| at.elapsed() >= RETRY)
    }
}

/// The lines of a reason that is logged without a log: one for each of its own lines.
pub(super) fn error_lines(style: LineStyle, who: &str, reason: &str) -> String {
    let lines = reason.lines().filter(|line| !line.trim().is_empty());
    let logged = |line: &str| line_now(style, Level::ERROR, who, &LogContent::message(line.to_owned()));
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
        if let Some(id) = request::current_id() {
            content.name_request(id);
        }
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

    /// A log into a named pipe, whose reader may come and go.
    struct Fifo {
        path: std::path::PathBuf,
        _directory: tempfile::TempDir,
    }

    impl Fifo {
        fn new() -> Fifo {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("log");
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
            Fifo {
                path,
                _directory: directory,
            }
        }

        fn reader(&self) -> File {
            let mut options = File::options();
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, nix::libc::O_NONBLOCK);
            options.read(true).open(&self.path).expect("opened")
        }

        fn log(&self) -> Log {
            let writer = File::options().write(true).open(&self.path).expect("opened");
            let outlet = Outlet::open(writer.as_fd()).expect("an outlet");
            Log::new(outlet, Backlog::default(), LineStyle::Text, "master".to_owned())
        }
    }

    /// What can be read now.
    fn read(mut reader: &File) -> String {
        let mut buffer = [0; 4096];
        let length = reader.read(&mut buffer).expect("something was written");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    const TOLD: &str = "2 log lines were dropped: writing to the log failed (Broken pipe";

    #[test]
    fn what_a_failed_write_dropped_is_told_with_the_next_line_that_arrives() {
        let fifo = Fifo::new();
        let reader = fifo.reader();
        let log = fifo.log();
        let say = |text: &str| log.say(Level::INFO, &LogContent::message(text.to_owned()));
        say("one");
        assert!(read(&reader).ends_with("one\n"));
        drop(reader);
        say("two");
        say("three");
        let reader = fifo.reader();
        say("four");
        let said = read(&reader);
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines.len() == 2 && lines[0].ends_with("four"), "{said}");
        assert!(lines[1].contains(TOLD), "{said}");
        say("five");
        assert!(read(&reader).ends_with("five\n"), "told once");
        assert_eq!(log.dropped(), 2);
    }

    #[test]
    fn what_a_failed_write_dropped_is_told_though_nothing_more_is_logged() {
        let fifo = Fifo::new();
        let reader = fifo.reader();
        let log = fifo.log();
        drop(reader);
        log.say(Level::INFO, &LogContent::message("one".to_owned()));
        log.say(Level::INFO, &LogContent::message("two".to_owned()));
        let reader = fifo.reader();
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut ready = [nix::poll::PollFd::new(
            reader.as_fd(),
            nix::poll::PollFlags::POLLIN,
        )];
        while nix::poll::poll(&mut ready, 10_u8).expect("polled") == 0 {
            assert!(Instant::now() < deadline, "it was never told");
            log.flush();
        }
        assert!(read(&reader).contains(TOLD));
        assert_eq!(log.dropped(), 2);
    }
}
