//! What the shell saw of each life that ended: its last words, what it was answering, its memory, what it did when it was
//! killed. Bounded for each slot. It must not know why a life ended: that is the pool's certificate.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::base::ids::{Life, Slot};
use crate::control::outcome::ms;
use crate::control::{MemoryUse, UnfinishedRequest};
use crate::scoreboard::{BoardView, RequestSample};
use crate::sys::{clock, procfs};

/// So many lives of one slot are remembered, as many as the pool has certificates of.
const KEPT: usize = 16;
/// No death names more requests.
const NAMED: usize = 16;

/// What was seen of one life that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::master) struct Evidence {
    /// Its last lines, the newest last.
    pub(in crate::master) stderr: Vec<String>,
    pub(in crate::master) memory: MemoryUse,
    pub(in crate::master) requests: Requests,
    pub(in crate::master) at_kill: Option<AtKill>,
}

/// What a life was answering at its end; the longest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::master) struct Requests {
    pub(in crate::master) named: Vec<UnfinishedRequest>,
    pub(in crate::master) unnamed: u32,
}

/// What a process did right before the master killed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::master) struct AtKill {
    pub(in crate::master) state: Option<char>,
    pub(in crate::master) wait_channel: String,
}

impl AtKill {
    pub(in crate::master) fn look(pid: i32) -> AtKill {
        AtKill {
            state: procfs::stat(pid).ok().map(|stat| stat.state),
            wait_channel: procfs::wait_channel(pid),
        }
    }
}

impl Requests {
    /// The board outlives its writer.
    pub(in crate::master) fn left_on(board: &BoardView) -> Requests {
        let now = clock::now();
        let counted = board.vitals(now).counts.in_flight;
        let mut seen = board.requests(now);
        seen.sort_by_key(|seen| std::cmp::Reverse(seen.age));
        let named: Vec<UnfinishedRequest> = seen.into_iter().take(NAMED).map(named).collect();
        let unnamed = counted.saturating_sub(u32::try_from(named.len()).unwrap_or(u32::MAX));
        Requests { named, unnamed }
    }
}

fn named(seen: RequestSample) -> UnfinishedRequest {
    UnfinishedRequest {
        method: seen.method,
        path: seen.path,
        age_ms: ms(seen.age),
    }
}

/// All of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::master) struct Graves {
    by_slot: BTreeMap<Slot, VecDeque<(Life, Evidence)>>,
}

impl Graves {
    pub(in crate::master) fn keep(&mut self, life: Life, evidence: Evidence) {
        let slot = self.by_slot.entry(life.slot).or_default();
        slot.push_back((life, evidence));
        if slot.len() > KEPT {
            slot.pop_front();
        }
    }

    /// What was seen of that life, while it is remembered.
    pub(in crate::master) fn of(&self, life: Life) -> Option<&Evidence> {
        let slot = self.by_slot.get(&life.slot)?;
        slot.iter()
            .find(|(dead, _)| *dead == life)
            .map(|(_, evidence)| evidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(slot: u16, epoch: u32) -> Life {
        Life::of(1, slot, epoch)
    }

    #[test]
    fn the_last_of_each_slot_are_remembered() {
        let mut graves = Graves::default();
        graves.keep(life(0, 1), Evidence::default());
        for epoch in 1..=100 {
            graves.keep(life(1, epoch), Evidence::default());
        }
        assert!(graves.of(life(0, 1)).is_some());
        assert!(graves.of(life(1, 84)).is_none() && graves.of(life(1, 85)).is_some());
    }

    #[test]
    fn a_process_that_is_gone_has_nothing_to_show() {
        let own = AtKill::look(nix::unistd::getpid().as_raw());
        assert!(own.state.is_some());
        let gone = AtKill::look(i32::MAX);
        assert_eq!((gone.state, gone.wait_channel.as_str()), (None, ""));
    }
}
