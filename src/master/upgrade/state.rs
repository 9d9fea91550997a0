//! What one master writes down for the next: a version, then everything that the next one cannot find out by itself. Read as if
//! anybody could have written it. Whatever is plain data and no descriptor belongs into [`Kept`], and needs no line here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fds::{Fd, Luggage};
use crate::base::ids::{Generation, Incarnation, Life};
use crate::base::time::Monotonic;
use crate::master::control::{AtKill, PackedDesk};
use crate::master::host::Kept;
use crate::master::listeners::PackedListeners;
use crate::master::process::Tail;
use crate::master::start::orphans::Record;
use crate::pool::Saved;
use crate::pool::saved::difference;
use crate::sys::procfs::Stat;

/// Of everything here. Raised with every change of a field, [`Kept`]'s included; the pool has a version of its own.
pub(super) const VERSION: u32 = 3;

/// No state is larger, in bytes: 1,024 slots with all that is remembered of each come to a third of it.
pub(super) const LARGEST: u64 = 1 << 30;

/// Everything.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) version: u32,
    /// The name of the program that wrote it.
    pub(super) name: String,
    /// Of the messages that the running workers understand.
    pub(super) lifeline: u32,
    pub(super) pool: Saved,
    pub(super) kept: Kept,
    pub(super) incarnation: Incarnation,
    /// Signals that had arrived and were not dealt with, by number.
    pub(super) signals: Vec<i32>,
    /// Where the next binary of a reload or an upgrade is found.
    pub(super) program: PathBuf,
    /// User and group of the workers, where they are not the master's.
    pub(super) credentials: Option<(u32, u32)>,
    pub(super) data_dir: PathBuf,
    pub(super) run_dir: PathBuf,
    pub(super) locks: Vec<Fd>,
    pub(super) pid_file: Option<PathBuf>,
    pub(super) generations: BTreeMap<Generation, PackedGeneration>,
    pub(super) listeners: PackedListeners,
    pub(super) desk: PackedDesk,
    pub(super) orphans: Vec<PackedOrphan>,
    pub(super) processes: Vec<PackedProcess>,
    pub(super) luggage: Luggage,
}

/// A generation.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PackedGeneration {
    pub(super) binary: Fd,
    pub(super) settings: Fd,
}

/// A living worker of an earlier master.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PackedOrphan {
    pub(super) place: u32,
    pub(super) record: Record,
    pub(super) pidfd: Fd,
}

/// A worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PackedProcess {
    pub(super) life: Life,
    pub(super) pid: i32,
    pub(super) started: u64,
    pub(super) born: Monotonic,
    pub(super) generation: Generation,
    pub(super) looked: Option<(Monotonic, Stat)>,
    pub(super) leaving: bool,
    pub(super) weighed: Option<Monotonic>,
    pub(super) at_kill: Option<AtKill>,
    pub(super) figures_wanted: Option<u64>,
    pub(super) tail: Tail,
    pub(super) pidfd: Fd,
    pub(super) notify: Fd,
    pub(super) lifeline: Option<Fd>,
    pub(super) stderr: Option<Fd>,
    pub(super) board: Fd,
}

/// Why a text is no state that can be gone on from.
#[derive(Debug, thiserror::Error)]
pub(super) enum StateError {
    /// Another program's.
    #[error("the state is of version {0}, expected {VERSION}")]
    Version(u64),
    /// No JSON, or a field is missing or of another kind.
    #[error("the state cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// It was read, and says more or less than a state says.
    #[error("the state is not whole: {0}")]
    Odd(String),
}

/// Only this is looked at before the version is known to be ours.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

