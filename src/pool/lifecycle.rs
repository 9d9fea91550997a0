//! What the cluster as a whole does, and what happens once in a master's time.

use serde::{Deserialize, Serialize};

use super::protocol::effect::{Effect, SystemdState};

/// What the cluster as a whole does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Mode {
    /// Every slot is to be filled.
    Running,
    /// No worker is started any more; the cluster ends when the last worker is dead. `cut`: requests were
    /// cut.
    Stopping { cut: bool },
    /// No worker ever became ready; the cluster ends when the last worker is dead.
    GivingUp,
    /// The effect `Exit` was given.
    Over,
}

impl Mode {
    /// Requests were cut; that matters to a cluster that stops.
    pub(super) fn note_cut(&mut self) {
        match self {
            Mode::Stopping { cut } => *cut = true,
            Mode::Running | Mode::GivingUp | Mode::Over => {}
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
