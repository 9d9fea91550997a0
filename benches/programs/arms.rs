//! What is compared: each program, who runs it, and how it is told to reload. It must not know what is
//! measured.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Something that runs a program with several workers.
pub(crate) struct Arm {
    /// What `--only` calls it.
    pub(crate) name: &'static str,
    /// What people would type.
    pub(crate) title: &'static str,
    /// What has to be installed, and nothing of Node's for the others.
    pub(crate) needs: &'static [Tool],
    pub(crate) runner: Runner,
    /// The arguments, the program first; behind `cluster run … --` where that is the runner.
    command: fn(&ArmSite) -> Vec<OsString>,
    /// What stands in the command line of the program itself, not of npm or a shell around it.
    pub(crate) marker: &'static str,
    /// Whether it gets its listener as LISTEN_FDS: then the address is given to `cluster run`.
    fds: bool,
    /// Requests per second that it bears with new connections beside the client.
    pub(crate) rate: u32,
    /// Whether kills, hangs and costs are measured, too.
    pub(crate) in_full: bool,
    pub(crate) bar: Bar,
}

/// Who starts the workers, and how it is told to reload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    /// `cluster run`, told by `cluster reload`.
    Cluster,
    /// The program's own primary or master, told by SIGHUP.
    Itself,
    /// PM2, told by `pm2 reload`.
    Pm2,
}

/// How many requests may fail in reloads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bar {
    /// It has none.
    Nothing,
    /// None on new connections; what its own stop does to kept ones is a fact.
    NothingOnNewConnections,
    /// It is a fact here, no bar.
    Fact,
}

/// What may not be installed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Node,
    Npm,
    Pm2,
    Uvicorn,
    Gunicorn,
    Go,
}

/// Where an arm runs.
pub(crate) struct ArmSite {
    pub(crate) address: SocketAddr,
    pub(crate) workers: usize,
    /// Private to this start.
    pub(crate) directory: PathBuf,
}

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Another build of `cluster` than the one beside this bench is measured. To be called first.
pub(crate) fn measure_program(path: PathBuf) {
    PROGRAM.get_or_init(|| path);
}

/// The build of `cluster` that is measured.
pub(crate) fn program() -> &'static Path {
    PROGRAM.get_or_init(|| PathBuf::from(env!("CARGO_BIN_EXE_cluster")))
}

/// The benches' own programs.
pub(crate) const APPS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/programs/apps");
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench-programs");
const INSTALL: &str = "bash benches/programs/install";

impl Tool {
    /// What is to be done about it, when it is missing.
    pub(crate) fn missing(self) -> Option<String> {
        let (name, there, remedy) = match self {
            Tool::Node => (
                "Node",
                runs("node"),
                "install Node 20 or newer, such that `node` is found",
            ),
            Tool::Npm => ("npm", runs("npm"), "install npm, such that `npm` is found"),
            Tool::Pm2 => ("PM2", pm2("pm2-runtime").exists(), INSTALL),
            Tool::Uvicorn => ("uvicorn", python("uvicorn").exists(), INSTALL),
            Tool::Gunicorn => ("gunicorn", python("gunicorn").exists(), INSTALL),
            Tool::Go => ("the Go program", installed("server").exists(), INSTALL),
        };
        (!there).then(|| format!("{name} is not installed: {remedy}"))
    }
}

