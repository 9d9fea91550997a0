//! The start of a master: directories and their locks, then the addresses, then the incarnation counter, and
//! only then the first fork.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use tracing::{info, warn};

use super::activation::{ActivationError, PassedListeners, passed_listeners};
use super::build::Build;
use super::directories::{Directories, DirectoryError};
use super::incarnation::{self, IncarnationError};
use super::launch::Launch;
use super::orphans::{Orphan, OrphanGrace, Orphans, WorkerRecords, wait_for_addresses};
use super::pid_file::{PidFile, PidFileError};
use super::user::{self, UserError};
use super::variables::resembled_key;
use crate::base::exit::Exit;
use crate::base::ids;
use crate::config::cpus::WorkerCount;
use crate::config::{Address, ClusterSettings, Effective, Section};
use crate::control::socket_path::{self, control_socket};
use crate::master::control::{ControlServer, EndedOutputs};
use crate::master::host::{Host, Persisted};
use crate::master::listeners::{AddressError, AdminListener, Listeners};
use crate::master::poller::{PollSource, Poller};
use crate::master::process::cpus;
use crate::master::process::environment::withheld;
use crate::master::process::executable::Executable;
use crate::master::process::generation::LoadedGeneration;
use crate::master::process::policy::policy;
use crate::master::process::spawn::Spawner;
use crate::master::process::strays::{Strays, runs_program};
use crate::master::report::lost_sockets::LostSockets;
use crate::master::report::systemd::ServiceManager;
use crate::master::upgrade::{RehearsalStage, UpgradeError};
use crate::pool::Pool;
use crate::sys::signals::{Signals, allow_all};
use crate::sys::{clock, limits, paths};

/// The signals that have a meaning for this master or for others of its kind: none of them may kill it.
pub(in crate::master) const SIGNALS: [Signal; 15] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGCHLD,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGIO,
    Signal::SIGPWR,
];

/// The signals that are requests only if a process sent them. The kernel sends them when a terminal is
/// closed, or when any process of the master's group uses a terminal from the background.
pub(in crate::master) const PROCESSES_ONLY: [Signal; 3] = [Signal::SIGHUP, Signal::SIGTTIN, Signal::SIGTTOU];

