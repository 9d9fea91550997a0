//! Starts and stops the stub: this very binary as a process of its own, on all listeners, while no worker can
//! serve. What the stub does is not known here.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::wait::WaitStatus;
use tracing::debug;

use super::spawn::Spawner;
use crate::base::ids::{Epoch, Incarnation, Life, Slot};
use crate::master::host::Host;
use crate::master::perform::Performed;
use crate::master::poller::PollSource;
use crate::master::start::orphans::WorkerRecord;
use crate::pool::{Event, ProcessExit};
use crate::sys::process::{Child, Spawn, spawn};
use crate::sys::{pidfd, procfs};

/// The running binary, also when its file was replaced or deleted.
const OWN_BINARY: &str = "/proc/self/exe";

/// A stub that runs.
#[derive(Debug)]
pub(in crate::master) struct StubProcess {
    pid: i32,
    /// When the process was started, as `/proc` has it.
    started: u64,
    pidfd: OwnedFd,
    /// Nothing is ever written. The stub ends when this end is closed, whatever closes it.
    _lifeline: OwnedFd,
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
    /// For the next master, which waits until the stub of this one listens no more. No worker has epoch 0.
    pub(in crate::master) fn record(&self, incarnation: Incarnation) -> WorkerRecord {
        WorkerRecord {
            life: Life {
                incarnation,
                slot: Slot(0),
                epoch: Epoch(0),
            },
            pid: self.pid,
            started: self.started,
        }
    }
}

fn start(spawner: &Spawner, listeners: &[BorrowedFd<'_>], retry_after: f64) -> io::Result<StubProcess> {
    let binary = File::open(OWN_BINARY)?;
    let (stubs_end, lifeline) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
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
        binary: binary.as_fd(),
        args: &spawner.program.arguments,
        env: &env,
        stdio: [spawner.null.as_fd(); 3],
        fds: &fds,
        keep: &[],
        bound: true,
        credentials: spawner.credentials.as_ref(),
    })?;
    let started = procfs::stat(pid).map_or(0, |stat| stat.started);
    Ok(StubProcess {
        pid,
        started,
        pidfd,
        _lifeline: lifeline,
    })
}
