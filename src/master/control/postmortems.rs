//! What the master saw of each worker that ended: its last lines on stderr, its unfinished requests, its
//! memory, and its process state when it was killed. The number per slot is bounded. It must not know why a
//! worker ended: that is in the pool's certificate.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::base::ids::{Life, Slot};
use crate::base::millis::ms;
use crate::control::{MemoryUse, UnfinishedRequest};
use crate::scoreboard::{BoardView, RequestSample};
use crate::sys::{clock, process_tree, procfs};

/// Number of deaths that are remembered for each slot; the pool keeps as many certificates.
const MAX_PER_SLOT: usize = 16;
/// Largest number of unfinished requests that are listed for a death.
const MAX_LISTED: usize = 16;

/// What was seen of one worker that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::master) struct Postmortem {
    /// Its last lines on stderr, newest last.
    pub(in crate::master) stderr: Vec<String>,
    pub(in crate::master) memory: MemoryUse,
    pub(in crate::master) requests: UnfinishedRequests,
    pub(in crate::master) at_kill: Option<StateAtKill>,
}

/// The requests that a worker was handling at its end, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::master) struct UnfinishedRequests {
    pub(in crate::master) named: Vec<UnfinishedRequest>,
    pub(in crate::master) unnamed: u32,
}

/// The state of a process right before the master killed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::master) struct StateAtKill {
    pub(in crate::master) state: Option<char>,
    pub(in crate::master) wait_channel: String,
    /// Which process of the worker's program that is; `None`: the worker itself.
    pub(in crate::master) process: Option<String>,
}

/// The most processes of a program that are looked at before it is killed.
const MOST_LOOKED_AT: usize = 64;

impl StateAtKill {
    pub(in crate::master) fn look(pid: i32) -> StateAtKill {
        StateAtKill {
            state: procfs::stat(pid).ok().map(|stat| stat.state),
            wait_channel: procfs::wait_channel(pid),
            process: None,
        }
    }

    /// The state of the program of a worker: of the process that shows best why it does nothing. One that
    /// waits for its child (npm, a shell) says less than the child.
    pub(in crate::master) fn look_at_program(worker: i32) -> StateAtKill {
        let processes = process_tree::tree(worker, MOST_LOOKED_AT);
        let looks = processes[1..].iter().map(|&pid| (pid, StateAtKill::look(pid)));
        let telling = |look: &StateAtKill| match look.state {
            Some('T' | 't') => 3,
            Some('D') => 2,
            Some('R') => 1,
            _ => 0,
        };
        match looks.max_by_key(|(pid, look)| (telling(look), *pid)) {
            Some((pid, look)) => StateAtKill {
                process: Some(format!("{} (pid {pid})", procfs::name(pid).unwrap_or_default())),
                ..look
            },
            None => StateAtKill::look(worker),
        }
    }
}

impl UnfinishedRequests {
    /// Reads the requests from the scoreboard, which outlives its worker.
    pub(in crate::master) fn left_on(board: &BoardView) -> UnfinishedRequests {
        let now = clock::now();
        let counted = board.vitals(now).counts.in_flight;
        let mut seen = board.requests(now);
        seen.sort_by_key(|seen| std::cmp::Reverse(seen.age));
        let named: Vec<UnfinishedRequest> = seen.into_iter().take(MAX_LISTED).map(named).collect();
        let unnamed = counted.saturating_sub(u32::try_from(named.len()).unwrap_or(u32::MAX));
        UnfinishedRequests { named, unnamed }
    }
}

fn named(seen: RequestSample) -> UnfinishedRequest {
    UnfinishedRequest {
        method: seen.method,
        path: seen.path,
        age_ms: ms(seen.age),
    }
}

/// The post-mortems of all slots.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::master) struct Postmortems {
    by_slot: BTreeMap<Slot, VecDeque<(Life, Postmortem)>>,
}

impl Postmortems {
    pub(in crate::master) fn keep(&mut self, life: Life, evidence: Postmortem) {
        let slot = self.by_slot.entry(life.slot).or_default();
        slot.push_back((life, evidence));
        if slot.len() > MAX_PER_SLOT {
            slot.pop_front();
        }
    }

    /// The post-mortem of a life, while it is remembered.
    pub(in crate::master) fn of(&self, life: Life) -> Option<&Postmortem> {
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
    fn the_last_deaths_of_each_slot_are_remembered() {
        let mut postmortems = Postmortems::default();
        postmortems.keep(life(0, 1), Postmortem::default());
        for epoch in 1..=100 {
            postmortems.keep(life(1, epoch), Postmortem::default());
        }
        assert!(postmortems.of(life(0, 1)).is_some());
        assert!(postmortems.of(life(1, 84)).is_none() && postmortems.of(life(1, 85)).is_some());
    }

    #[test]
    fn a_process_that_has_exited_has_no_state() {
        let own = StateAtKill::look(nix::unistd::getpid().as_raw());
        assert!(own.state.is_some());
        let gone = StateAtKill::look(i32::MAX);
        assert_eq!((gone.state, gone.wait_channel.as_str()), (None, ""));
    }
}
