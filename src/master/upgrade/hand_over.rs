//! The last step of the old master: signals are blocked, the state is written down once more, and the new
//! binary is executed in this process. If exec fails, the old master goes on unchanged.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::capture::capture;
use super::rehearsal::RehearsalStage;
use super::role::{STATE_FD, environment};
use crate::master::host::Host;
use crate::observe;
use crate::pool::{Event, Pool};
use crate::sys::exec::{Exec, become_program};
use crate::sys::signals::Blocked;

/// How long to wait for a log that is not read before the exec; lines that still wait then are lost.
const LOG_FLUSH_TIMEOUT: Duration = Duration::from_millis(20);

impl Host {
    /// Hands everything over to the binary that has rehearsed. Returns only if that failed, with the events
    /// to handle.
    pub(in crate::master) fn hand_over(&mut self, pool: &Pool) -> Vec<Event> {
        let RehearsalStage::Rehearsed(binary) = std::mem::take(&mut self.upgrade) else {
            let reason = "no binary has rehearsed".to_owned();
            return vec![Event::Upgraded(Err(reason))];
        };
        let mut pending = Vec::new();
        let error = match self.try_to_hand_over(pool, &binary, &mut pending) {
            Ok(error) | Err(error) => error,
        };
        let mut events = vec![Event::Upgraded(Err(error.to_string()))];
        self.handle_signals(pending, &mut events);
        events
    }

    fn try_to_hand_over(
        &mut self,
        pool: &Pool,
        binary: &File,
        pending: &mut Vec<Signal>,
    ) -> io::Result<io::Error> {
        let blocked = Blocked::all()?;
        pending.extend(self.signals.take());
        let captured = capture(pool, self, pending)?;
        let env = environment(&[(STATE_FD, captured.state.as_raw_fd())])?;
        observe::finish(LOG_FLUSH_TIMEOUT);
        let error = captured.fds.with_all(|fds| {
            let keep: Vec<BorrowedFd<'_>> = fds.iter().copied().chain([captured.state.as_fd()]).collect();
            become_program(&Exec {
                binary: binary.as_fd(),
                args: &self.spawner.program.arguments,
                env: &env,
                keep: &keep,
            })
        })?;
        drop(blocked);
        Ok(error)
    }
}
