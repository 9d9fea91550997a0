//! A master of a few lines.

use std::ffi::CString;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use cluster::base::ids::{Life, Slot};
use cluster::config::settings::LogLevel;
use cluster::config::{Address, Settings};
use cluster::lifeline::{Command, Report, decode, encode};
use cluster::scoreboard::{Board, BoardView, Vitals};
use cluster::sys::notify::{Datagram, NotifySocket};
use cluster::sys::process::{Binary, Child, ChildSignals, Spawn};
use cluster::sys::seqpacket::PacketRead;
use cluster::sys::{clock, memfd, seqpacket};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::client::Client;

/// No step of a test takes longer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) const LIFE: Life = Life::of(7, 2, 3);

/// A worker and everything its master holds of it.
pub(crate) struct Worker {
    pub(crate) pid: Pid,
    pub(crate) address: SocketAddr,
    pub(crate) board: BoardView,
    pub(crate) log: tempfile::NamedTempFile,
    pidfd: OwnedFd,
    notify: NotifySocket,
    lifeline: Option<OwnedFd>,
    /// Kept open, as a master does.
    _listeners: (TcpListener, UnixListener),
    pub(crate) directory: tempfile::TempDir,
    reaped: bool,
}

impl Worker {
    /// A worker that is ready.
    pub(crate) fn ready(change: impl FnOnce(&mut Settings)) -> Worker {
        let worker = Worker::start(change);
        assert!(
            worker.notification().starts_with("READY=1"),
            "the first word is READY=1"
        );
        worker
    }

    pub(crate) fn start(change: impl FnOnce(&mut Settings)) -> Worker {
        let log = tempfile::NamedTempFile::new().expect("a log file");
        let fd = log.reopen().expect("the log file").into();
        Worker::start_with_log(change, log, fd)
    }

    pub(crate) fn start_with_log(
        change: impl FnOnce(&mut Settings),
        log: tempfile::NamedTempFile,
        log_fd: OwnedFd,
    ) -> Worker {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let directory = tempfile::tempdir().expect("a directory");
        let unix = UnixListener::bind(directory.path().join("socket")).expect("bound");
        let mut settings = settings();
        settings.cluster.bind = vec![Address::Tcp(address)];
        change(&mut settings);
        let json = serde_json::to_vec(&settings).expect("JSON");
        let settings = memfd::create_sealed("settings", &json, json.len() as u64, true).expect("a memfd");
        let board = Board::create_fd("board").expect("a memfd");
        let view = BoardView::open(board.as_fd()).expect("a board");
        let notify = NotifySocket::bind().expect("a socket");
        let (lifeline, theirs) = seqpacket::pair().expect("a pair");
        let binary = File::open("/proc/self/exe").expect("this program");
        let null = File::open("/dev/null").expect("/dev/null");
        let env = environment(notify.name());
        let Child { pid, pidfd } = cluster::sys::process::spawn(&Spawn {
            binary: Binary::Open(binary.as_fd()),
            args: &[c"worker".to_owned()],
            env: &env,
            listen_pid: true,
            directory: None,
            signals: ChildSignals::Worker,
            stdio: [null.as_fd(), log_fd.as_fd(), log_fd.as_fd()],
            fds: &[
                listener.as_fd(),
                unix.as_fd(),
                board.as_fd(),
                theirs.as_fd(),
                settings.as_fd(),
                log_fd.as_fd(),
            ],
            keep: &[],
            bound: false,
            group: None,
            credentials: None,
        })
        .expect("a child");
        let pid = Pid::from_raw(pid);
        let lifeline = Some(lifeline);
        Worker {
            pid,
            address,
            board: view,
            log,
            pidfd,
            notify,
            lifeline,
            _listeners: (listener, unix),
            directory,
            reaped: false,
        }
    }

