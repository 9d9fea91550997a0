//! What a pool wants done: imperative, performed by the shell in the order given.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::announcement::Announcement;
use super::event::Ticket;
use super::facts::{OrphanedWork, Outcome};
use super::verdict::Verdict;
use crate::base::ids::{Generation, Life, Slot};

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// fork + exec a worker of that generation, serving that life's slot. Answered by `Spawned` or
    /// `SpawnFailed`.
    Spawn {
        /// The life of the new worker.
        life: Life,
        /// The generation of the new worker.
        generation: Generation,
    },
    /// Send a signal through the worker's pidfd. Nothing to do when the worker is gone or could not be
    /// spawned.
    Signal {
        /// The life of the worker.
        life: Life,
        /// The signal to send.
        signal: Signal,
    },
    /// Read `/proc` for a late worker. Answered by `Examined`.
    Examine {
        /// The life of the worker.
        life: Life,
    },
    /// Ask a worker for its own readiness, without waiting. Answered by `Probed`.
    Probe {
        /// The life of the worker.
        life: Life,
    },
    /// Hand a slot's listeners to a worker of another slot, which accepts what waits there and what comes,
    /// until `Disown`. Said again to another worker when the first one does not serve any more.
    Adopt {
        /// The worker that is to accept.
        by: Life,
        /// The slot whose queue it is.
        slot: Slot,
    },
    /// The slot has a worker of its own again, or another adopter: the worker is to let go of its listeners.
    /// Nothing to do for a worker that is gone.
    Disown {
        /// The worker that accepted.
        by: Life,
        /// The slot whose queue it is.
        slot: Slot,
    },
    /// Tell a client how its request ended. Exactly once for each ticket but [`Ticket::NOBODY`].
    Answer {
        /// The request of the client.
        ticket: Ticket,
        /// How the request ended.
        verdict: Verdict,
    },
    /// Route new connections to these slots alone, by these weights. Empty: no slot is routed (the kernel's
    /// hash decides).
    Steer(Vec<(Slot, u16)>),
    /// Make sure that each address's group has this many listeners (they are never closed while the group
    /// serves).
    Listen {
        /// The number of slots that have a listener.
        slots: u16,
    },
    /// Read the configuration and open the binary as this generation. Answered by `Loaded`.
    Load(Generation),
    /// Ask the binary on disk whether it could go on from here as the master, without waiting. Answered by
    /// `Rehearsed`. The last effect of its batch, in which no worker is spawned.
    Rehearse,
    /// Hand this pool and everything else over to the binary that has rehearsed. The new master says
    /// `Upgraded` first of all; so does the old one if the binary cannot be executed. The last effect of its
    /// batch, none of which leads to an event.
    HandOver,
    /// No life of that generation is left or will be: let go of its binary and configuration.
    Unload(Generation),
    /// The cluster is that generation from now on: addresses that it does not serve are let go of.
    Serve(Generation),
    /// Tell a ready worker to finish what the dead left behind. Answered, some time, by `TakenOver` (for a
    /// worker that has no lifeline, the shell answers at once). May be said again, to another worker, before
    /// the first one answered.
    TakeOver {
        /// The worker that is to take over.
        by: Life,
        /// The work that is to be taken over.
        work: OrphanedWork,
    },
    /// No worker can serve: start a stub on all listeners, which answers in the workers' place, unless one
    /// runs. Answered by `StubEnded` when it ends unasked or cannot be started.
    StartStub,
    /// The stub is not needed any more. Nothing to do when none runs.
    StopStub,
    /// No worker will be started any more: let go of every listener, so that new connections are refused as
    /// soon as the workers have emptied their queues, and no client waits in vain.
    Close,
    /// Tell every worker that the cluster will stop: it says that it is not ready, and serves on.
    Forewarn,
    /// Tell every worker, also those that drain already, that the whole cluster stops: no worker serves on,
    /// so silent connections need not be kept.
    Hasten,
    /// Say one thing that people care about.
    Announce(Announcement),
    /// Tell systemd about the state of the cluster.
    Tell(SystemdState),
    /// Everything is over: leave the loop.
    Exit(Outcome),
}

/// The signals a pool sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// SIGTERM: the worker is to drain.
    Terminate,
    /// SIGKILL: the worker is to be gone.
    Kill,
}

/// What systemd wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SystemdState {
    /// The cluster is ready, or a reload or an upgrade has ended (`READY=1`).
    Ready,
    /// A reload or an upgrade has begun (`RELOADING=1` with `MONOTONIC_USEC`).
    Reloading,
    /// The cluster will stop, and serves on for so long (`STOPPING=1`).
    StopDelayed {
        /// The time until the drain begins.
        by: Duration,
    },
    /// The cluster has begun to stop (`STOPPING=1`).
    Stopping,
}

/// Adds an announcement to the effects.
pub(in crate::pool) fn announce(announcement: Announcement, effects: &mut Vec<Effect>) {
    effects.push(Effect::Announce(announcement));
}
