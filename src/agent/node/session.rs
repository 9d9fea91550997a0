//! The conversation with one program (pure): what it asked for, what it holds, what it is answered. It does
//! not know sockets, clocks, or who binds. A program may have several processes one after the other that take
//! the channel, such as `tsc && node app.js` behind `npm start`: each begins anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use nix::errno::Errno;

use super::message::{NodeMessage, PreloadMessage};
use super::reply::{self, ReplyLine};
use super::request::{AnswerKey, ListenRefusal, ListenTarget, NodeAddress, NodeListenRequest, NodeRequestId};

/// The number of listeners that one program may have or ask for at a time.
pub const MAX_LISTENERS: usize = 64;

/// What a program did. What asks for nothing more was answered already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeEvent {
    /// A process with the preload has taken the channel. Its servers, if another had it before, are gone.
    Taken {
        /// The pid of the process, as it says; it may be a descendant of the one that was started.
        pid: u32,
        /// Its version of Node.
        version: String,
    },
    /// The cluster module of the program is set up: the channel works.
    Online,
    /// The program waits for an answer: a listener or an error number.
    ListenWanted(NodeListenRequest),
    /// The program was refused a listener.
    ListenRefused(ListenRefusal),
    /// A server of the program listens: the program is ready, if nothing else is configured.
    Listening(NodeAddress),
    /// The program has closed a listener.
    Closed(ListenTarget),
    /// A server of the program has bound a socket of its own (`exclusive`, `reusePort`): what waits in its
    /// queue is lost when the program ends.
    BoundByItself(String),
    /// The process that has the channel does not listen and has started this command: it may be a wrapper
    /// that the preload does not know.
    Spawned(String),
    /// The application said `process.send('ready')`.
    AppReady,
    /// The application sent another message to its parent. Nobody reads it.
    AppMessage,
    /// The application sent a message that is too long to be read, for the first time.
    TooLong,
    /// The event loop of the program has turned.
    Beat,
    /// The program has answered so many more requests over HTTP/1: with 1xx, with 2xx and so on to 5xx.
    Answered([u32; 5]),
    /// The program has begun to disconnect by itself (`cluster.worker.disconnect()`).
    Disconnecting,
    /// This version of Node lacks what the preload relies on: the program runs, without the channel.
    Unsupported {
        /// What is missing.
        reason: String,
        /// The version of Node.
        version: String,
    },
    /// The channel is of no more use. Beats may still come.
    End(NodeEnd),
}

/// Why a channel ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeEnd {
    /// All processes that held the other end have closed it.
    Closed,
    /// The program has disconnected: after a drain, or by `process.disconnect()`.
    Disconnected,
    /// The program broke the protocol, or does not read; the channel was given up.
    GivenUp(NodeFault),
}

impl fmt::Display for NodeEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeEnd::Closed => write!(formatter, "the program has closed its IPC channel"),
            NodeEnd::Disconnected => write!(formatter, "the program has disconnected its IPC channel"),
            NodeEnd::GivenUp(fault) => {
                write!(formatter, "the IPC channel of the program is given up: {fault}")
            }
        }
    }
}

/// What makes a channel useless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeFault {
    /// A line was no message.
    NotAMessage {
        /// What was wrong with it.
        problem: String,
        /// Its beginning.
        line: String,
    },
    /// So many bytes wait for the program, which does not read.
    DoesNotRead {
        /// The number of bytes.
        waiting: usize,
    },
    /// So many listeners wait for the program, which acknowledges none.
    DoesNotAcknowledge {
        /// The number of listeners.
        waiting: usize,
    },
    /// The socket failed.
    Socket(Errno),
}

impl fmt::Display for NodeFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeFault::NotAMessage { problem, line } => {
                write!(
                    formatter,
                    "expected a message of Node's cluster module, read {line:?}: {problem}"
                )
            }
            NodeFault::DoesNotRead { waiting } => write!(
                formatter,
                "the program does not read it, and {waiting} bytes wait"
            ),
            NodeFault::DoesNotAcknowledge { waiting } => write!(
                formatter,
                "the program acknowledges no listener, and {waiting} wait"
            ),
            NodeFault::Socket(errno) => write!(formatter, "the socket failed: {}", errno.desc()),
        }
    }
}

/// What follows from one line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SessionStep {
    /// What happened, if anybody needs to know.
    pub event: Option<NodeEvent>,
    /// What the program is answered at once.
    pub reply: Option<ReplyLine>,
    /// What became of the listener that was sent last.
    pub delivery: Option<Delivery>,
}

/// What a program says about a descriptor that it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It arrived.
    Arrived,
    /// It is to be sent once more.
    Lost,
}

/// The conversation with one program.
#[derive(Debug, Default)]
pub struct NodeSession {
    taker: u32,
    asked: BTreeMap<u64, Asked>,
    held: BTreeMap<String, ListenTarget>,
    /// Keys that were asked for or are held.
    keys: BTreeSet<String>,
}

#[derive(Debug)]
struct Asked {
    answer: AnswerKey,
    target: ListenTarget,
}

impl NodeSession {
    /// Takes one line of the program.
    ///
    /// # Errors
    /// When the line is no message: the channel is to be given up.
    pub fn take(&mut self, line: &[u8]) -> Result<SessionStep, NodeFault> {
        match NodeMessage::parse(line) {
            Ok(message) => Ok(self.hear(message)),
            Err(problem) => Err(NodeFault::NotAMessage {
                problem,
                line: beginning(line),
            }),
        }
    }

