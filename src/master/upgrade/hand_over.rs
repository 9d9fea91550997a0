//! The old master's last act: every signal waits, the state is written down once more, and the new binary is executed in this
//! process. If it cannot be, everything is as it was.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::arrival::{STATE_FD, environment};
use super::capture::capture;
use super::rehearsal::Upgrade;
use crate::master::host::World;
use crate::observe;
use crate::pool::{Event, Pool};
use crate::sys::exec::{Exec, become_program};
use crate::sys::signals::Blocked;

/// How long a log that is not read may hold up the exec; what waits then is lost.
const LAST_LINES: Duration = Duration::from_millis(20);

impl World {
    /// Hands everything over to the binary that has rehearsed. What comes back is what happened instead.
    pub(in crate::master) fn hand_over(&mut self, pool: &Pool) -> Vec<Event> {
        let Upgrade::Rehearsed(binary) = std::mem::take(&mut self.upgrade) else {
            let reason = "no binary has rehearsed".to_owned();
            return vec![Event::Upgraded(Err(reason))];
        };
        let mut waiting = Vec::new();
        let error = match self.try_to_hand_over(pool, &binary, &mut waiting) {
            Ok(error) | Err(error) => error,
        };
        let mut events = vec![Event::Upgraded(Err(error.to_string()))];
        self.heed(waiting, &mut events);
        events
    }

    fn try_to_hand_over(
        &mut self,
        pool: &Pool,
        binary: &File,
        waiting: &mut Vec<Signal>,
    ) -> io::Result<io::Error> {
        let blocked = Blocked::all()?;
        waiting.extend(self.signals.take());
        let captured = capture(pool, self, waiting)?;
        let env = environment(&[(STATE_FD, captured.state.as_raw_fd())])?;
        observe::finish(LAST_LINES);
        let error = captured.luggage.with_all(|luggage| {
            let keep: Vec<BorrowedFd<'_>> = luggage.iter().copied().chain([captured.state.as_fd()]).collect();
            become_program(&Exec {
                binary: binary.as_fd(),
                args: &self.nursery.program.arguments,
                env: &env,
                keep: &keep,
            })
        })?;
        drop(blocked);
        Ok(error)
    }
}
