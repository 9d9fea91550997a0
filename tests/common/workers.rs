//! The workers of a cluster: who they are, by the master's own records, and what is done to them.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::{Cluster, TIMEOUT};

impl Cluster {
    /// The living workers' pids by slot, as the master's own records have them.
    pub fn workers(&self) -> BTreeMap<u16, Vec<i32>> {
        let text = std::fs::read(self.data().join("run/workers.json")).unwrap_or_default();
        let records: Vec<Value> = serde_json::from_slice(&text).unwrap_or_default();
        let mut workers: BTreeMap<u16, Vec<i32>> = BTreeMap::new();
        // Workers that outlived an earlier master are recorded, too, and are not this one's.
        let incarnation = |record: &Value| {
            let life = record["life"].as_str().expect("a life");
            life.split('/')
                .next()
                .expect("an incarnation")
                .parse::<u64>()
                .expect("a number")
        };
        let newest = records.iter().map(incarnation).max();
        for record in records
            .iter()
            .filter(|record| Some(incarnation(record)) == newest)
        {
            let slot = record["life"]
                .as_str()
                .expect("a life")
                .split('/')
                .nth(1)
                .expect("a slot")
                .parse()
                .expect("a number");
            workers
                .entry(slot)
                .or_default()
                .push(i32::try_from(record["pid"].as_i64().expect("a pid")).expect("a pid"));
        }
        workers
    }

    /// Waits until the records of the living workers are as they should be. They are written a moment after
    /// the log line.
    pub fn wait_for_workers(&self, what: &str, is_it: impl Fn(&BTreeMap<u16, Vec<i32>>) -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        while !is_it(&self.workers()) {
            assert!(
                Instant::now() < deadline,
                "waited in vain for {what}: {:?}",
                self.workers()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The only worker of a slot.
    pub fn worker(&self, slot: u16) -> i32 {
        self.wait_for_workers("one worker in the slot", |workers| {
            workers.get(&slot).is_some_and(|pids| pids.len() == 1)
        });
        match self.workers().get(&slot).map(Vec::as_slice) {
            Some([pid]) => *pid,
            other => panic!("slot {slot} has not one worker but {other:?}"),
        }
    }

    /// Signals the worker of a slot.
    pub fn signal_worker(&self, slot: u16, signal: Signal) -> i32 {
        let pid = self.worker(slot);
        kill(Pid::from_raw(pid), signal).expect("the worker lives");
        pid
    }

    /// Waits until the slot has one worker, and another one than this.
    pub fn wait_for_successor(&self, slot: u16, of: i32) {
        self.wait_for_workers("another worker", |workers| {
            workers
                .get(&slot)
                .is_some_and(|pids| pids.len() == 1 && pids[0] != of)
        });
    }

    /// Waits until some worker is answering a request, as the control socket tells.
    pub fn wait_for_request_in_flight(&self) {
        let deadline = Instant::now() + TIMEOUT;
        let in_flight = || {
            let status = Command::new(env!("CARGO_BIN_EXE_cluster"))
                .args(["status", "--json", "--data-dir"])
                .arg(self.data())
                .output()
                .expect("it runs");
            let status: Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
            let slots = status["slots"].as_array().cloned().unwrap_or_default();
            slots
                .iter()
                .any(|slot| slot["worker"]["in_flight"].as_u64().is_some_and(|many| many > 0))
        };
        while !in_flight() {
            assert!(Instant::now() < deadline, "no request is in flight");
        }
    }
}
