//! How a cluster is to be started: program, configuration, flags, environment, directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::Cluster;
use super::log::Log;

/// How a cluster is to be started.
pub struct Plan {
    program: PathBuf,
    directory: Arc<tempfile::TempDir>,
    config: String,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    file_size_limit: Option<u64>,
    umask: Option<&'static str>,
    started_in: Option<StartDirectory>,
    /// A program to be run by the workers in place of the shop, and its arguments.
    command: Vec<String>,
}

/// A directory to start in, and what is named from there.
struct StartDirectory {
    directory: PathBuf,
    config: PathBuf,
    data_dir: PathBuf,
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
            file_size_limit: None,
            started_in: None,
            umask: None,
            command: Vec::new(),
        }
    }

    /// `cluster run` of a program, with two workers and short waits.
    pub fn run(command: &[&str]) -> Plan {
        Plan {
            config: "[cluster]\nworkers = 2\nbake_time = \"50ms\"\n".to_owned(),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            ..Plan::shop()
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

    /// Started in this directory, as a shell does after `cd`, with a configuration and a data directory that
    /// are named from there.
    pub fn started_in(mut self, directory: &Path, config: &str, data_dir: &str) -> Plan {
        self.started_in = Some(StartDirectory {
            directory: directory.to_owned(),
            config: config.into(),
            data_dir: data_dir.into(),
        });
        self
    }

    /// No process of the cluster may make a file longer than this many bytes.
    pub fn file_size_limit(mut self, bytes: u64) -> Plan {
        self.file_size_limit = Some(bytes);
        self
    }

    /// The cluster is started with this umask, in octal.
    pub fn umask(mut self, umask: &'static str) -> Plan {
        self.umask = Some(umask);
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

    fn command(&self) -> Command {
        let mut command = match (self.umask, self.file_size_limit) {
            (Some(umask), _) => under_umask(umask, &self.program),
            (None, None) => Command::new(&self.program),
            (None, Some(bytes)) => {
                let mut command = Command::new("prlimit");
                command.arg(format!("--fsize={bytes}")).arg(&self.program);
                command
            }
        };
        if let Some(start) = &self.started_in {
            command.current_dir(&start.directory).env("PWD", &start.directory);
        }
        command
    }

    /// Starts it, without waiting for anything.
    pub fn launch(self) -> Cluster {
        let config = self.directory.path().join("cluster.toml");
        std::fs::write(&config, &self.config).expect("written");
        let data_dir = self.directory.path().join("data");
        let named = match &self.started_in {
            Some(start) => [&start.config, &start.data_dir],
            None => [&config, &data_dir],
        };
        let separator = (!self.command.is_empty()).then_some("--");
        let program = separator
            .into_iter()
            .chain(self.command.iter().map(String::as_str));
        let mut child = self
            .command()
            .arg(if self.command.is_empty() { "serve" } else { "run" })
            .arg("--config")
            .arg(named[0])
            .arg("--data-dir")
            .arg(named[1])
            .args(["--log-format", "json"])
            .args(&self.arguments)
            .args(program)
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
        cluster.wait_for("serving: every worker is ready");
        cluster
    }
}

/// The program with this umask, in octal.
pub fn under_umask(umask: &str, program: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("umask {umask} && exec \"$0\" \"$@\""))
        .arg(program);
    command
}
