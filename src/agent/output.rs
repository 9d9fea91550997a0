//! What the program prints: both of its streams, line by line, to the log or to a file, and into the ring
//! that the master reads.
//!
//! A slow reader of the log never stalls the program: the pipes are read whatever becomes of the lines, and
//! what the log or the file does not take is dropped and counted there. A program that floods is read at the
//! pace of this process's one thread, a bounded number of bytes a turn, so that its beats go on.

mod file;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::fcntl::OFlag;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use self::file::OutputFile;
use super::lines::LineCutter;
use crate::base::ids::Slot;
use crate::observe::{self, ProgramLine};
use crate::output_ring::{OutputRing, OutputStream};

/// The number of bytes that are read of one stream before the runtime's other tasks have their turn.
const BYTES_A_TURN: usize = 8 * 1024;
/// A line that has no end after this time is shown as it is: it may be a prompt, or the last words of a
/// program that hangs.
const LINE_TIMEOUT: Duration = Duration::from_millis(500);
/// How many of the last lines are looked at for the log line about the program's end.
const LAST_LINES: usize = 60;

/// Where what a program prints goes.
#[derive(Debug)]
pub(crate) struct OutputContext {
    /// The slot that this worker fills.
    pub(crate) slot: Slot,
    /// The last lines of this life, for the master.
    pub(crate) ring: OutputRing,
    /// The file that takes the lines in place of the log.
    pub(crate) file: Option<OwnedFd>,
}

/// What becomes descriptors 1 and 2 of the program.
#[derive(Debug)]
pub(crate) struct ProgramPipes {
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// What one program prints. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ProgramOutput {
    inner: Arc<OutputInner>,
}

struct OutputInner {
    slot: Slot,
    pid: AtomicI32,
    ring: OutputRing,
    state: Mutex<OutputState>,
    /// The number of pipes that are not at their end.
    open: watch::Sender<u8>,
}

#[derive(Default)]
struct OutputState {
    stdout: LineCutter,
    stderr: LineCutter,
    file: Option<OutputFile>,
    waiters: Vec<LineWaiter>,
}

/// Somebody who waits for a line.
struct LineWaiter {
    is_wanted: Box<dyn Fn(&str) -> bool + Send>,
    found: oneshot::Sender<()>,
}

