//! What can happen to a pool: past tense, gathered by the shell from pidfds, sockets, signals, scoreboards and clocks.

use serde::{Deserialize, Serialize};

use super::effect::Estate;
use crate::base::ids::Life;
use crate::base::time::Monotonic;

/// One thing that happened. An event about a life that no slot and no drain list knows is dropped.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Nothing but time passed: `next_deadline` was reached. The shell sends it last, after one `Observed` for every live worker
    /// (draining ones included), so that whatever is decided by the time is decided on fresh sights.
    Ticked,
    /// The shell did as [`super::Effect::Spawn`] told it.
    Spawned {
        /// Who.
        life: Life,
        /// For people; never an identity.
        pid: i32,
    },
    /// It could not (no memory, no pids, no fds, the binary is no program).
    SpawnFailed {
        /// Who.
        life: Life,
        /// The system's words.
        reason: String,
    },
    /// The worker said something on its notify socket.
    Notified {
        /// Who.
        life: Life,
        /// What.
        notice: Notice,
    },
    /// The shell looked at the worker's scoreboard, as it does for every live worker each time `next_deadline` is reached.
    Observed {
        /// Whose.
        life: Life,
        /// The oldest of its beats (each thread that vouches for work stamps its own); the shell has already clamped what
        /// lies in the future to the instant it looked.
        beat: Monotonic,
        /// Since when it has held a store lock.
        lock_held_since: Option<Monotonic>,
        /// Open connections, for steering.
        connections: u32,
    },
    /// The evidence asked for by [`super::Effect::Examine`].
    Examined {
        /// Whose.
        life: Life,
        /// What it was doing.
        activity: Activity,
    },
    /// Its pidfd became readable and it was reaped.
    Died {
        /// Who.
        life: Life,
        /// How.
        exit: Exit,
    },
    /// An heir has taken over everything an estate left behind.
    Inherited {
        /// Who did.
        heir: Life,
        /// Whose work.
        estate: Estate,
    },
    /// SIGTERM, SIGINT or SIGQUIT.
    StopAsked(StopMode),
    /// SIGHUP.
    ReloadAsked,
    /// SIGTTIN: +1, SIGTTOU: -1.
    ScaleAsked {
        /// By how many slots.
        by: i32,
    },
    /// The configuration was read and the binary opened, as [`super::Effect::Load`] told: the new generation's policy, or why
    /// there is none.
    Loaded(Result<super::effect::Policy, String>),
}

/// What a worker says on its notify socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// `READY=1`
    Ready,
    /// `STOPPING=1`
    Stopping,
    /// `STATUS=…`, bounded and printable.
    Status(String),
}

/// What a late worker was found doing, from two readings of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activity {
    /// Runnable, and its CPU time has not moved since the last reading: it got no CPU. Not its fault.
    Starved,
    /// Runnable and its CPU time moves: it spins.
    Spinning,
    /// Blocked (S, D) with a late beat: it waits for something that is not its event loop.
    Blocked,
    /// Stopped by a signal or a debugger (T, t).
    Stopped,
    /// Gone or unreadable.
    Unknown,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// How much haste a stop has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopMode {
    /// Drain first (SIGTERM, SIGINT); a second one turns it into `AtOnce`.
    Graceful,
    /// Kill (SIGQUIT).
    AtOnce,
}
