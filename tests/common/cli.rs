//! A command as typed beside a running cluster, and a bare connection to its socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::{Cluster, PATIENCE};

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Told {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Told {
    fn of(output: Output) -> Told {
        Told {
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
pub fn typed(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cluster"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The gestures of a person beside a cluster.
pub trait Desk {
    /// A command about this cluster.
    fn typed(&self, arguments: &[&str]) -> Command;

    /// The same, to its end.
    fn tell(&self, arguments: &[&str]) -> Told {
        Told::of(self.typed(arguments).output().expect("the command runs"))
    }

    /// The same with `--json`, which is expected to end well.
    fn ask(&self, arguments: &[&str]) -> Value {
        let told = self.tell(&[arguments, &["--json"]].concat());
        assert_eq!(told.code, 0, "{told:?}");
        told.json()
    }

    /// A connection of one's own to the control socket.
    fn connect(&self) -> UnixStream;

    /// Sends these bytes and takes whatever comes back until the master closes.
    fn say(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // The master may have cut us before everything was said.
        let _cut = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _cut = stream.read_to_end(&mut answer);
        String::from_utf8(answer).expect("text")
    }

    /// The master still answers, with this many slots in service: at last, for one that gets no CPU for a while is late.
    fn is_well(&self, slots: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.ask(&["status"]);
            let all = status["slots"].as_array().expect("slots").iter();
            if all.filter(|slot| slot["state"] == "serving").count() == slots {
                return;
            }
            assert!(Instant::now() < deadline, "{status}");
        }
    }
}

impl Desk for Cluster {
    fn typed(&self, arguments: &[&str]) -> Command {
        let mut command = typed(arguments);
        command.arg("--data-dir").arg(self.data());
        command
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.data().join("run/control.sock")).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.set_write_timeout(Some(PATIENCE)).expect("set");
        stream
    }
}

/// A command without a cluster, to its end.
pub fn tell(arguments: &[&str]) -> Told {
    Told::of(typed(arguments).output().expect("the command runs"))
}
