//! How a program is asked to end: on Node's channel or by a signal, and when.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::drain::Drain;
use super::facts::UsedMode;
use super::supervise::Supervision;
use crate::base::millis::ms;
use crate::worker::DrainLimits;

/// Many programs drop what they have accepted a moment before their signal. So the master sends new
/// connections to other slots, and the signal waits for so long.
const SETTLING: Duration = Duration::from_millis(100);
/// While connections wait in the queue, the signal waits on in such steps, at most up to that time.
const SETTLING_STEP: Duration = Duration::from_millis(10);
const LONGEST_SETTLING: Duration = Duration::from_millis(200);

impl Supervision {
    pub(super) fn drain(&mut self, limits: DrainLimits) {
        let signalled = self.drain.is_some_and(|drain| drain.signalled);
        let is_first = self.drain.is_none();
        if is_first {
            self.master.stopping("the program has been asked to end");
            self.adopted.end();
        }
        let begun = self.drain.map_or_else(Instant::now, |drain| drain.begun);
        let settles = is_first && limits.is_patient() && self.facts.mode == UsedMode::Fds && self.is_ready;
        self.drain = Some(Drain {
            limits,
            begun,
            settles_at: settles.then(|| begun + SETTLING.min(limits.end / 4)),
            signalled,
            is_last_call: self.drain.is_some_and(|drain| drain.is_last_call),
            is_over: false,
        });
        if settles {
            return;
        }
        match &mut self.conversation {
            // One that has never spoken there will not hear it there.
            Some(conversation) if !signalled && self.speaks && conversation.is_open() => {
                let idle = limits.silence.saturating_sub(begun.elapsed());
                match is_first {
                    true => conversation.disconnect(idle),
                    false => conversation.hurry(idle),
                }
            }
            _ => self.signal(),
        }
    }

    /// Asks the program to end by its signal, once.
    pub(super) fn signal(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        drain.settles_at = None;
        if !std::mem::replace(&mut drain.signalled, true) {
            self.tree.signal(self.stop_signal());
        }
    }

    /// The signal that asks the program to end.
    pub(super) fn stop_signal(&self) -> Signal {
        let name = self.worker.settings().run.stop_signal.as_str();
        name.parse().unwrap_or(Signal::SIGTERM)
    }

    pub(super) fn deadline(&mut self) {
        let waits = self.facts.listeners.waiting().is_some_and(|waiting| waiting > 0);
        match &mut self.drain {
            Some(drain) if drain.settles_at.is_some() => {
                if waits && drain.begun.elapsed() < LONGEST_SETTLING {
                    drain.settles_at = Some(Instant::now() + SETTLING_STEP);
                } else {
                    self.signal();
                }
            }
            Some(drain) if drain.signalled => {
                tracing::warn!(
                    took_ms = ms(drain.begun.elapsed()),
                    "the drain's time is over: the program is killed"
                );
                drain.is_over = true;
            }
            Some(drain) => {
                drain.is_last_call = true;
                self.signal();
            }
            None => {}
        }
    }
}