/// Why a master did not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A directory is in use, untrusted or unusable.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// An address is in use or not available.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A socket that the service manager passed cannot be used.
    #[error(transparent)]
    Activation(#[from] ActivationError),
    /// The settings contradict the sockets that the service manager passed, or want some and there are none.
    #[error("the configuration is refused {0}")]
    Contradiction(String),
    /// The incarnation counter is damaged or cannot be raised.
    #[error(transparent)]
    Incarnation(#[from] IncarnationError),
    /// The workers cannot run as the configured user.
    #[error(transparent)]
    User(#[from] UserError),
    /// The path of the control socket is too long.
    #[error(transparent)]
    SocketPathTooLong(#[from] socket_path::SocketPathTooLong),
    /// The control socket cannot be opened.
    #[error("failed to listen on the control socket {path}: {source}; the run directory must be able to \
        hold a socket (--run-dir)", path = path.display())]
    Control {
        /// The path of the socket.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The pid file cannot be written.
    #[error(transparent)]
    PidFile(#[from] PidFileError),
    /// A descriptor, memory or `/dev/null` is missing.
    #[error("failed to set up the master: {0}")]
    System(#[from] io::Error),
    /// This binary took over from another one in this process and could not go on.
    #[error(
        "this binary took over as master and cannot go on: {0}; the workers finish what they accepted and \
         exit, as after any death of their master; start the cluster again"
    )]
    RehearsalStage(#[from] UpgradeError),
    /// Waiting for events failed.
    #[error("the master's loop failed: {0}")]
    Loop(io::Error),
}

impl StartError {
    /// The exit code of the process.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.source_io().is_some_and(limits::is_exhaustion) {
            return Exit::NoResources;
        }
        match self {
            StartError::Directory(DirectoryError::Taken { .. })
            | StartError::PidFile(PidFileError::Taken { .. })
            | StartError::Address(AddressError::Taken { .. }) => Exit::InUse,
            StartError::Directory(_) | StartError::PidFile(_) | StartError::Control { .. } => {
                Exit::Unwritable
            }
            StartError::SocketPathTooLong(_)
            | StartError::Activation(_)
            | StartError::Contradiction(_)
            | StartError::Address(AddressError::Overlaps { .. }) => Exit::BadConfig,
            StartError::Address(AddressError::Io { source, .. }) => match source.kind() {
                io::ErrorKind::PermissionDenied => Exit::NoPermission,
                io::ErrorKind::AddrInUse => Exit::InUse,
                _ => Exit::BadConfig,
            },
            StartError::Incarnation(IncarnationError::Damaged { .. }) => Exit::BadData,
            StartError::Incarnation(IncarnationError::Io { .. }) => Exit::DiskFailed,
            StartError::User(UserError::NotRoot { .. }) => Exit::NoPermission,
            StartError::User(UserError::Unknown { .. }) => Exit::BadConfig,
            StartError::System(_) => Exit::NoResources,
            StartError::RehearsalStage(_) | StartError::Loop(_) => Exit::Failed,
        }
    }
}

impl StartError {
    /// The error of the operating system, where there is one.
    fn source_io(&self) -> Option<&io::Error> {
        match self {
            StartError::Directory(DirectoryError::Io { source, .. })
            | StartError::Address(AddressError::Io { source, .. })
            | StartError::Incarnation(IncarnationError::Io { source, .. })
            | StartError::Control { source, .. }
            | StartError::System(source)
            | StartError::PidFile(PidFileError::Io { source, .. })
            | StartError::Loop(source) => Some(source),
            StartError::RehearsalStage(_)
            | StartError::Directory(DirectoryError::Taken { .. } | DirectoryError::Untrusted { .. })
            | StartError::Address(AddressError::Taken { .. } | AddressError::Overlaps { .. })
            | StartError::Activation(_)
            | StartError::Contradiction(_)
            | StartError::Incarnation(IncarnationError::Damaged { .. })
            | StartError::PidFile(PidFileError::Taken { .. })
            | StartError::User(_)
            | StartError::SocketPathTooLong(_) => None,
        }
    }
}

/// A master that is ready to start its first worker.
pub(in crate::master) struct Started {
    pub(in crate::master) pool: Pool,
    pub(in crate::master) host: Host,
}

/// Does everything that must be done before the first fork, in the only order that is safe.
pub(in crate::master) fn start(launch: Launch, effective: Effective) -> Result<Started, StartError> {
    let signals = Signals::hear(&SIGNALS, &PROCESSES_ONLY)?;
    // The process that started this one may have blocked signals, and the mask survives exec.
    allow_all()?;
    let poller = Poller::new()?;
    poller.add(&signals, PollSource::Signals)?;
    let passed = passed_listeners(effective.settings.cluster.admin.as_ref())?;
    let service_manager = ServiceManager::from_environment(passed.stored_names());
    let settings = passed
        .listeners
        .with_passed(effective)
        .map_err(StartError::Contradiction)?;
    let cluster = settings.cluster.clone();
    report_limits()?;
    report_variables(launch.sections);
    let credentials = user::credentials(cluster.user.as_deref(), cluster.group.as_deref())?;
    let mut directories = Directories::open(&cluster.data_dir, &cluster.run_dir(), credentials.as_ref())?;
    directories.describe_owner(&format!("pid {}", std::process::id()))?;
    let server = open_control_server(&directories.run, &poller)?;
    let records = WorkerRecords::in_dir(&directories.run);
    let mut orphans = records.living();
    let strays = Strays::from_start(runs_program(&settings), &directories.data, &orphans);
    let listeners = listen(&cluster, passed, &mut orphans, &records.lent())?;
    let orphans = Orphans::new(orphans, &poller)?;
    let pid_file = PidFile::write(cluster.pid_file.as_deref())?;
    let incarnation = incarnation::next(&directories.data)?;
    // Without one, as after its deletion, only absolute paths can be found again.
    let working_directory = paths::working_directory().unwrap_or_default();
    let program = Executable::running(&working_directory)?;
    let decision = cpus::workers(&settings);
    let policy = policy(&settings, decision.workers);
    report(&decision, &listeners, incarnation);
    credentials
        .iter()
        .for_each(|_| report_withheld(&settings.cluster));
    let first = ids::Generation(1);
    let generation = LoadedGeneration::open(&program.location.find()?, settings)?;
    let generations = [(first, generation)].into();
    let null = File::options().read(true).write(true).open("/dev/null")?.into();
    let spawner = Spawner {
        program,
        credentials,
        data_dir: directories.data.clone(),
        null,
    };
    let began = clock::now();
    let mut pool = Pool::new(policy, incarnation, first, began, fastrand::u64(..));
    pool.remember_slots(listeners.slots());
    let build = Build::of_this_process(launch.version);
    let host = Host {
        incarnation,
        persisted: Persisted::new(began),
        poller,
        signals,
        processes: std::collections::BTreeMap::new(),
        generations,
        listeners,
        ended_outputs: EndedOutputs::default(),
        file_watch: None,
        lost_sockets: LostSockets::default(),
        spawner,
        orphans,
        records,
        records_outdated: true,
        launch: launch.named_from(&working_directory),
        working_directory,
        control: server,
        last_stop_signal: None,
        service_manager,
        stub: None,
        strays,
        upgrade: RehearsalStage::None,
        build,
        pid_file,
        directories,
    };
    Ok(Started { pool, host })
}

fn open_control_server(run_dir: &Path, poller: &Poller) -> Result<ControlServer, StartError> {
    let path = control_socket(run_dir)?;
    ControlServer::open(&path, poller).map_err(|source| StartError::Control { path, source })
}

/// Says so of variables that somebody took for the configuration.
fn report_variables(app: &[Section]) {
    for (name, _) in std::env::vars_os() {
        if let Some(key) = resembled_key(&name, app) {
            let name = name.to_string_lossy();
            warn!("the variable {name} has no effect; set {key} with --set {key}=VALUE or in the file");
        }
    }
}

fn report_limits() -> io::Result<()> {
    let limits::RaisedLimit { before, now } = limits::raise_open_files()?;
    info!("open files: at most {now} in each process (the soft limit was {before})");
    Ok(())
}

fn report(decision: &WorkerCount, listeners: &Listeners, incarnation: ids::Incarnation) {
    info!(workers = decision.workers, "{}", decision.reasoning);
    report_addresses(&listeners.addresses(), incarnation);
    if let Some(admin) = &listeners.admin {
        let address = &admin.address;
        info!(%address, "metrics at /metrics on {address}");
        report_reachability(address, false);
    }
}

fn report_withheld(cluster: &ClusterSettings) {
    match withheld(cluster) {
        0 => {}
        many => info!(
            "{many} variables of the environment are withheld from the workers, which are another user \
             (cluster.pass_environment names those that it may have)"
        ),
    }
}

/// Logs the addresses that clients can connect to from now on.
pub(in crate::master) fn report_addresses(addresses: &[Address], incarnation: ids::Incarnation) {
    for address in addresses {
        info!(%address, pid = std::process::id(), %incarnation, "listening on {address}");
        report_reachability(address, false);
    }
}

/// Logs who can connect to an address.
pub(in crate::master) fn report_reachability(address: &Address, dual_stack: bool) {
    if !address.is_loopback() {
        info!(%address, "this address can be reached from other machines");
    }
    if let Address::Tcp(tcp) = address
        && !dual_stack
        && tcp.is_ipv6()
        && tcp.ip().is_unspecified()
    {
        let port = tcp.port();
        info!(%address, "this address takes IPv6 alone; bind 0.0.0.0:{port} beside it for IPv4");
    }
}

/// Takes back the listeners that the service manager kept.
fn take_back(
    PassedListeners {
        mut listeners,
        stored,
    }: PassedListeners,
    bind: &[Address],
) -> Listeners {
    let many = stored.len();
    if many > 0 {
        let taken = listeners.restore_stored(stored, bind);
        info!(
            listeners = taken,
            "the service manager kept {many} listeners, and {taken} of them fit: what waits there is served"
        );
    }
    listeners
}

/// Opens the addresses beside the listeners that were passed.
fn listen(
    cluster: &ClusterSettings,
    passed: PassedListeners,
    orphans: &mut Vec<Orphan>,
    lent: &[Address],
) -> Result<Listeners, StartError> {
    let mut listeners = take_back(passed, &cluster.bind);
    if !orphans.is_empty() {
        let pids: Vec<String> = orphans
            .iter()
            .map(|orphan| orphan.record.pid.to_string())
            .collect();
        warn!(
            "workers of the last master are still alive (pids {}); waiting until they close their listeners",
            pids.join(", ")
        );
    }
    let admin = match listeners.admin {
        Some(_) => None,
        None => cluster.admin.as_ref(),
    };
    let mut all = listeners.closed(&cluster.bind);
    all.extend(admin.cloned());
    let now = clock::now();
    let grace = OrphanGrace {
        hung: now + cluster.heartbeat_timeout,
        drained: now + cluster.drain_timeout,
    };
    wait_for_addresses(&all, orphans, grace)?;
    if !orphans.is_empty() {
        // Programs will ask for these again. Who has one by then is named to the program that wants it.
        let _taken = wait_for_addresses(lent, orphans, grace);
    }
    listeners.open(&cluster.bind, cluster.socket_mode, &[])?;
    if let Some(admin) = admin {
        listeners.admin = Some(AdminListener::open(admin)?);
    }
    Ok(listeners)
}
