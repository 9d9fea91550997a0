//! A cluster that a shell started on a terminal: in the background with `stty tostop`, where the kernel
//! answers a write with SIGTTOU, and in the foreground of a terminal that is closed, where it sends SIGHUP.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::common::{Log, TIMEOUT, run};

/// A shell that leads a session of its own on a terminal of its own, and the cluster that it started.
struct Terminal {
    shell: Child,
    log: Log,
    data: PathBuf,
    /// A named pipe for the script, which is its `$fifo`.
    fifo: PathBuf,
    _directory: tempfile::TempDir,
}

impl Terminal {
    /// Runs a script with job control. In it, `serve` starts the cluster. `log` is where it writes its log.
    fn start(script: &str, log: LogTo) -> Terminal {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let pty = nix::pty::openpty(None, None).expect("a terminal");
        let terminal = || Stdio::from(pty.slave.try_clone().expect("duplicated"));
        let mut shell = Command::new("setsid");
        shell
            .args(["--ctty", "bash", "-m", "-c"])
            .arg(format!(
                "data=$1 fifo=$2 flags='--bind 127.0.0.1:0 --workers 2 --log-format json'\n\
                 serve() {{ exec \"$0\" serve $flags --data-dir \"$data\" 2>&1; }}\n{script}"
            ))
            .arg(env!("CARGO_BIN_EXE_cluster"))
            .arg(&data)
            .arg(&fifo)
            .env_remove("NOTIFY_SOCKET")
            .stdin(terminal())
            .stderr(terminal());
        let (shell, log) = match log {
            LogTo::Terminal => {
                let shell = shell.stdout(terminal()).spawn().expect("setsid and bash");
                (shell, Log::follow(File::from(pty.master)))
            }
            LogTo::Pipe => {
                let mut shell = shell.stdout(Stdio::piped()).spawn().expect("setsid and bash");
                let stdout = shell.stdout.take().expect("piped");
                std::thread::spawn(move || std::io::copy(&mut File::from(pty.master), &mut std::io::sink()));
                (shell, Log::follow(stdout))
            }
        };
        Terminal {
            shell,
            log,
            data,
            fifo,
            _directory: directory,
        }
    }

    fn wait_for(&self, text: &str) -> Value {
        let holds = |line: &Value| line["message"].as_str().is_some_and(|said| said.contains(text));
        self.log.wait(0, text, holds)
    }

    fn master(&self) -> Pid {
        let text = std::fs::read_to_string(self.data.join("run/master.lock"))
            .expect("the lock of the run directory");
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        Pid::from_raw(digits.parse().expect("a pid"))
    }

    fn status(&self) -> Value {
        let data = self.data.to_str().expect("text");
        run(&["status", "--json", "--data-dir", data]).json()
    }
}

enum LogTo {
    Terminal,
    Pipe,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.data.join("run/master.lock").exists() {
            // It may be gone already.
            let _gone = kill(self.master(), Signal::SIGKILL);
        }
        let _gone = self.shell.kill();
        let _reaped = self.shell.wait();
    }
}

fn slots(status: &Value) -> usize {
    status["slots"].as_array().expect("slots").len()
}

#[test]
fn a_background_job_on_a_terminal_with_tostop_serves_and_stops() {
    let terminal = Terminal::start(
        "stty tostop; serve & wait $!; echo exit=$?; read _",
        LogTo::Terminal,
    );
    terminal.wait_for("serving: every worker is ready");
    assert_eq!(slots(&terminal.status()), 2);
    kill(terminal.master(), Signal::SIGTERM).expect("sent");
    terminal.wait_for("exit=0");
}

#[test]
fn a_process_of_the_same_job_that_the_terminal_stops_takes_no_worker_away() {
    // The subshell is of the cluster's process group. It writes to the terminal from the background when it
    // is told to, and the kernel sends SIGTTOU to the whole group.
    let script = "stty tostop; ( serve & echo job=$BASHPID; read _ < \"$fifo\"; echo noise >&2 ) & read _";
    let terminal = Terminal::start(script, LogTo::Pipe);
    terminal.wait_for("serving: every worker is ready");
    let said = terminal.wait_for("job=")["message"].to_string();
    let digits: String = said.chars().filter(char::is_ascii_digit).collect();
    let job: i32 = digits.parse().expect("a pid");
    std::fs::write(&terminal.fifo, "go\n").expect("the subshell reads");
    let deadline = Instant::now() + TIMEOUT;
    while cluster::sys::procfs::stat(job).expect("it lives").state != 'T' {
        assert!(
            Instant::now() < deadline,
            "the terminal did not stop the subshell"
        );
        std::thread::yield_now();
    }
    // Whatever the master makes of the signal, it has made of it before the second answer.
    terminal.status();
    let status = terminal.status();
    assert_eq!(slots(&status), 2, "{status}");
    assert_eq!(terminal.log.count("scaled"), 0, "{}", terminal.log.text());
}

#[test]
fn a_terminal_that_is_closed_is_no_reload_and_a_hang_up_by_a_process_is_one() {
    let mut terminal = Terminal::start("( serve )", LogTo::Pipe);
    terminal.wait_for("serving: every worker is ready");
    // The end of the session's leader makes the kernel send SIGHUP to the job in the foreground.
    terminal.shell.kill().expect("killed");
    terminal.shell.wait().expect("reaped");
    let status = terminal.status();
    assert_eq!(status["master"]["state"], "running", "{status}");
    assert_eq!(status["master"]["generation"], 1, "{status}");
    assert!(status["master"]["last_verdict"].is_null(), "{status}");
    kill(terminal.master(), Signal::SIGHUP).expect("sent");
    terminal.wait_for("reload done");
    assert_eq!(terminal.status()["master"]["generation"], 2);
}
