//! A cluster under load, and what one does to it: where every scene takes place.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::client::{Call, Kind, Load, Running};
use crate::common::{Cluster, Plan};
use crate::request_log::{End, Request, RequestLog};
use crate::verdict::Verdict;
use crate::witness;

/// How hard the test is.
#[derive(Clone, Debug)]
pub(crate) struct Effort {
    /// Requests per second.
    pub(crate) rate: u32,
    /// The load runs so long before anything is done to the cluster.
    pub(crate) steady: Duration,
    /// Between two deeds.
    pub(crate) rest: Duration,
    pub(crate) kills: usize,
    pub(crate) reloads: usize,
    pub(crate) scales: usize,
    pub(crate) upgrades: usize,
    pub(crate) bake_time: &'static str,
    pub(crate) heartbeat_timeout: Duration,
    /// Whether a time that is a bar is held to it.
    pub(crate) strict: bool,
    /// One request in so many is an order; none when 0.
    pub(crate) one_order_in: usize,
    /// Another program than `cluster`, with its mutation (none: as it should be).
    pub(crate) mutant: Option<(PathBuf, &'static str)>,
}

impl Effort {
    /// The same with a mutant.
    pub(crate) fn mutated(self, program: &Path, mutation: &'static str) -> Effort {
        Effort {
            mutant: Some((program.to_owned(), mutation)),
            ..self
        }
    }

    pub(crate) fn program(&self) -> &Path {
        let own = Path::new(env!("CARGO_BIN_EXE_cluster"));
        self.mutant.as_ref().map_or(own, |(program, _)| program.as_path())
    }

    /// A cluster of two workers with the waits of this effort. Its program is a copy in its own directory, so
    /// that it can be replaced.
    pub(crate) fn plan(&self) -> Plan {
        let kept = "early_death = \"10ms\"\nrestart_limit = 1000";
        let waits = format!(
            "workers = 2\nbind = [\"127.0.0.1:0\"]\nbake_time = \"{}\"\nheartbeat_timeout = \"{}ms\"\nready_timeout = \"3s\"\n{kept}",
            self.bake_time,
            self.heartbeat_timeout.as_millis()
        );
        let plan = Plan::shop().config(&format!("[cluster]\n{waits}\n[drill]\nroutes = true\n"));
        let plan = match &self.mutant {
            None => plan,
            Some((program, mutation)) => plan.program(program).environment("CHAOS_MUTATION", mutation),
        };
        let fault = plan.directory().join("fault");
        plan.environment("CHAOS_FAULT", fault.to_str().expect("UTF-8"))
    }
}

/// A body such as clients send.
const BODY: &str = r#"{"note":"As long as a small order, so that a request is more than one line: 0123456789012345678901234567890123456789"}"#;
const GET: Call = Call {
    method: "GET",
    path: "/inventory/espresso-cup",
    body: "",
};
const POST: Call = Call {
    method: "POST",
    path: "/drill/echo",
    body: BODY,
};
const ORDER: Call = Call {
    method: "POST",
    path: "/orders",
    body: r#"{"customer_id":"c-1","items":[{"sku":"espresso-cup","quantity":1}],"payment":{"method":"pm_card_visa"}}"#,
};
const STOCK: &str = r#"{"delta":100000000,"reason":"for the load"}"#;

fn calls(one_order_in: usize) -> Vec<Call> {
    let pairs = [GET, POST].into_iter().cycle();
    let orders = usize::from(one_order_in > 0);
    pairs
        .take(one_order_in.max(2) - orders)
        .chain((orders > 0).then_some(ORDER))
        .collect()
}

/// A cluster under load.
pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    pub(crate) address: SocketAddr,
    pub(crate) kind: Kind,
    pub(crate) effort: Effort,
    load: Running,
    began: Instant,
    struck: Instant,
    forgiven: BTreeSet<SocketAddr>,
    errors: Vec<Range<Instant>>,
    others: Vec<RequestLog>,
}

impl Scene {
    /// Starts the cluster and the load, and lets it run for a while.
    pub(crate) fn open(effort: &Effort, kind: Kind) -> Scene {
        Scene::with(effort, kind, effort.plan())
    }