    /// The next message on its notify socket.
    pub(crate) fn notification(&self) -> String {
        wait_readable(self.notify.as_fd());
        match self.notify.receive().expect("readable") {
            Datagram::From { pid, text } => {
                assert_eq!(pid, self.pid.as_raw());
                text
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid, signal).expect("alive");
    }

    /// Returns when it has begun to drain.
    pub(crate) fn drain(&self) {
        self.signal(Signal::SIGTERM);
        assert!(self.notification().starts_with("STOPPING=1"));
    }

    pub(crate) fn command(&self, command: Command) {
        let lifeline = self.lifeline.as_ref().expect("a master that lives");
        seqpacket::send(lifeline.as_fd(), &encode(&command)).expect("sent");
    }

    /// Hands over a listener of another slot.
    pub(crate) fn adopt(&self, slot: Slot, listener: &TcpListener) {
        let lifeline = self.lifeline.as_ref().expect("a master that lives");
        let packet = encode(&Command::Adopt(slot));
        seqpacket::send_with(lifeline.as_fd(), &packet, &[listener.as_fd()]).expect("sent");
    }

    pub(crate) fn report(&self) -> Report {
        let lifeline = self.lifeline.as_ref().expect("a master that lives");
        wait_readable(lifeline.as_fd());
        let mut buffer = [0; 4096];
        match seqpacket::receive(lifeline.as_fd(), &mut buffer).expect("readable") {
            PacketRead::Packet(length) => decode(&buffer[..length]).expect("a report"),
            other => panic!("{other:?}"),
        }
    }

    /// The master dies.
    pub(crate) fn die(&mut self) {
        self.lifeline = None;
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn vitals(&self) -> Vitals {
        self.board.vitals(clock::now())
    }

    /// Waits until the board shows this.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Vitals) -> bool) {
        let begun = Instant::now();
        while !holds(&self.vitals()) {
            assert!(begun.elapsed() < TIMEOUT, "never: {what}; {:?}", self.vitals());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Its exit code.
    pub(crate) fn exit(&mut self) -> i32 {
        wait_readable(self.pidfd.as_fd());
        self.reaped = true;
        match waitpid(self.pid, None).expect("a child") {
            WaitStatus::Exited(_, code) => code,
            other => panic!("{other:?}; its log:\n{}", self.log()),
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).expect("a log")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
        if std::thread::panicking() {
            eprintln!("the worker's log:\n{}", self.log());
        }
    }
}

fn wait_readable(fd: std::os::fd::BorrowedFd) {
    let mut polled = [PollFd::new(fd, PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(TIMEOUT).expect("in range");
    assert_eq!(
        poll(&mut polled, timeout).expect("polled"),
        1,
        "nothing came within {TIMEOUT:?}"
    );
}

fn environment(notify: &str) -> Vec<CString> {
    let variables = [
        "CLUSTER_WORKER=1",
        "CLUSTER_INCARNATION=7",
        "CLUSTER_SLOT=2",
        "CLUSTER_EPOCH=3",
        "CLUSTER_GENERATION=5",
        "LISTEN_FDS=2",
        "CLUSTER_SCOREBOARD_FD=5",
        "CLUSTER_LIFELINE_FD=6",
        "CLUSTER_SETTINGS_FD=7",
        "CLUSTER_LOG_FD=8",
    ];
    let socket = format!("NOTIFY_SOCKET={notify}");
    variables
        .into_iter()
        .chain([socket.as_str()])
        .map(|text| CString::new(text).expect("no zero byte"))
        .collect()
}

/// Quick beats and a short drain; everything else as a person would have it.
fn settings() -> Settings {
    use cluster::config::{
        ClusterSettings, DrillSettings, GrpcReflection, HttpSettings, LogFormat, LogSettings, Workers,
    };
    let ms = Duration::from_millis;
    Settings {
        cluster: ClusterSettings {
            workers: Workers::Count(1),
            bind: Vec::new(),
            internal: Vec::new(),
            internal_token_file: None,
            socket_mode: "0600".parse().expect("a mode"),
            admin: None,
            data_dir: "data".into(),
            run_dir: None,
            pid_file: None,
            user: None,
            group: None,
            pass_environment: Vec::new(),
            heartbeat_interval: ms(50),
            heartbeat_timeout: ms(5000),
            lock_hold_timeout: ms(400),
            ready_timeout: ms(5000),
            stop_delay: ms(0),
            drain_timeout: ms(10_000),
            bake_time: ms(1000),
            early_death: ms(1000),
            backoff_first: ms(100),
            backoff_longest: ms(1000),
            restart_limit: 5,
            restart_window: ms(10_000),
            max_draining: Some(4),
            max_requests: None,
            max_rss: None,
            max_age: None,
        },
        http: HttpSettings {
            max_header_bytes: 16 * 1024,
            max_body_bytes: 1000,
            header_read_timeout: ms(10_000),
            idle_timeout: ms(60_000),
            request_timeout: ms(10_000),
            write_timeout: ms(60_000),
            max_connections: 1000,
            max_streams: 100,
            max_connection_age: None,
            max_connection_age_grace: ms(60_000),
            grpc_reflection: GrpcReflection::Auto,
        },
        log: LogSettings {
            format: LogFormat::Text,
            level: LogLevel::Info,
            access: false,
        },
        run: cluster::config::RunSettings::default(),
        drill: DrillSettings { routes: false },
        app: toml::Table::new(),
    }
}
