//! Starts and stops the stub: this very binary as a process of its own, on all listeners, while no worker can
//! serve. What the stub does is not known here.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use tracing::debug;

use super::spawn::Spawner;
use crate::base::ids::{Epoch, Incarnation, Life, Slot};
use crate::base::time::{Monotonic, span};
use crate::master::host::Host;
use crate::master::perform::Performed;
use crate::master::poller::PollSource;
use crate::master::start::orphans::WorkerRecord;
use crate::pool::{Event, ProcessExit};
use crate::sys::process::{Binary, Child, ChildSignals, Spawn, spawn};
use crate::sys::{clock, pidfd, procfs};

/// The running binary, also when its file was replaced or deleted.
const OWN_BINARY: &str = "/proc/self/exe";

/// The time between two looks at the stub. It has a time of its own, because no worker is sampled during an
/// outage.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A stub that has said nothing for this long hangs. It beats twice a second.
const STUB_TIMEOUT: Duration = Duration::from_secs(5);

/// A stub that runs.
#[derive(Debug)]
pub(in crate::master) struct StubProcess {
    pid: i32,
    /// When the process was started, as `/proc` has it.
    started: u64,
    pidfd: OwnedFd,
    /// The stub writes its beats, and ends when this end is closed, whatever closes it.
    lifeline: UnixStream,
    /// When a beat was last found.
    beat_at: Monotonic,
    /// When to look next.
    look_at: Monotonic,
}

impl Host {
    /// Starts the stub, unless it runs.
    pub(in crate::master) fn start_stub(&mut self) -> Performed {
        if self.stub.is_some() {
            return Performed::Done;
        }
        match self.try_to_start_stub() {
            Ok(stub) => {
                debug!(pid = stub.pid, "stub started");
                self.stub = Some(stub);
                self.records_outdated = true;
                Performed::Done
            }
            Err(error) => Performed::Happened(Event::StubEnded {
                reason: format!("could not be started ({error})"),
            }),
        }
    }

    fn try_to_start_stub(&self) -> io::Result<StubProcess> {
        let longest = self
            .newest()
            .map(|newest| newest.settings.cluster.backoff_longest);
        let retry_after = longest.unwrap_or_default().as_secs_f64().ceil().max(1.0);
        let stub = start(&self.spawner, &self.listeners.all(), retry_after)?;
        self.poller.add(&stub.pidfd, PollSource::Stub)?;
        Ok(stub)
    }

    /// Lets the stub go. It answers what it has accepted, and is reaped as a child that is not known.
    pub(in crate::master) fn stop_stub(&mut self) {
        self.records_outdated |= self.stub.take().is_some();
    }

    /// When the stub is to be looked at.
    pub(in crate::master) fn stub_deadline(&self) -> Option<Monotonic> {
        self.stub.as_ref().map(|stub| stub.look_at)
    }

    /// Looks at the stub and at the socket files that its clients need, when that is due. A stub that hangs
    /// is killed, and reaped as a child that is not known.
    pub(in crate::master) fn watch_stub(&mut self, now: Monotonic) -> Option<Event> {
        let stub = self.stub.as_mut().filter(|stub| stub.look_at <= now)?;
        stub.look_at = now + LOOK_INTERVAL;
        if stub.has_beaten() {
            stub.beat_at = now;
        }
        let silent = now.since(stub.beat_at);
        if silent < STUB_TIMEOUT {
            return self.restore_sockets();
        }
        let killed = match pidfd::signal(stub.pidfd.as_fd(), Signal::SIGKILL) {
            Ok(()) => "was killed".to_owned(),
            Err(error) => format!("could not be killed: {error}"),
        };
        self.stop_stub();
        let reason = format!("hung, no beat for {}, and {killed}", span(silent));
        Some(Event::StubEnded { reason })
    }

    /// Puts another stub in the place of the one that runs, if one does: a stub gets its listeners at its
    /// start.
    pub(in crate::master) fn replace_stub(&mut self) -> Option<Event> {
        self.stub.as_ref()?;
        match self.try_to_start_stub() {
            Ok(stub) => {
                self.stub = Some(stub);
                self.records_outdated = true;
                None
            }
            Err(error) => {
                self.stop_stub();
                let reason = format!("could not be started anew for a listener ({error})");
                Some(Event::StubEnded { reason })
            }
        }
    }

    /// Reaps the stub if it has ended unasked.
    pub(in crate::master) fn reap_stub(&mut self) -> Option<Event> {
        let pid = self.stub.as_ref()?.pid;
        let exit = match pidfd::reap(pid) {
            Ok(None) => return None,
            Ok(Some(reaped)) => match reaped.status {
                WaitStatus::Exited(_, code) => ProcessExit::Code(code).to_string(),
                WaitStatus::Signaled(_, signal, _) => ProcessExit::Signal(signal as i32).to_string(),
                _still_there => return None,
            },
            Err(error) => format!("is gone ({error})"),
        };
        self.stop_stub();
        Some(Event::StubEnded { reason: exit })
    }

    /// Whether this process is the stub.
    pub(in crate::master) fn is_stub(&self, pid: i32) -> bool {
        self.stub.as_ref().is_some_and(|stub| stub.pid == pid)
    }
}

impl StubProcess {
    /// Whether it has said something since this was last asked.
    fn has_beaten(&mut self) -> bool {
        let mut buffer = [0; 256];
        let mut beaten = false;
        // The end of the lifeline is no beat; the exit follows.
        while matches!(self.lifeline.read(&mut buffer), Ok(1..)) {
            beaten = true;
        }
        beaten
    }

    /// For the next master, which waits until the stub of this one listens no more. No worker has epoch 0.
    pub(in crate::master) fn record(&self, incarnation: Incarnation) -> WorkerRecord {
        WorkerRecord {
            life: Life::new(incarnation, Slot(0), Epoch(0)),
            pid: self.pid,
            started: self.started,
        }
    }
}

fn start(spawner: &Spawner, listeners: &[BorrowedFd<'_>], retry_after: f64) -> io::Result<StubProcess> {
    let binary = File::open(OWN_BINARY)?;
    let (stubs_end, lifeline) = UnixStream::pair()?;
    lifeline.set_nonblocking(true)?;
    let variables = [
        format!("CLUSTER_STUB={retry_after}"),
        format!("LISTEN_FDS={}", listeners.len()),
    ];
    let env: Vec<CString> = variables
        .into_iter()
        .map(|text| CString::new(text).map_err(io::Error::other))
        .collect::<io::Result<_>>()?;
    let fds: Vec<BorrowedFd<'_>> = listeners.iter().copied().chain([stubs_end.as_fd()]).collect();
    let Child { pid, pidfd } = spawn(&Spawn {
        binary: Binary::Open(binary.as_fd()),
        args: &spawner.program.arguments,
        env: &env,
        listen_pid: true,
        directory: None,
        signals: ChildSignals::Worker,
        stdio: [spawner.null.as_fd(); 3],
        fds: &fds,
        keep: &[],
        bound: true,
        group: None,
        credentials: spawner.credentials.as_ref(),
    })?;
    let started = procfs::stat(pid).map_or(0, |stat| stat.started);
    let now = clock::now();
    Ok(StubProcess {
        pid,
        started,
        pidfd,
        lifeline,
        beat_at: now,
        look_at: now + LOOK_INTERVAL,
    })
}
