//! What one master writes down for the next: a version, then everything that the next one cannot find out by
//! itself. It is read as if any program could have written it. Plain data belongs into [`Persisted`] and
//! needs no line here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fds::{FdNumber, HandoverFds};
use crate::base::ids::{Generation, Incarnation};
use crate::master::control::ControlServerState;
use crate::master::host::Persisted;
use crate::master::listeners::ListenersState;
use crate::master::process::WorkerFacts;
use crate::master::process::executable::BinaryLocation;
use crate::master::start::orphans::WorkerRecord;
use crate::pool::Saved;
use crate::pool::snapshot::difference;

/// Version of the upgrade state. It is raised with every change of a field, those of [`Persisted`] included;
/// the pool has a version of its own.
pub(super) const VERSION: u32 = 6;

/// Largest size of a state, in bytes: 1,024 slots with everything that is remembered of each need a third of
/// it.
pub(super) const MAX_STATE_BYTES: u64 = 1 << 30;

/// The whole state.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpgradeState {
    pub(super) version: u32,
    /// The name of the program that wrote the state.
    pub(super) program_name: String,
    /// The version of the lifeline messages that the running workers understand.
    pub(super) lifeline: u32,
    pub(super) pool: Saved,
    pub(super) master: MasterData,
    pub(super) locks: Vec<FdNumber>,
    pub(super) generations: BTreeMap<Generation, GenerationState>,
    pub(super) listeners: ListenersState<FdNumber>,
    pub(super) control: ControlServerState<FdNumber>,
    pub(super) orphans: Vec<OrphanState>,
    pub(super) processes: Vec<ProcessState>,
    pub(super) fds: HandoverFds,
}

/// The part of the state that has no descriptors: the next master takes it as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MasterData {
    pub(super) persisted: Persisted,
    pub(super) incarnation: Incarnation,
    /// Signals that had arrived and were not handled, by number.
    pub(super) signals: Vec<i32>,
    /// Where the next binary of a reload or an upgrade is found.
    pub(super) binary: BinaryLocation,
    /// The working directory as it was named at the start; relative paths are meant from it.
    pub(super) working_directory: PathBuf,
    /// User and group id of the workers, where they are not the master's.
    pub(super) credentials: Option<(u32, u32)>,
    pub(super) data_dir: PathBuf,
    pub(super) run_dir: PathBuf,
    pub(super) pid_file: Option<PathBuf>,
}

/// A generation.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GenerationState {
    pub(super) binary: FdNumber,
    pub(super) settings: FdNumber,
}

/// A living worker of an earlier master.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OrphanState {
    pub(super) number: u32,
    pub(super) record: WorkerRecord,
    pub(super) pidfd: FdNumber,
}

/// A worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ProcessState {
    pub(super) facts: WorkerFacts,
    pub(super) pidfd: FdNumber,
    pub(super) notify: FdNumber,
    pub(super) lifeline: Option<FdNumber>,
    pub(super) stderr: Option<FdNumber>,
    pub(super) log: Option<FdNumber>,
    pub(super) board: FdNumber,
    /// The ring of what its program prints.
    pub(super) output: Option<FdNumber>,
}

/// Why a text is not a state that a master can resume from.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpgradeStateError {
    /// The state is of another version.
    #[error("the state is of version {0}, expected {VERSION}")]
    Version(u64),
    /// The text is not JSON, or a field is missing or of another type.
    #[error("the state cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// The state was read and has fields more or less than expected.
    #[error("the state is not whole: {0}")]
    Incomplete(String),
}