    fn hear(&mut self, message: NodeMessage) -> SessionStep {
        match message {
            NodeMessage::Online => event(NodeEvent::Online),
            NodeMessage::Query {
                seq,
                key,
                index,
                backlog,
                target,
                ticket_keys,
            } => {
                let answer = AnswerKey {
                    seq,
                    name: key,
                    ticket_keys,
                };
                self.asked_for(answer, index, backlog, target)
            }
            NodeMessage::Listening(address) => event(NodeEvent::Listening(address)),
            NodeMessage::Close { key } => self.closed(&key),
            NodeMessage::ExitedAfterDisconnect { seq } => {
                both(NodeEvent::Disconnecting, reply::acknowledged(seq))
            }
            NodeMessage::Handle => both(NodeEvent::AppMessage, reply::handle_acknowledged()),
            NodeMessage::HandleAck => delivered(Delivery::Arrived),
            NodeMessage::HandleNack => delivered(Delivery::Lost),
            NodeMessage::Preload(message) => self.told(message),
            NodeMessage::AppReady => event(NodeEvent::AppReady),
            NodeMessage::App => event(NodeEvent::AppMessage),
            NodeMessage::Unknown => SessionStep::default(),
        }
    }

    fn told(&mut self, message: PreloadMessage) -> SessionStep {
        match message {
            PreloadMessage::Taken { pid, version } => {
                self.begin_anew();
                event(NodeEvent::Taken { pid, version })
            }
            PreloadMessage::Ended => event(NodeEvent::End(NodeEnd::Disconnected)),
            PreloadMessage::Unsupported { reason, version } => {
                event(NodeEvent::Unsupported { reason, version })
            }
            PreloadMessage::Bound { address } => event(NodeEvent::BoundByItself(address)),
            PreloadMessage::Spawned { command } => event(NodeEvent::Spawned(command)),
            PreloadMessage::Answered { classes } => event(NodeEvent::Answered(classes)),
            PreloadMessage::Other => SessionStep::default(),
        }
    }

    fn begin_anew(&mut self) {
        let taker = self.taker.wrapping_add(1);
        *self = NodeSession {
            taker,
            ..NodeSession::default()
        };
    }

    fn asked_for(
        &mut self,
        answer: AnswerKey,
        index: u64,
        backlog: Option<u32>,
        target: Result<ListenTarget, ListenRefusal>,
    ) -> SessionStep {
        match target.and_then(|target| self.admit(&answer, target)) {
            Ok(target) => {
                let id = NodeRequestId {
                    taker: self.taker,
                    seq: answer.seq,
                };
                self.keys.insert(answer.name.clone());
                let (seq, target_asked) = (answer.seq, target.clone());
                let asked = Asked {
                    answer,
                    target: target_asked,
                };
                self.asked.insert(seq, asked);
                event(NodeEvent::ListenWanted(NodeListenRequest {
                    id,
                    target,
                    index,
                    backlog,
                }))
            }
            Err(refusal) => {
                let line = reply::errno(&answer, refusal.errno);
                both(NodeEvent::ListenRefused(refusal), line)
            }
        }
    }

    fn admit(&self, answer: &AnswerKey, target: ListenTarget) -> Result<ListenTarget, ListenRefusal> {
        if self.keys.len() >= MAX_LISTENERS {
            return Err(ListenRefusal {
                errno: Errno::EMFILE,
                reason: format!(
                    "{target} would be one listener more than the {MAX_LISTENERS} that it may have"
                ),
            });
        }
        if self.asked.contains_key(&answer.seq) || self.keys.contains(&answer.name) {
            return Err(ListenRefusal {
                errno: Errno::EADDRINUSE,
                reason: format!("it has a listener for {target} already, or has asked for it"),
            });
        }
        Ok(target)
    }

    fn closed(&mut self, key: &str) -> SessionStep {
        self.held.remove(key).map_or_else(SessionStep::default, |target| {
            self.keys.remove(key);
            event(NodeEvent::Closed(target))
        })
    }

    /// The line that goes with a listener, or none when the request is not open any more: it was answered, or
    /// another process has taken the channel.
    pub fn grant(&mut self, id: NodeRequestId) -> Option<ReplyLine> {
        let (answer, target) = self.answered(id)?;
        let line = reply::listener(&answer);
        self.held.insert(answer.name, target);
        Some(line)
    }

    /// The line that refuses a listener, or none when the request is not open any more.
    pub fn refuse(&mut self, id: NodeRequestId, errno: Errno) -> Option<ReplyLine> {
        let (answer, _target) = self.answered(id)?;
        self.keys.remove(&answer.name);
        Some(reply::errno(&answer, errno))
    }

    fn answered(&mut self, id: NodeRequestId) -> Option<(AnswerKey, ListenTarget)> {
        let open = if id.taker == self.taker {
            self.asked.remove(&id.seq)
        } else {
            None
        };
        open.map(|asked| (asked.answer, asked.target))
    }

    /// The lines that begin a drain.
    #[must_use]
    pub fn disconnect(&self, timeout: Duration) -> [ReplyLine; 2] {
        [reply::drain(timeout), reply::disconnect()]
    }

    /// The line that changes for how long a drain keeps idle connections.
    #[must_use]
    pub fn hurry(&self, timeout: Duration) -> ReplyLine {
        reply::drain(timeout)
    }

    /// The targets of the listeners that the program holds.
    pub fn held(&self) -> impl Iterator<Item = &ListenTarget> {
        self.held.values()
    }
}

fn event(event: NodeEvent) -> SessionStep {
    SessionStep {
        event: Some(event),
        ..SessionStep::default()
    }
}

fn both(event: NodeEvent, reply: ReplyLine) -> SessionStep {
    SessionStep {
        event: Some(event),
        reply: Some(reply),
        delivery: None,
    }
}

fn delivered(delivery: Delivery) -> SessionStep {
    SessionStep {
        delivery: Some(delivery),
        ..SessionStep::default()
    }
}

/// As much of a line as a message shows.
fn beginning(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned()
}