impl State {
    pub(super) fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a state is numbers, texts and lists, which JSON can say")
    }

    /// # Errors
    /// [`StateError`] says what was read and what was expected.
    pub(super) fn parse(text: &[u8]) -> Result<State, StateError> {
        match serde_json::from_slice::<Versioned>(text)?.version {
            version if version == u64::from(VERSION) => {}
            version => return Err(StateError::Version(version)),
        }
        let read: Value = serde_json::from_slice(text)?;
        let state: State = serde_json::from_slice(text)?;
        match difference(&read, &serde_json::to_value(&state)?, "state") {
            None => Ok(state),
            Some(difference) => Err(StateError::Odd(difference)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::backoff::Backoff;
    use crate::pool::{Policy, Pool};
    use std::time::Duration;

    fn policy() -> Policy {
        let second = Duration::from_secs(1);
        Policy {
            workers: 1,
            heartbeat_interval: second,
            heartbeat_timeout: second,
            lock_hold_timeout: second,
            ready_timeout: second,
            drain_timeout: second,
            bake_time: second,
            early_death: second,
            backoff: Backoff {
                first: second,
                longest: second,
            },
            restart_limit: 1,
            restart_window: second,
            max_draining: 1,
            max_requests: None,
            max_rss: None,
            max_age: None,
        }
    }

    const BUCKETS: [u64; 17] = [1; 17];

    /// As version 3 is written, with something in each list.
    pub(in crate::master::upgrade) fn specimen() -> Value {
        let pool = Pool::new(policy(), Incarnation(3), Generation(1), Monotonic(5), 7);
        json!({
            "version": 3,
            "name": "cluster",
            "lifeline": 1,
            "pool": Saved::of(&pool),
            "kept": {
                "began": 5,
                "upgrades": 0,
                "asked": [[4, {"version": 1, "ask": "status", "wait": true}]],
                "hasty": [4],
                "graves": {"by_slot": {"0": [["3/0/1", {
                    "stderr": ["at last"],
                    "memory": {"peak_rss_bytes": 1, "limit_bytes": null, "oom_kill": false},
                    "requests": {"named": [{"method": "GET", "path": "/", "age_ms": 1}], "unnamed": 0},
                    "at_kill": {"state": "S", "wait_channel": "0"}
                }]]}},
                "ledger": {
                    "dead": {
                        "counters": {"requests": 1},
                        "cpu_ms": 2,
                        "routes": {"other": {"classes": [0, 1, 0, 0, 0], "sum_ns": 3, "buckets": BUCKETS}},
                        "own": {"shop_parked_total": {"kind": "counter", "help": "Parked.", "value": 1, "told": 0}}
                    },
                    "living": {}
                },
                "oom": {"counter": {"Group": "/sys/fs/cgroup"}, "seen": 0},
                "weights": [[0, 256]],
                "last_code": null
            },
            "incarnation": 3,
            "signals": [17],
            "program": "/bin/cluster",
            "credentials": [65534, 65534],
            "data_dir": "/data",
            "run_dir": "/data/run",
            "locks": [3],
            "pid_file": null,
            "generations": {"1": {"binary": 4, "settings": 5}},
            "listeners": {
                "groups": [{"asked": "127.0.0.1:0", "address": "127.0.0.1:80", "members": [6]}],
                "paths": [["/data/sock", {"path": "/data/sock", "device": 1, "inode": 2}, 7]],
                "admin": ["unix:/data/admin", {"path": "/data/admin", "device": 1, "inode": 3}, 16],
                "slots": 1
            },
            "desk": {
                "path": "/data/run/control.sock",
                "file": {"path": "/data/run/control.sock", "device": 1, "inode": 4},
                "listener": 8,
                "clients": [
                    {"id": 4, "stream": 9, "stage": "Waiting"},
                    {"id": 5, "stream": 10, "stage": {"Speaking": {"heard": [123], "came": 4, "until": 9}}}
                ],
                "last": 5,
                "door": "Open"
            },
            "orphans": [{"place": 0, "record": {"life": "2/0/1", "pid": 7, "started": 1}, "pidfd": 11}],
            "processes": [{
                "life": "3/0/1", "pid": 8, "started": 2, "born": 5, "generation": 1,
                "looked": [5, {"state": "S", "cpu_ticks": 1, "started": 2}],
                "leaving": false, "weighed": null, "at_kill": null, "figures_wanted": 1,
                "tail": {"unfinished": [104], "kept": ["ello"]},
                "pidfd": 12, "notify": 13, "lifeline": 14, "stderr": null, "board": 15
            }],
            "luggage": {"3": "file", "6": "listener"}
        })
    }

    fn parse(value: &Value) -> Result<State, StateError> {
        State::parse(&serde_json::to_vec(value).expect("text"))
    }

    /// Whoever changes a field finds this failing: raise [`VERSION`], and write the specimen anew.
    #[test]
    fn version_3_is_read_and_written_as_it_was() {
        let state = parse(&specimen()).expect("a state");
        assert_eq!(VERSION, 3);
        assert_eq!(serde_json::to_value(&state).expect("JSON"), specimen());
    }

    /// The place of every field, however deep.
    fn places(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    found.push(format!("{at}/{key}"));
                    places(value, &format!("{at}/{key}"), found);
                }
            }
            Value::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    places(item, &format!("{at}/{place}"), found);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn a_field_that_is_missing_is_refused_wherever_it_is() {
        let mut fields = Vec::new();
        places(&specimen(), "", &mut fields);
        // What maps hold are entries, not fields: without one there is one less.
        let entries = [
            "/kept/graves/by_slot/0",
            "/kept/ledger/dead/counters/requests",
            "/kept/ledger/dead/routes/other",
            "/kept/ledger/dead/own/shop_parked_total",
            "/generations/1",
            "/luggage/3",
            "/luggage/6",
        ];
        // The pool checks itself, when it is loaded.
        let is_field = |place: &&String| {
            !entries.contains(&place.as_str())
                && !place.starts_with("/pool/pool/")
                && !place.contains("/Speaking")
        };
        for place in fields.iter().filter(is_field) {
            let mut state = specimen();
            let (parent, key) = place.rsplit_once('/').expect("a place");
            let removed = state.pointer_mut(parent).and_then(Value::as_object_mut);
            removed.expect("an object").remove(key).expect("it was there");
            let told = parse(&state).expect_err(place).to_string();
            assert!(
                told.contains(key) || place.starts_with("/kept/oom/counter"),
                "{place}: {told}"
            );
        }
    }

    #[test]
    fn what_nobody_here_knows_is_refused() {
        for place in ["", "/kept", "/desk", "/processes/0", "/listeners/groups/0"] {
            let mut state = specimen();
            let fields = state.pointer_mut(place).and_then(Value::as_object_mut);
            fields
                .expect("an object")
                .insert("mood".to_owned(), json!("good"));
            let told = parse(&state).expect_err(place).to_string();
            assert!(told.contains("mood"), "{place}: {told}");
        }
        let mut newer = specimen();
        newer["version"] = json!(4);
        assert!(matches!(parse(&newer), Err(StateError::Version(4))));
    }
}
