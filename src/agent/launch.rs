//! Starts a program: how it gets its connections, its descriptors and its environment.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use super::command::{self, ProgramCommand, ProgramRefusal};
use super::environment::{ProgramEnvironment, ToldVariables};
use super::facts::{ProgramListeners, UsedMode};
use super::node::channel::{NodeChannel, NodeDescriptors};
use super::node::preload::{NodePreload, NodeVariables};
use super::node::program::{CommandPlace, NodeCommand, node_command};
use super::output::ProgramPipes;
use super::readiness::never_ready;
use crate::config::{ListenMode, RunSettings};
use crate::sys::process::{Binary, Child, ChildSignals, FIRST_FD, Spawn};
use crate::sys::socket;
use crate::worker::{Identity, NamedListener};

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaunchError {
    #[error(transparent)]
    Command(#[from] ProgramRefusal),
    #[error(
        "`listen = \"node\"` is for Node programs, and {0:?} starts none that is recognised: set --listen fds, or name node in the command"
    )]
    NoNode(String),
    #[error("`listen = \"fds\"` hands out the configured addresses, and there is none: name one with --bind")]
    NoListeners,
    #[error("{0}")]
    NeverReady(String),
    #[error(
        "the file that is loaded into Node programs cannot be written below {} (TMPDIR): {error}; name \
         another folder with TMPDIR, or leave it out with --no-preload", .folder.display()
    )]
    Preload { folder: PathBuf, error: io::Error },
    #[error("the system refused what the program needs: {0}")]
    System(#[from] io::Error),
}

/// What is known before a program is started.
#[derive(Debug)]
pub(super) struct ProgramLaunch<'a> {
    pub(super) run: &'a RunSettings,
    pub(super) identity: Identity,
    pub(super) listeners: &'a [NamedListener],
    /// The value of `NOTIFY_SOCKET`.
    pub(super) notify: &'a str,
    /// How often the program beats, where that is ours to say.
    pub(super) beat_interval: std::time::Duration,
    /// How long it may be silent.
    pub(super) beat_timeout: std::time::Duration,
}

/// A program that runs.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) child: Child,
    pub(super) mode: UsedMode,
    /// The listeners that it has from its start on.
    pub(super) given: ProgramListeners,
    pub(super) channel: Option<NodeChannel>,
    /// The file that each thread of a Node program loads.
    pub(super) preload: Option<NodePreload>,
}

