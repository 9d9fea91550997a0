//! As much of an agent as a program needs: it starts the program with channel and beats, and answers its
//! questions with listeners of its own.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use cluster::agent::node::channel::{NodeChannel, NodeDescriptors};
use cluster::agent::node::preload::{NodePreload, NodeVariables};
use cluster::agent::node::request::{ListenTarget, NodeListenRequest};
use cluster::agent::node::session::NodeEvent;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use tempfile::TempDir;

/// Until then, whatever is waited for has happened.
const DEADLINE: Duration = Duration::from_secs(60);
pub(crate) const BEAT_INTERVAL: Duration = Duration::from_millis(50);
pub(crate) const WORKER_ID: u64 = 7;

/// One process is started at a time, because descriptors are inheritable meanwhile.
static START: Mutex<()> = Mutex::new(());

/// The folder of the Node to try, in front of PATH.
fn path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let node = std::env::var("CLUSTER_TEST_NODE").ok().map(PathBuf::from);
    match node.as_deref().and_then(Path::parent) {
        Some(folder) => format!("{}:{path}", folder.display()),
        None => path,
    }
}

pub(crate) fn node_is_there() -> bool {
    let version = Command::new("node").arg("--version").env("PATH", path()).output();
    version.is_ok_and(|output| {
        println!("node {}", String::from_utf8_lossy(&output.stdout).trim());
        output.status.success()
    })
}

/// Runs one test in a runtime of its own, as the agent's is, and ends it after the deadline.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        tokio::time::timeout(DEADLINE, test)
            .await
            .expect("within the deadline")
    });
}

/// A folder with the files of a program.
pub(crate) fn files(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(file, text).expect("written");
    }
    folder
}

/// What a program is started with.
pub(crate) struct Launch<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) command: &'a [&'a str],
    pub(crate) preload: bool,
    pub(crate) env: &'a [(&'a str, &'a str)],
    pub(crate) node_options: Option<&'a str>,
}

impl<'a> Launch<'a> {
    pub(crate) fn new(folder: &'a TempDir, command: &'a [&'a str]) -> Launch<'a> {
        Launch {
            folder: folder.path(),
            command,
            preload: true,
            env: &[],
            node_options: None,
        }
    }
}

pub(crate) struct Program {
    pub(crate) channel: NodeChannel,
    pub(crate) child: Child,
    /// The listeners of the slot, by port; shared by those who serve them.
    listeners: BTreeMap<u16, TcpListener>,
    _preload: Option<NodePreload>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Port 3000 of a test is a port of its own, which the program finds in `PORT`.
pub(crate) fn listener() -> TcpListener {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.set_nonblocking(true).expect("set");
    listener
}

pub(crate) fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("an address").port()
}

/// Starts a program that is offered one listener.
pub(crate) fn start(launch: &Launch<'_>, listener: &TcpListener) -> Program {
    let (channel, descriptors) = NodeChannel::new().expect("a channel");
    let preload = launch
        .preload
        .then(|| NodePreload::install(&std::env::temp_dir()).expect("installed"));
    let child = spawn(launch, preload.as_ref(), descriptors, port(listener));
    Program {
        channel,
        child,
        listeners: BTreeMap::from([(port(listener), listener.try_clone().expect("a copy"))]),
        _preload: preload,
    }
}

fn spawn(launch: &Launch<'_>, preload: Option<&NodePreload>, given: NodeDescriptors, port: u16) -> Child {
    use std::os::unix::process::CommandExt;
    let variables = NodeVariables {
        preload,
        node_options: launch.node_options.map(OsStr::new),
        channel: given.channel.as_raw_fd(),
        channel_inode: given.channel_inode,
        beats: given.beats.as_raw_fd(),
        beat_interval: BEAT_INTERVAL,
        worker_id: WORKER_ID,
    };
    let _one = START.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for fd in [&given.channel, &given.beats] {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).expect("set");
    }
    let mut command = Command::new(launch.command[0]);
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| is_of_node(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command
        .args(&launch.command[1..])
        .current_dir(launch.folder)
        .env("PATH", path());
    command.env("PORT", port.to_string()).envs(variables.list());
    command
        .envs(launch.env.iter().copied())
        .process_group(0)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    // What is given is closed here before another program may start.
    let child = command.spawn().expect("started");
    drop(given);
    child
}

/// What this machine's environment says to Node, and to these tests, is not for the program.
fn is_of_node(name: &str) -> bool {
    name.starts_with("NODE_") || name == "CLUSTER_TEST_NODE"
}

impl Program {
    /// Answers every question until an event is the awaited one.
    pub(crate) async fn until(&mut self, awaited: impl Fn(&NodeEvent) -> bool) -> NodeEvent {
        let mut seen = Vec::new();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(40);
        loop {
            let event = tokio::time::timeout_at(deadline, self.channel.next()).await;
            let Ok(event) = event else {
                panic!(
                    "the awaited event did not come, but {seen:?}; {}",
                    self.last_words()
                );
            };
            if let NodeEvent::ListenWanted(request) = &event {
                self.answer(request);
            }
            if awaited(&event) {
                return event;
            }
            assert!(
                !matches!(event, NodeEvent::End(_)),
                "{event:?} after {seen:?}; {}",
                self.last_words()
            );
            if event != NodeEvent::Beat {
                seen.push(event);
            }
        }
    }

    pub(crate) async fn until_it_listens(&mut self) {
        self.until(|event| matches!(event, NodeEvent::Listening(_))).await;
    }

    /// What the program wrote to its standard error, once it is dead.
    pub(crate) fn last_words(&mut self) -> String {
        let _ = self.child.kill();
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            // Children that outlive it may hold the pipe.
            let group = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
            stderr.read_to_string(&mut text).expect("text");
        }
        text
    }

    fn answer(&mut self, request: &NodeListenRequest) {
        match self.listener_for(&request.target) {
            Ok(listener) => assert!(self.channel.grant(request.id, listener)),
            Err(errno) => assert!(self.channel.refuse(request.id, errno)),
        }
    }

    fn listener_for(&self, target: &ListenTarget) -> Result<OwnedFd, Errno> {
        let copy = |listener: &TcpListener| Ok(listener.try_clone().expect("a copy").into());
        match target {
            ListenTarget::Tcp { port: 0, .. } => Ok(listener().into()),
            ListenTarget::Tcp { port, .. } => self.listeners.get(port).map_or(Err(Errno::EACCES), copy),
            ListenTarget::Path { path, .. } => {
                let listener = UnixListener::bind(path).expect("bound");
                listener.set_nonblocking(true).expect("set");
                Ok(listener.into())
            }
            ListenTarget::Inherited { number } => self
                .listeners
                .values()
                .nth(*number)
                .map_or(Err(Errno::EBADF), copy),
        }
    }
}

/// One request on a connection of its own.
pub(crate) fn get(port: u16, path: &str) -> String {
    let mut stream = connect(port);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

pub(crate) fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).expect("connected");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    stream
}

/// The JSON in the body of an answer.
pub(crate) fn body(answer: &str) -> serde_json::Value {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    let body = body
        .find('{')
        .map_or(body, |at| &body[at..=body.rfind('}').expect("an end")]);
    serde_json::from_str(body).expect("JSON")
}

/// The file description is the same, so the program sees what is done to a copy.
pub(crate) fn is_blocking(listener: &TcpListener) -> bool {
    let flags = fcntl(listener.as_fd(), FcntlArg::F_GETFL).expect("flags");
    flags & nix::fcntl::OFlag::O_NONBLOCK.bits() == 0
}
