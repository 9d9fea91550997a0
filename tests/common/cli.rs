//! A command as typed beside a running cluster, and a bare connection to its socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::{Cluster, TIMEOUT};

/// What a command said and how it ended.
#[derive(Debug)]
pub struct CommandResult {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl CommandResult {
    fn of(output: Output) -> CommandResult {
        CommandResult {
            code: output.status.code().expect("an exit code"),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// The one line of `--json`.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A command line of the program, started, with nothing read yet.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cluster"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The gestures of a person beside a cluster.
pub trait Cli {
    /// A command about this cluster.
    fn command(&self, arguments: &[&str]) -> Command;

    /// The same, to its end.
    fn run(&self, arguments: &[&str]) -> CommandResult {
        CommandResult::of(self.command(arguments).output().expect("the command runs"))
    }

    /// The same with `--json`, which is expected to end well.
    fn run_json(&self, arguments: &[&str]) -> Value {
        let result = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(result.code, 0, "{result:?}");
        result.json()
    }

    /// A connection of one's own to the control socket.
    fn connect(&self) -> UnixStream;

    /// Sends these bytes and takes whatever comes back until the master closes.
    fn send_bytes(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // The master may have cut us before everything was said.
        let _cut = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _cut = stream.read_to_end(&mut answer);
        String::from_utf8(answer).expect("text")
    }

    /// The master still answers, with this many slots in service: at last, for one that gets no CPU for a
    /// while is late.
    fn wait_until_serving(&self, slots: usize) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let status = self.run_json(&["status"]);
            let all = status["slots"].as_array().expect("slots").iter();
            if all.filter(|slot| slot["state"] == "serving").count() == slots {
                return;
            }
            assert!(Instant::now() < deadline, "{status}");
        }
    }
}

impl Cli for Cluster {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.arg("--data-dir").arg(self.data());
        command
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.data().join("run/control.sock")).expect("connected");
        stream.set_read_timeout(Some(TIMEOUT)).expect("set");
        stream.set_write_timeout(Some(TIMEOUT)).expect("set");
        stream
    }
}

/// A command without a cluster, to its end.
pub fn run(arguments: &[&str]) -> CommandResult {
    CommandResult::of(command(arguments).output().expect("the command runs"))
}