impl ProgramLaunch<'_> {
    /// Starts the program.
    pub(super) fn start(&self, pipes: &ProgramPipes) -> Result<Launched, LaunchError> {
        let mut environment = ProgramEnvironment::new(std::env::vars_os(), &self.run.env);
        let command = ProgramCommand::find(
            &self.run.command,
            self.run.directory.as_deref(),
            environment.get("PATH"),
        )?;
        let mode = self.mode(&command, environment.get("PATH").unwrap_or_default())?;
        let given = self.given(mode)?;
        if let Some(reason) = never_ready(&self.run.ready, mode, &given) {
            return Err(LaunchError::NeverReady(reason));
        }
        let node = match mode {
            UsedMode::Node => Some(self.node_parts()?),
            UsedMode::Fds | UsedMode::Reuseport => None,
        };
        let node_options = environment.get("NODE_OPTIONS").map(OsStr::to_owned);
        environment.tell(&ToldVariables {
            life: self.identity.life,
            generation: self.identity.generation,
            notify: self.notify,
            watchdog: self.beat_timeout,
            listeners: (mode == UsedMode::Fds).then(|| self.names()),
            address: self.address(),
            node: node.as_ref().map(|node| NodeVariables {
                preload: node.preload.as_ref(),
                node_options: node_options.as_deref(),
                channel: FIRST_FD,
                channel_inode: node.theirs.channel_inode,
                beats: FIRST_FD + 1,
                beat_interval: self.beat_interval,
                worker_id: u64::from(self.identity.life.slot.0) + 1,
            }),
        });
        let child = self.spawn(&command, &environment, mode, node.as_ref(), pipes)?;
        let (channel, preload) = node.map_or((None, None), |node| (Some(node.channel), node.preload));
        Ok(Launched {
            child,
            mode,
            given,
            channel,
            preload,
        })
    }

    fn mode(&self, command: &ProgramCommand, path: &OsStr) -> Result<UsedMode, LaunchError> {
        let place = CommandPlace {
            path,
            directory: command.directory(),
        };
        let words = command::words(&self.run.command);
        let node = node_command(&words, place);
        match (self.run.listen, node) {
            (ListenMode::Auto, NodeCommand::Direct | NodeCommand::Wrapped) => Ok(UsedMode::Node),
            (ListenMode::Auto, NodeCommand::Not) if self.listeners.is_empty() => Ok(UsedMode::Reuseport),
            // Asked for by name, a command is taken that some other program is to start, such as
            // `./entrypoint.sh node app.js`.
            (ListenMode::Node, NodeCommand::Not) if !names_node(&words, place) => {
                Err(LaunchError::NoNode(command::shown(&self.run.command)))
            }
            (ListenMode::Node, _) => Ok(UsedMode::Node),
            (ListenMode::Fds, _) if self.listeners.is_empty() => Err(LaunchError::NoListeners),
            (ListenMode::Auto | ListenMode::Fds, _) => Ok(UsedMode::Fds),
            (ListenMode::Reuseport, _) => Ok(UsedMode::Reuseport),
        }
    }

    fn node_parts(&self) -> Result<NodeParts, LaunchError> {
        let (channel, theirs) = NodeChannel::new()?;
        let preload = self
            .run
            .preload
            .then(|| {
                let folder = std::env::temp_dir();
                NodePreload::install(&folder).map_err(|error| LaunchError::Preload { folder, error })
            })
            .transpose()?;
        Ok(NodeParts {
            channel,
            theirs,
            preload,
        })
    }

    /// The listeners that the program has from its start on.
    fn given(&self, mode: UsedMode) -> io::Result<ProgramListeners> {
        let given = ProgramListeners::default();
        if mode == UsedMode::Fds {
            for listener in self.listeners {
                given.add_configured(listener.fd.try_clone()?)?;
            }
        }
        Ok(given)
    }

    fn names(&self) -> Vec<String> {
        self.listeners
            .iter()
            .map(|listener| listener.name.clone())
            .collect()
    }

    /// The first TCP address that is configured.
    fn address(&self) -> Option<(String, u16)> {
        let mut tcp = self
            .listeners
            .iter()
            .filter_map(|listener| socket::local_address(&listener.fd).ok());
        tcp.next()
            .map(|address: SocketAddr| (address.ip().to_string(), address.port()))
    }

    fn spawn(
        &self,
        command: &ProgramCommand,
        environment: &ProgramEnvironment,
        mode: UsedMode,
        node: Option<&NodeParts>,
        pipes: &ProgramPipes,
    ) -> Result<Child, LaunchError> {
        let null = std::fs::File::open("/dev/null")?;
        let fds: Vec<BorrowedFd<'_>> = match (mode, node) {
            (UsedMode::Node, Some(node)) => vec![node.theirs.channel.as_fd(), node.theirs.beats.as_fd()],
            (UsedMode::Fds, _) => self
                .listeners
                .iter()
                .map(|listener| listener.fd.as_fd())
                .collect(),
            (UsedMode::Node | UsedMode::Reuseport, _) => Vec::new(),
        };
        if mode == UsedMode::Fds {
            // As systemd passes them. Programs that wait for several sockets at once set it themselves.
            for listener in self.listeners {
                socket2::SockRef::from(&listener.fd).set_nonblocking(false)?;
            }
        }
        let env = environment.for_exec()?;
        let spawned = crate::sys::process::spawn(&Spawn {
            binary: Binary::At(&command.file),
            args: &command.arguments,
            env: &env,
            listen_pid: mode == UsedMode::Fds,
            directory: Some(&command.directory),
            signals: ChildSignals::Defaults,
            stdio: [null.as_fd(), pipes.stdout.as_fd(), pipes.stderr.as_fd()],
            fds: &fds,
            keep: &[],
            bound: true,
            group: None,
            credentials: None,
        });
        spawned.map_err(|error| command.refusal(error).into())
    }
}

/// Our end and the program's end of Node's protocol.
struct NodeParts {
    channel: NodeChannel,
    theirs: NodeDescriptors,
    preload: Option<NodePreload>,
}

/// Whether a later word begins a command that is recognised as Node's.
fn names_node(words: &[OsString], place: CommandPlace<'_>) -> bool {
    (1..words.len()).any(|at| node_command(&words[at..], place) != NodeCommand::Not)
}