impl ProgramOutput {
    /// Makes the pipes, and begins to read them. To be called inside the runtime. The pipes end when the
    /// program and all that it has started have closed them, so the caller closes its own copies after the
    /// start.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub(crate) fn open(context: OutputContext) -> io::Result<(ProgramOutput, ProgramPipes)> {
        let OutputContext { slot, ring, file } = context;
        let (stdout, programs_stdout) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        let (stderr, programs_stderr) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        let output = ProgramOutput {
            inner: Arc::new(OutputInner {
                slot,
                pid: AtomicI32::new(0),
                ring,
                state: Mutex::new(OutputState {
                    file: file.map(OutputFile::new),
                    ..OutputState::default()
                }),
                open: watch::Sender::new(2),
            }),
        };
        let stdout = Receiver::from_owned_fd(stdout)?;
        let stderr = Receiver::from_owned_fd(stderr)?;
        tokio::spawn(output.clone().read(stdout, OutputStream::Stdout));
        tokio::spawn(output.clone().read(stderr, OutputStream::Stderr));
        let pipes = ProgramPipes {
            stdout: programs_stdout,
            stderr: programs_stderr,
        };
        Ok((output, pipes))
    }

    /// The program runs with this process id: lines are shown with it from now on.
    pub(crate) fn started(&self, pid: i32) {
        self.inner.pid.store(pid, Relaxed);
        self.inner.ring.started(pid);
    }

    /// Writes to this file from now on: the master has opened it anew.
    pub(crate) fn replace_file(&self, file: OwnedFd) {
        self.state().file = Some(OutputFile::new(file));
    }

    /// Waits for a line of either stream, from the program's start on, that is wanted. It may wait for ever.
    pub(crate) async fn matched(&self, is_wanted: impl Fn(&str) -> bool + Send + 'static) {
        let (found, wait) = oneshot::channel();
        {
            let mut state = self.state();
            let before = self.inner.ring.lines_from(0).lines;
            if before.iter().any(|line| is_wanted(&line.text)) {
                return;
            }
            let is_wanted = Box::new(is_wanted);
            state.waiters.push(LineWaiter { is_wanted, found });
        }
        if wait.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until both pipes are at their end, at most so long: what the program has started and left behind
    /// may hold them.
    pub(crate) async fn finished(&self, grace: Duration) {
        let mut open = self.inner.open.subscribe();
        let ended = timeout(grace, open.wait_for(|open| *open == 0)).await;
        if ended.is_err() {
            for stream in [OutputStream::Stdout, OutputStream::Stderr] {
                self.finish_line(stream);
            }
        }
    }

    /// The last lines, printable, newest last.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        let lines = self.inner.ring.lines_from(0).lines;
        let first = lines.len().saturating_sub(LAST_LINES);
        lines[first..]
            .iter()
            .map(|line| observe::printable(&line.text))
            .collect()
    }

    async fn read(self, pipe: Receiver, stream: OutputStream) {
        let mut buffer = vec![0; BYTES_A_TURN];
        let mut line_deadline: Option<Instant> = None;
        loop {
            let readable = match line_deadline {
                Some(deadline) => timeout_at(deadline, pipe.readable()).await,
                None => Ok(pipe.readable().await),
            };
            let Ok(readable) = readable else {
                self.finish_line(stream);
                line_deadline = None;
                continue;
            };
            match readable.and_then(|()| pipe.try_read(&mut buffer)) {
                Ok(0) => break,
                Ok(length) => {
                    let taken = self.take(stream, &buffer[..length]);
                    // What is left of a block that ended a line has only begun.
                    let before = line_deadline.filter(|_| !taken.ended_lines);
                    line_deadline = taken.is_within_line.then(|| before.unwrap_or_else(deadline));
                    tokio::task::yield_now().await;
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "failed to read what the program prints");
                    break;
                }
            }
        }
        self.finish_line(stream);
        self.inner.open.send_modify(|open| *open -= 1);
    }

    /// Takes bytes of a stream.
    fn take(&self, stream: OutputStream, bytes: &[u8]) -> TakenBytes {
        let mut ended_lines = false;
        self.with_lines(stream, |cutter, with| {
            cutter.push(bytes, |line| {
                ended_lines = true;
                with(line);
            });
            TakenBytes {
                ended_lines,
                is_within_line: cutter.is_within_line(),
            }
        })
    }

    fn finish_line(&self, stream: OutputStream) {
        self.with_lines(stream, |cutter, with| cutter.finish(with));
    }

    /// Hands the lines that `cut` makes on to where they go.
    fn with_lines<T>(
        &self,
        stream: OutputStream,
        cut: impl FnOnce(&mut LineCutter, &mut dyn FnMut(&[u8])) -> T,
    ) -> T {
        let mut state = self.state();
        let OutputState {
            stdout,
            stderr,
            file,
            waiters,
        } = &mut *state;
        let cutter = match stream {
            OutputStream::Stdout => stdout,
            OutputStream::Stderr => stderr,
        };
        let (time_ms, has_file) = (observe::now_ms(), file.is_some());
        let mut for_file = Vec::new();
        let result = cut(cutter, &mut |line: &[u8]| {
            self.inner.ring.push(stream, time_ms, line);
            if has_file {
                for_file.extend_from_slice(line);
                for_file.push(b'\n');
            }
            if !has_file || !waiters.is_empty() {
                let text = &String::from_utf8_lossy(line);
                if !has_file {
                    self.log(stream, text);
                }
                tell(waiters, text);
            }
        });
        if let Some(file) = file.as_mut().filter(|_| !for_file.is_empty()) {
            file.append(&for_file);
        }
        result
    }

    fn log(&self, stream: OutputStream, text: &str) {
        observe::program_printed(&ProgramLine {
            slot: self.inner.slot,
            pid: self.inner.pid.load(Relaxed),
            stream: stream.as_str(),
            text,
        });
    }

    fn state(&self) -> MutexGuard<'_, OutputState> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the bytes of one read did to the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TakenBytes {
    /// Whether a line has ended in them.
    ended_lines: bool,
    /// Whether they end within a line.
    is_within_line: bool,
}

/// Tells those who wait for this line, and forgets those who have given up.
fn tell(waiters: &mut Vec<LineWaiter>, text: &str) {
    let is_done = |waiter: &mut LineWaiter| waiter.found.is_closed() || (waiter.is_wanted)(text);
    for waiter in waiters.extract_if(.., is_done) {
        // Whoever has given up is not told.
        let _told = waiter.found.send(());
    }
}

fn deadline() -> Instant {
    Instant::now() + LINE_TIMEOUT
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
