//! What a pool wants done: imperative, performed by the shell in the order given.

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
        /// Who it will be.
        life: Life,
        /// Of what.
        generation: Generation,
    },
    /// Send a signal through the life's pidfd. Nothing to do when that life is gone or could not be spawned.
    Signal {
        /// To whom.
        life: Life,
        /// Which.
        signal: Signal,
    },
    /// Read `/proc` for a late worker. Answered by `Examined`.
    Examine {
        /// Whom.
        life: Life,
    },
    /// Ask a worker whether it is ready, as its own readiness has it, without waiting. Answered by `Probed`.
    Probe {
        /// Whom.
        life: Life,
    },
    /// Hand a slot's listeners to a worker of another slot, which accepts what waits there and whatever comes
    /// until `Disown`. Said again to another worker when the first one does not serve any more.
    Adopt {
        /// Who.
        by: Life,
        /// Whose queue.
        slot: Slot,
    },
    /// The slot has a worker of its own again, or another adopter: let go of its listeners. Nothing to do for
    /// one that is gone.
    Disown {
        /// Who.
        by: Life,
        /// Whose queue.
        slot: Slot,
    },
    /// Tell one who asked how it ended. Exactly once for each ticket but [`Ticket::NOBODY`].
    Answer {
        /// Whom.
        ticket: Ticket,
        /// What came of it.
        verdict: Verdict,
    },
    /// Route new connections to these slots alone, by these weights. Empty: nobody is routed (the kernel's
    /// hash decides).
    Steer(Vec<(Slot, u16)>),
    /// Make sure that each address's group has this many listeners (they are never closed while the group
    /// serves).
    Listen {
        /// How many slots have one.
        slots: u16,
    },
    /// Read the configuration and open the binary as this generation. Answered by `Loaded`.
    Load(Generation),
    /// Ask the binary on disk whether it could go on from here as the master, without waiting. Answered by `Rehearsed`.
    /// The last effect of its batch, in which no worker is spawned.
    Rehearse,
    /// Hand this pool and everything else over to the binary that has rehearsed. The new master says `Upgraded` first of
    /// all; so does the old one if the binary cannot be executed. The last effect of its batch, none of which leads to an
    /// event.
    HandOver,
    /// No life of that generation is left or will be: let go of its binary and configuration.
    Unload(Generation),
    /// The cluster is that generation from now on: addresses that it does not serve are let go of.
    Serve(Generation),
    /// Tell a ready worker to finish what an work left behind. Answered, some time, by `TakenOver` (for a
    /// worker that has no lifeline, the shell answers at once). May be said again, to another by, before the
    /// first one answered.
    TakeOver {
        /// Who takes over.
        by: Life,
        /// What.
        work: OrphanedWork,
    },
    /// Nobody will be started any more: let go of every listener, so that new connections are refused as soon
    /// as the workers have emptied their queues, and nobody waits in vain.
    Close,
    /// Tell every worker, also those that drain already, that the whole cluster stops: nobody serves on, so
    /// silent connections need not be kept.
    Hasten,
    /// Say one thing a person cares about.
    Announce(Announcement),
    /// Tell systemd.
    Tell(SystemdState),
    /// Everything is over: leave the loop.
    Exit(Outcome),
}

/// The signals a pool sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// SIGTERM: drain.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// What systemd wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SystemdState {
    /// `READY=1`
    Ready,
    /// `RELOADING=1` with `MONOTONIC_USEC`
    Reloading,
    /// `STOPPING=1`
    Stopping,
}

/// Adds an announcement to the effects.
pub(in crate::pool) fn announce(announcement: Announcement, effects: &mut Vec<Effect>) {
    effects.push(Effect::Announce(announcement));
}