    pub(crate) fn with(effort: &Effort, kind: Kind, plan: Plan) -> Scene {
        let cluster = plan.start();
        let key = [("idempotency-key", "for-the-load")];
        let stocked = cluster.post("/inventory/espresso-cup/adjustments", &key, STOCK);
        assert_eq!(stocked.status, 201, "{stocked:?}");
        let address = cluster.address();
        let load = Scene::load(address, kind, effort.rate, effort.one_order_in).start();
        let began = Instant::now();
        std::thread::sleep(effort.steady);
        Scene {
            cluster,
            address,
            kind,
            effort: effort.clone(),
            load,
            began,
            struck: Instant::now(),
            forgiven: BTreeSet::new(),
            errors: Vec::new(),
            others: Vec::new(),
        }
    }

    fn load(address: SocketAddr, kind: Kind, rate: u32, one_order_in: usize) -> Load {
        let calls = calls(one_order_in);
        Load {
            address,
            kind,
            rate,
            calls,
        }
    }

    /// A second load beside the first, without orders.
    pub(crate) fn beside(&self, kind: Kind, rate: u32) -> Running {
        Scene::load(self.address, kind, rate, 0).start()
    }

    /// Time between two deeds.
    pub(crate) fn rest(&self) {
        std::thread::sleep(self.effort.rest);
    }

    /// A command, to its end; what it said, and its exit code.
    pub(crate) fn tell(&self, arguments: &[&str]) -> (i32, Value) {
        ask(&self.cluster.data(), arguments)
    }

    /// A command that has to succeed.
    pub(crate) fn done(&self, arguments: &[&str]) -> Value {
        let (code, said) = self.tell(arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}\n{:#?}", self.cluster.log());
        said
    }

    /// Stops a worker where it is. From here on nothing it does with what it has accepted can be held against
    /// anybody else: requests on these connections may fail.
    pub(crate) fn freeze(&mut self, pid: i32) {
        kill(Pid::from_raw(pid), Signal::SIGSTOP).expect("the worker lives");
        witness::wait_for_state(pid, 'T');
        self.forgive(pid);
    }

    pub(crate) fn forgive(&mut self, pid: i32) {
        self.forgiven.extend(witness::accepted_by(pid, self.address));
    }

    /// A bad worker answered 500 then, which is what the scene is about.
    pub(crate) fn forgive_errors(&mut self, when: Range<Instant>) {
        self.errors.push(when);
    }

    /// Ends another load and counts it with this one.
    pub(crate) fn take_in(&mut self, other: Running) {
        self.others.push(other.finish());
    }

    /// How many connections the victims had accepted when they were struck.
    pub(crate) fn forgiven(&self) -> usize {
        self.forgiven.len()
    }

    /// Ends the load and the cluster, and judges: no request failed but those on connections of the victims.
    pub(crate) fn close(self, name: &str) -> Verdict {
        let calm = Instant::now();
        std::thread::sleep(self.effort.steady);
        let mut log = self.load.finish();
        log.requests
            .extend(self.others.into_iter().flat_map(|other| other.requests));
        let status = self.cluster.stop();
        let mut verdict = judge(name, self.kind, &log, |request| {
            let of_a_victim = request.from.is_some_and(|from| self.forgiven.contains(&from));
            let wrong = request.end == End::Status(500);
            of_a_victim || wrong && self.errors.iter().any(|when| when.contains(&request.over))
        });
        verdict.note_latency(&log, self.began..self.struck, self.struck..calm);
        if !status.success() {
            verdict.wrong(format!("the cluster did not stop well: {status}"));
        }
        verdict
    }
}

fn judge(name: &str, kind: Kind, log: &RequestLog, excused: impl Fn(&Request) -> bool) -> Verdict {
    let mut verdict = Verdict::new(name, kind, log);
    let inexcusable: Vec<_> = log.failed().filter(|request| !excused(request)).collect();
    verdict.excuse(log.failed().count() - inexcusable.len());
    if let Some(first) = inexcusable.first() {
        let many = inexcusable.len();
        verdict.wrong(format!("{many} failed that had no excuse, the first: {first:?}"));
    }
    verdict
}

/// A command about the cluster of that data directory.
pub(crate) fn ask(data: &Path, arguments: &[&str]) -> (i32, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_cluster"))
        .args(arguments)
        .args(["--json", "--data-dir"])
        .arg(data)
        .output()
        .expect("the command runs");
    let said = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code().unwrap_or(-1), said)
}

/// A SIGCONT.
pub(crate) fn thaw(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGCONT).expect("the worker lives");
}