fn runs(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

fn installed(path: &str) -> PathBuf {
    Path::new(INSTALLED).join(path)
}

fn pm2(program: &str) -> PathBuf {
    installed("node/node_modules/.bin").join(program)
}

fn python(program: &str) -> PathBuf {
    installed("python/bin").join(program)
}

/// A bar of its own, a name and a title are all that differ between most arms.
const fn arm(name: &'static str, title: &'static str, command: fn(&ArmSite) -> Vec<OsString>) -> Arm {
    Arm {
        name,
        title,
        needs: &[Tool::Node],
        runner: Runner::Cluster,
        command,
        marker: "app.js",
        fds: false,
        rate: 3_000,
        in_full: false,
        bar: Bar::NothingOnNewConnections,
    }
}

/// Python's servers do not bear 3,000 new connections per second beside the client.
const PYTHON_RATE: u32 = 1_000;

/// All of them.
pub(crate) const ARMS: &[Arm] = &[
    Arm {
        in_full: true,
        bar: Bar::Nothing,
        ..arm("node", "cluster run -- node app.js", |_| words("node app.js"))
    },
    Arm {
        in_full: true,
        bar: Bar::Fact,
        runner: Runner::Itself,
        ..arm("node-cluster", "Node's own cluster, SCHED_NONE", |_| {
            words("node primary.js")
        })
    },
    Arm {
        in_full: true,
        bar: Bar::Fact,
        runner: Runner::Pm2,
        needs: &[Tool::Node, Tool::Pm2],
        ..arm("pm2", "PM2, cluster mode", pm2_start)
    },
    Arm {
        in_full: true,
        bar: Bar::Nothing,
        needs: &[Tool::Node, Tool::Npm],
        ..arm("npm", "cluster run -- npm start", |_| words("npm start"))
    },
    arm("sh", "cluster run -- sh -c 'node app.js'", |_| {
        let mut command = words("sh -c");
        command.push("node app.js".into());
        command
    }),
    arm("script", "cluster run -- ./start.sh (execs)", |_| {
        words("./start.sh")
    }),
    Arm {
        needs: &[Tool::Uvicorn],
        marker: "",
        fds: true,
        rate: PYTHON_RATE,
        ..arm("uvicorn", "cluster run -- uvicorn --fd 3", |_| {
            of_python("uvicorn", "asgi:app --fd 3 --no-access-log")
        })
    },
    Arm {
        needs: &[Tool::Uvicorn],
        marker: "",
        runner: Runner::Itself,
        rate: PYTHON_RATE,
        bar: Bar::Fact,
        ..arm("uvicorn-own", "uvicorn --workers 2, HUP", |place| {
            let ArmSite { address, workers, .. } = place;
            let address = format!("--host {} --port {}", address.ip(), address.port());
            of_python(
                "uvicorn",
                &format!("asgi:app {address} --workers {workers} --no-access-log"),
            )
        })
    },
    Arm {
        needs: &[Tool::Gunicorn],
        marker: "",
        fds: true,
        rate: PYTHON_RATE,
        ..arm("gunicorn", "cluster run -- gunicorn", |_| {
            of_python(
                "gunicorn",
                "wsgi:app --workers 1 --worker-class gthread --threads 4",
            )
        })
    },
    Arm {
        needs: &[Tool::Gunicorn],
        marker: "",
        runner: Runner::Itself,
        rate: PYTHON_RATE,
        bar: Bar::Fact,
        ..arm("gunicorn-own", "gunicorn --workers 2, HUP", |place| {
            let ArmSite { address, workers, .. } = place;
            let threads = "--worker-class gthread --threads 4";
            of_python(
                "gunicorn",
                &format!("wsgi:app --workers {workers} {threads} --bind {address}"),
            )
        })
    },
    Arm {
        needs: &[Tool::Go],
        marker: "",
        fds: true,
        ..arm("go", "cluster run -- ./server (Go)", |_| {
            vec![installed("server").into_os_string()]
        })
    },
];

impl Arm {
    /// The whole command line.
    pub(crate) fn command(&self, place: &ArmSite) -> Vec<OsString> {
        let program = (self.command)(place);
        match self.runner {
            Runner::Itself | Runner::Pm2 => program,
            Runner::Cluster => [cluster_run(self, place), program].concat(),
        }
    }

    /// What tells it to reload and waits for the end; `None`: it is told by SIGHUP.
    pub(crate) fn reload(&self, place: &ArmSite) -> Option<Vec<OsString>> {
        match self.runner {
            Runner::Itself => None,
            Runner::Cluster => {
                let mut command = vec![program().into()];
                command.extend(words("reload --data-dir"));
                command.push(place.data());
                Some(command)
            }
            Runner::Pm2 => {
                let mut command = vec![pm2("pm2").into_os_string()];
                command.extend(words("reload app"));
                Some(command)
            }
        }
    }
}

impl ArmSite {
    fn data(&self) -> OsString {
        self.directory.join("data").into_os_string()
    }
}

/// Workers are killed again and again here, which must not look like a crash loop.
fn cluster_run(arm: &Arm, place: &ArmSite) -> Vec<OsString> {
    let mut command = vec![program().into()];
    command.extend(words(
        "run --set cluster.early_death=10ms --set cluster.restart_limit=1000",
    ));
    command.extend(words(&format!("--workers {}", place.workers)));
    if arm.fds {
        command.extend(words(&format!("--bind {}", place.address)));
    }
    command.extend([OsString::from("--data-dir"), place.data(), "--".into()]);
    command
}

/// The same of PM2, in the file that its users have.
fn pm2_start(place: &ArmSite) -> Vec<OsString> {
    let ecosystem = serde_json::json!({"apps": [{
        "name": "app",
        "script": format!("{APPS}/app.js"),
        "exec_mode": "cluster",
        "instances": place.workers,
        "min_uptime": 100,
        "max_restarts": 1000,
    }]});
    let file = place.directory.join("ecosystem.json");
    std::fs::write(&file, ecosystem.to_string()).expect("written to a directory of one's own");
    let mut command = vec![pm2("pm2-runtime").into_os_string(), "start".into()];
    command.push(file.into_os_string());
    command
}

fn of_python(program: &str, arguments: &str) -> Vec<OsString> {
    let mut command = vec![python(program).into_os_string()];
    command.extend(words(arguments));
    command
}

fn words(text: &str) -> Vec<OsString> {
    text.split(' ').map(OsString::from).collect()
}
