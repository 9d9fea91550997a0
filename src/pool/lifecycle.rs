//! What the cluster as a whole does, and what happens once in a master's time.

use serde::{Deserialize, Serialize};

use super::protocol::effect::{Effect, SystemdState};
use crate::base::time::Monotonic;

/// What the cluster as a whole does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Mode {
    /// Every slot is to be filled.
    Running,
    /// A stop was asked for, and the drain begins at that instant. Until then the workers are not ready, all
    /// slots are filled and requests are served; nothing else is begun.
    StopDelayed { until: Monotonic },
    /// No worker is started any more; the cluster ends when the last worker is dead. `cut`: requests were
    /// cut.
    Stopping { cut: bool },
    /// No worker ever became ready; the cluster ends when the last worker is dead.
    GivingUp,
    /// The effect `Exit` was given.
    Over,
}

impl Mode {
    /// Whether requests are served, so that every slot is to be filled.
    pub(super) fn serves(self) -> bool {
        match self {
            Mode::Running | Mode::StopDelayed { .. } => true,
            Mode::Stopping { .. } | Mode::GivingUp | Mode::Over => false,
        }
    }

    /// When a stop that was asked for begins.
    pub(super) fn stops_at(self) -> Option<Monotonic> {
        match self {
            Mode::StopDelayed { until } => Some(until),
            Mode::Running | Mode::Stopping { .. } | Mode::GivingUp | Mode::Over => None,
        }
    }

    /// Requests were cut; that matters to a cluster that stops.
    pub(super) fn note_cut(&mut self) {
        match self {
            Mode::Stopping { cut } => *cut = true,
            Mode::Running | Mode::StopDelayed { .. } | Mode::GivingUp | Mode::Over => {}
        }
    }
}

/// What happens once in a master's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Milestones {
    /// Some worker was ready.
    pub(super) ever_ready: bool,
    /// Every slot had a worker that served.
    pub(super) all_serving: bool,
    /// systemd knows that the cluster is ready.
    pub(super) told_ready: bool,
}

impl Milestones {
    /// Tells systemd that something begins or ends, unless it waits for the cluster's start still.
    pub(super) fn tell_systemd(&self, state: SystemdState, effects: &mut Vec<Effect>) {
        if self.told_ready {
            effects.push(Effect::Tell(state));
        }
    }
}