impl UpgradeState {
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a state is numbers, texts and lists, which JSON can express")
    }

    /// # Errors
    /// [`UpgradeStateError`] names what was read and what was expected.
    pub(super) fn parse(text: &[u8]) -> Result<UpgradeState, UpgradeStateError> {
        let read: Value = serde_json::from_slice(text)?;
        match read.get("version").and_then(Value::as_u64) {
            Some(version) if version != u64::from(VERSION) => {
                return Err(UpgradeStateError::Version(version));
            }
            Some(_) | None => {}
        }
        let state: UpgradeState = serde_json::from_slice(text)?;
        match difference(&read, &serde_json::to_value(&state)?, "state") {
            None => Ok(state),
            Some(difference) => Err(UpgradeStateError::Incomplete(difference)),
        }
    }
}

/// Reads a state and the pool in it, and says whether both could be read.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) -> bool {
    let Ok(state) = UpgradeState::parse(bytes) else {
        return false;
    };
    let text = state.to_json();
    let again = UpgradeState::parse(&text)
        .expect("what is written can be read")
        .to_json();
    assert_eq!(again, text, "a state changes when it is written and read");
    state.pool.load().is_ok()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::backoff::Backoff;
    use crate::base::time::Monotonic;
    use crate::pool::{Policy, Pool};
    use std::time::Duration;

    fn policy() -> Policy {
        let second = Duration::from_secs(1);
        Policy {
            workers: 1,
            heartbeat_interval: second,
            late_after: second,
            heartbeat_timeout: second,
            lock_hold_timeout: second,
            ready_timeout: second,
            stop_delay: second,
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
            runs_programs: false,
        }
    }

    const BUCKETS: [u64; 17] = [1; 17];

    /// A state of version 6, with something in each list.
    pub(crate) fn specimen() -> Value {
        let pool = Pool::new(policy(), Incarnation(3), Generation(1), Monotonic(5), 7);
        json!({
            "version": 6,
            "program_name": "cluster",
            "lifeline": 1,
            "pool": Saved::of(&pool),
            "master": {
            "persisted": {
                "began": 5,
                "upgrades": 0,
                "no_wait": [4],
                "postmortems": {"by_slot": {"0": [["3/0/1", {
                    "stderr": ["at last"],
                    "memory": {"peak_rss_bytes": 1, "limit_bytes": null, "oom_kill": false},
                    "requests": {"named": [{"method": "GET", "path": "/", "age_ms": 1}], "unnamed": 0},
                    "at_kill": {"state": "S", "wait_channel": "0", "process": null}
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
                "last_verdict": {
                    "operation": "reload", "result": "backed_out", "reason": "no", "generation": 2, "at": 7
                },
                "log_lines_dropped": 0,
                "weights": [[0, 256]],
                "last_code": null
            },
            "incarnation": 3,
            "signals": [17],
            "binary": {"name": "cluster", "directories": ["/bin"]},
            "working_directory": "/srv/current",
            "credentials": [65534, 65534],
            "data_dir": "/data",
            "run_dir": "/data/run",
            "pid_file": null
            },
            "locks": [3],
            "generations": {"1": {"binary": 4, "settings": 5}},
            "listeners": listeners(),
            "control": {
                "path": "/data/run/control.sock",
                "file": {"path": "/data/run/control.sock", "device": 1, "inode": 4},
                "listener": 8,
                "clients": [
                    {"id": 4, "stream": 9, "stage": "Waiting"},
                    {"id": 5, "stream": 10, "stage": {"Reading": {"received": [123], "since": 4, "until": 9}}}
                ],
                "last_id": 5,
                "accepting": "Open"
            },
            "orphans": [{"number": 0, "record": {"life": "2/0/1", "pid": 7, "started": 1}, "pidfd": 11}],
            "processes": [{
                "facts": {
                    "life": "3/0/1", "pid": 8, "started": 2, "forked_at": 5, "generation": 1,
                    "last_stat": [5, {"state": "S", "cpu_ticks": 1, "started": 2}],
                    "draining": false, "rss_read_at": null, "at_kill": null, "program_session": 9,
                    "metrics_request": 1,
                    "stderr_tail": {"unfinished": [104], "lines": ["ello"]},
                    "log_lines": {"unfinished": [123]}
                },
                "pidfd": 12, "notify": 13, "lifeline": 14, "stderr": null, "log": null, "board": 15,
                "output": 16
            }],
            "fds": {"3": "file", "6": "listener"}
        })
    }

    fn listeners() -> Value {
        json!({
            "groups": [{
                "configured": "127.0.0.1:0", "address": "127.0.0.1:80", "dual_stack": false, "members": [6],
                "lent": {
                    "asked": {"tcp": {"address": null, "port": 80, "ipv6_only": false, "index": 0}},
                    "own_mode": null, "generations": [1], "holders": ["3/0/1"]
                }
            }],
            "shared": [{
                "address": "unix:/data/sock", "passed": false, "listener": 7,
                "file": {"path": "/data/sock", "device": 1, "inode": 2},
                "lent": {
                    "asked": {"path": {"path": "/data/sock", "mode": 384}},
                    "own_mode": 384, "generations": [1], "holders": ["3/0/1"]
                }
            }],
            "admin": ["unix:/data/admin", {"path": "/data/admin", "device": 1, "inode": 3}, 16],
            "slots": 1
        })
    }

    fn parse(value: &Value) -> Result<UpgradeState, UpgradeStateError> {
        UpgradeState::parse(&serde_json::to_vec(value).expect("text"))
    }

    /// This test fails when a field is changed: raise [`VERSION`] then, and write the specimen anew.
    #[test]
    fn version_6_is_read_and_written_unchanged() {
        let state = parse(&specimen()).expect("a state");
        assert_eq!(VERSION, 6);
        assert_eq!(serde_json::to_value(&state).expect("JSON"), specimen());
    }

    /// The path of every field, at any depth.
    fn paths(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    found.push(format!("{at}/{key}"));
                    paths(value, &format!("{at}/{key}"), found);
                }
            }
            Value::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    paths(item, &format!("{at}/{place}"), found);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn a_field_that_is_missing_is_refused_wherever_it_is() {
        let mut fields = Vec::new();
        paths(&specimen(), "", &mut fields);
        // Entries of a map are not fields: a map may lack any of them.
        let entries = [
            "/master/persisted/postmortems/by_slot/0",
            "/master/persisted/ledger/dead/counters/requests",
            "/master/persisted/ledger/dead/routes/other",
            "/master/persisted/ledger/dead/own/shop_parked_total",
            "/generations/1",
            "/fds/3",
            "/fds/6",
        ];
        // The pool checks itself, when it is loaded.
        let is_field = |place: &&String| {
            !entries.contains(&place.as_str())
                && !place.starts_with("/pool/pool/")
                && !place.contains("/Reading")
                // A variant, and not a field.
                && !place.ends_with("/asked/tcp")
                && !place.ends_with("/asked/path")
        };
        for place in fields.iter().filter(is_field) {
            let mut state = specimen();
            let (parent, key) = place.rsplit_once('/').expect("a place");
            let removed = state.pointer_mut(parent).and_then(Value::as_object_mut);
            removed.expect("an object").remove(key).expect("it was there");
            let error = parse(&state).expect_err(place).to_string();
            assert!(
                error.contains(key) || place.starts_with("/master/persisted/oom/counter"),
                "{place}: {error}"
            );
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        for place in [
            "",
            "/master",
            "/master/persisted",
            "/control",
            "/processes/0",
            "/listeners/groups/0",
        ] {
            let mut state = specimen();
            let fields = state.pointer_mut(place).and_then(Value::as_object_mut);
            fields
                .expect("an object")
                .insert("mood".to_owned(), json!("good"));
            let error = parse(&state).expect_err(place).to_string();
            assert!(error.contains("mood"), "{place}: {error}");
        }
        let mut newer = specimen();
        newer["version"] = json!(7);
        assert!(matches!(parse(&newer), Err(UpgradeStateError::Version(7))));
    }
}
