//! A running cluster as a test sees it: a real master with real workers in a private directory, its log read line by line, and
//! a method for each gesture. Whatever a test waits for is an event with a generous deadline; nothing sleeps to find out.
#![expect(
    dead_code,
    unreachable_pub,
    reason = "each test program uses a part of the gestures"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Longer than anything here takes on a machine that is busy with something else.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How a cluster is to be started.
pub struct Plan {
    program: PathBuf,
    directory: Arc<tempfile::TempDir>,
    config: String,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

impl Plan {
    /// `cluster serve` with two workers on a port the kernel chooses, short waits, and drill routes.
    pub fn shop() -> Plan {
        Plan {
            program: PathBuf::from(env!("CARGO_BIN_EXE_cluster")),
            directory: Arc::new(tempfile::tempdir().expect("a directory")),
            config: "[cluster]\nworkers = 2\nbind = [\"127.0.0.1:0\"]\nbake_time = \"50ms\"\n[drill]\nroutes = true\n".to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// The configuration file's text.
    pub fn config(mut self, text: &str) -> Plan {
        text.clone_into(&mut self.config);
        self
    }

    /// Changes one thing in the configuration.
    pub fn replace(mut self, from: &str, to: &str) -> Plan {
        assert!(self.config.contains(from), "{from:?} is not in the configuration");
        self.config = self.config.replace(from, to);
        self
    }

    /// Adds lines under a heading that is there already.
    pub fn with(self, heading: &str, lines: &str) -> Plan {
        let to = format!("{heading}\n{lines}");
        if self.config.contains(heading) {
            self.replace(heading, &to)
        } else {
            Plan {
                config: format!("{}{to}\n", self.config),
                ..self
            }
        }
    }

    /// More flags.
    pub fn arguments(mut self, arguments: &[&str]) -> Plan {
        self.arguments
            .extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// One more variable of its environment.
    pub fn environment(mut self, name: &'static str, value: &str) -> Plan {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Another program than `cluster`.
    pub fn program(mut self, path: &Path) -> Plan {
        path.clone_into(&mut self.program);
        self
    }

    /// The private directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Keeps the private directory for as long as the caller has this.
    pub fn keep(&self) -> Arc<tempfile::TempDir> {
        Arc::clone(&self.directory)
    }

    /// Over the directory that another cluster used.
    pub fn over(mut self, cluster: &Cluster) -> Plan {
        self.directory = Arc::clone(&cluster.directory);
        self
    }

    /// Starts it, without waiting for anything.
    pub fn launch(self) -> Cluster {
        let config = self.directory.path().join("cluster.toml");
        std::fs::write(&config, &self.config).expect("written");
        let mut child = Command::new(&self.program)
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .arg("--data-dir")
            .arg(self.directory.path().join("data"))
            .args(["--log-format", "json"])
            .args(&self.arguments)
            .env_remove("NOTIFY_SOCKET")
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = Log::follow(child.stderr.take().expect("piped"));
        Cluster {
            child,
            log,
            directory: self.directory,
            config,
        }
    }

    /// Starts it and waits until every worker is ready.
    pub fn start(self) -> Cluster {
        let cluster = self.launch();
        cluster.wait_for("serving");
        cluster
    }
}

/// A running cluster. Dropping it kills the master and every worker it ever told of.
pub struct Cluster {
    child: Child,
    log: Log,
    directory: Arc<tempfile::TempDir>,
    config: PathBuf,
}

impl Cluster {
    /// The master's pid.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Keeps the private directory for as long as the caller has this.
    pub fn keep(&self) -> Arc<tempfile::TempDir> {
        Arc::clone(&self.directory)
    }

    /// Where the first TCP address ended up.
    pub fn address(&self) -> SocketAddr {
        let line = self.wait_for("listening on");
        line["address"]
            .as_str()
            .expect("an address")
            .parse()
            .expect("an IP address")
    }

    /// `http://address/path`
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// GET on a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        Answer::of(client().get(self.url(path)).call())
    }

    /// POST of a JSON text on a connection of its own.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let request = client()
            .post(self.url(path))
            .header("content-type", "application/json");
        Answer::of(
            headers
                .iter()
                .fold(request, |request, (name, value)| request.header(*name, *value))
                .send(body),
        )
    }

    /// PUT of a JSON text on a connection of its own.
    pub fn put(&self, path: &str, body: &str) -> Answer {
        Answer::of(
            client()
                .put(self.url(path))
                .header("content-type", "application/json")
                .send(body),
        )
    }

    /// Replaces the configuration file.
    pub fn rewrite_config(&self, text: &str) {
        std::fs::write(&self.config, text).expect("written");
    }

    /// What the configuration file holds.
    pub fn config_text(&self) -> String {
        std::fs::read_to_string(&self.config).expect("readable")
    }

    /// Sends the master a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("the master lives");
    }

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

    /// Waits until the records of the living workers are as they should be. They are written a moment after the log line.
    pub fn wait_for_workers(&self, what: &str, is_it: impl Fn(&BTreeMap<u16, Vec<i32>>) -> bool) {
        let deadline = Instant::now() + PATIENCE;
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

    /// Waits until some worker is answering a request, as the control socket tells.
    pub fn wait_for_request_in_flight(&self) {
        let deadline = Instant::now() + PATIENCE;
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

    /// A place in the log to wait from.
    pub fn mark(&self) -> usize {
        self.log.lines.0.lock().expect("a lock").len()
    }

    /// The first line, from the beginning of the log, whose message contains this.
    pub fn wait_for(&self, text: &str) -> Value {
        self.wait_from(0, text)
    }

    /// The same, from a place on.
    pub fn wait_from(&self, from: usize, text: &str) -> Value {
        self.wait_until(from, text, |line| {
            line["message"]
                .as_str()
                .is_some_and(|message| message.contains(text))
        })
    }

    /// The first line from a place on that this is true of.
    pub fn wait_until(&self, from: usize, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.log.wait(from, what, is_it)
    }

    /// Waits until so many lines from a place on contain this.
    pub fn wait_for_many(&self, from: usize, text: &str, many: usize) {
        let seen = std::cell::Cell::new(0);
        self.wait_until(from, text, |line| {
            let hit = line["message"]
                .as_str()
                .is_some_and(|message| message.contains(text));
            seen.set(seen.get() + usize::from(hit));
            seen.get() == many
        });
    }

    /// How many lines from a place on contain this.
    pub fn count_from(&self, from: usize, text: &str) -> usize {
        let lines = self.log.lines.0.lock().expect("a lock");
        lines[from..]
            .iter()
            .filter(|line| {
                line["message"]
                    .as_str()
                    .is_some_and(|message| message.contains(text))
            })
            .count()
    }

    /// Everything logged so far.
    pub fn log(&self) -> Vec<Value> {
        self.log.lines.0.lock().expect("a lock").clone()
    }

    /// Waits for the master to end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        let pidfd = nix::poll::PollTimeout::try_from(PATIENCE).expect("short");
        let fd = cluster::sys::pidfd::open(self.pid());
        if let Ok(fd) = fd {
            let mut fds = [nix::poll::PollFd::new(
                std::os::fd::AsFd::as_fd(&fd),
                nix::poll::PollFlags::POLLIN,
            )];
            nix::poll::poll(&mut fds, pidfd).expect("polled");
        }
        assert!(
            Instant::now() < deadline,
            "the master did not end; its log:\n{}",
            self.log.text()
        );
        self.child.wait().expect("waited")
    }

    /// Waits for the master to end, and until everything that it and its workers said has been read.
    pub fn wait_to_the_last_word(&mut self) -> ExitStatus {
        let status = self.wait();
        self.log
            .wait(0, "the end of the log", |line| line.get("end of log").is_some());
        status
    }

    /// SIGTERM, and the exit.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// Kills the master alone, as the kernel's OOM killer would.
    pub fn kill_master(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let workers: Vec<i32> = self.workers().into_values().flatten().collect();
        let _ = self.child.kill();
        let _ = self.child.wait();
        for line in self.log() {
            if std::thread::panicking() {
                eprintln!("{line}");
            }
        }
        for pid in workers {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// What a request got.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    fn of(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
        Answer::try_of(result).expect("an answer")
    }

    /// The answer, or what went wrong on the way.
    pub fn try_of(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer, String> {
        let mut response = result.map_err(|error| error.to_string())?;
        let headers = response.headers().iter();
        let headers = headers
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        let body = response
            .body_mut()
            .read_to_string()
            .map_err(|error| error.to_string())?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers,
            body,
        })
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// A client that never reuses a connection and takes every status for an answer.
pub fn client() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_idle_connections(0)
        .timeout_global(Some(PATIENCE))
        .build()
        .into()
}

struct Log {
    lines: Arc<(Mutex<Vec<Value>>, Condvar)>,
}

impl Log {
    fn follow(stderr: impl Read + Send + 'static) -> Log {
        let lines = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let shared = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let value =
                    serde_json::from_str(&line).unwrap_or_else(|_| serde_json::json!({ "message": line }));
                shared.0.lock().expect("a lock").push(value);
                shared.1.notify_all();
            }
            shared
                .0
                .lock()
                .expect("a lock")
                .push(serde_json::json!({ "end of log": true }));
            shared.1.notify_all();
        });
        Log { lines }
    }

    fn wait(&self, from: usize, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.lines.0.lock().expect("a lock");
        let mut seen = from;
        loop {
            if let Some(found) = lines[seen..].iter().find(|line| is_it(line)) {
                return found.clone();
            }
            seen = lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(lines);
                panic!("waited in vain for {what:?}; the log:\n{}", self.text());
            }
            lines = self.lines.1.wait_timeout(lines, left).expect("a lock").0;
        }
    }

    fn text(&self) -> String {
        self.lines
            .0
            .lock()
            .expect("a lock")
            .iter()
            .map(|line| format!("{line}\n"))
            .collect()
    }
}
