//! The messages of a Node program on its channel, typed (pure). What Node's cluster module says is not
//! documented: the fields are those of `lib/internal/cluster/child.js` and `lib/internal/child_process.js` of
//! Node 20. The messages of the preload bear the command `NODE_CLUSTER_RUN`, which Node keeps to itself as it
//! does with every command that begins with `NODE_`.

use std::net::IpAddr;

use nix::errno::Errno;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::request::{ListenRefusal, ListenTarget, NodeAddress};

/// The longest address, path or key that is taken, in bytes.
const MAX_TEXT_BYTES: usize = 1024;
/// The longest text of the preload that is handed on, in characters.
const MAX_TOLD_CHARACTERS: usize = 200;
/// The flag `UV_TCP_IPV6ONLY` of libuv.
const IPV6_ONLY: u32 = 1;
/// The descriptor that the first listener of a slot has in systemd's contract.
const FIRST_LISTENER: i64 = 3;

/// One line of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeMessage {
    /// The cluster module of the program is set up.
    Online,
    /// `listen` was called.
    Query {
        /// Node's number of the question.
        seq: u64,
        /// Node's name for the server, made as its own primary makes it.
        key: String,
        /// Which server on the same target.
        index: u64,
        /// The accept queue that the program wants.
        backlog: Option<u32>,
        /// What to listen on, or why that cannot be.
        target: Result<ListenTarget, ListenRefusal>,
        /// The keys of the session tickets of a TLS server, in hexadecimal digits: it takes none but those
        /// that come with the answer.
        ticket_keys: Option<String>,
    },
    /// A server listens.
    Listening(NodeAddress),
    /// A server that was given a listener has closed it.
    Close {
        /// The key of the answer.
        key: String,
    },
    /// The program is about to disconnect, and waits for an answer.
    ExitedAfterDisconnect {
        /// Node's number of the question.
        seq: u64,
    },
    /// A message that came with a descriptor; it has to be acknowledged.
    Handle,
    /// A descriptor arrived.
    HandleAck,
    /// A descriptor got lost on its way; it has to be sent once more.
    HandleNack,
    /// A message of the preload.
    Preload(PreloadMessage),
    /// The application said `process.send('ready')`.
    AppReady,
    /// Any other message of the application.
    App,
    /// A message of Node's that asks for nothing.
    Unknown,
}

/// What the preload says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum PreloadMessage {
    /// A process has taken the channel.
    Taken {
        /// Its pid.
        pid: u32,
        /// Its version of Node.
        version: String,
    },
    /// The process that had the channel has disconnected; others may still hold the descriptor.
    Ended,
    /// This version of Node lacks something that the preload relies on.
    Unsupported {
        /// What is missing.
        reason: String,
        /// The version of Node.
        version: String,
    },
    /// A server has bound a socket of its own.
    Bound {
        /// Its address, for people.
        address: String,
    },
    /// The process that has the channel started another one before it listened.
    Spawned {
        /// The command, for people.
        command: String,
    },
    /// So many more requests were answered.
    Answered {
        /// With 1xx, with 2xx and so on to 5xx.
        classes: [u32; 5],
    },
    /// A message of a newer or older preload.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct CommandField {
    cmd: Option<Lenient>,
}

/// Applications may send an object whose `cmd` is anything.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient {
    Text(String),
    Other(IgnoredAny),
}

/// All fields of all messages of the cluster module that are looked at. What `listen` was given reaches some
/// of them as it is, such as `backlog: false`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClusterFields {
    act: Option<String>,
    seq: Option<u64>,
    key: Option<String>,
    index: Option<u64>,
    address: Option<String>,
    port: Option<Loose<i64>>,
    address_type: Option<AddressType>,
    fd: Option<Loose<i64>>,
    flags: Option<Loose<u32>>,
    backlog: Option<Loose<u32>>,
    readable_all: Option<Loose<bool>>,
    writable_all: Option<Loose<bool>>,
    data: Option<ServerData>,
}

/// What the kind of a server adds to its question.
#[derive(Deserialize)]
#[serde(untagged)]
enum ServerData {
    Tls {
        #[serde(rename = "ticketKeys")]
        ticket_keys: String,
    },
    Other(IgnoredAny),
}

/// A value of the expected kind, or any other.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Loose<T> {
    Expected(T),
    Other(IgnoredAny),
}

fn expected<T>(value: Option<Loose<T>>) -> Option<T> {
    match value {
        Some(Loose::Expected(value)) => Some(value),
        Some(Loose::Other(_)) | None => None,
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum AddressType {
    Number(i64),
    Text(String),
}

impl NodeMessage {
    /// Reads one line.
    ///
    /// # Errors
    /// When it is no JSON, or is a message of Node's that lacks what it must have; the
    /// text says why.
    pub fn parse(line: &[u8]) -> Result<NodeMessage, String> {
        let told = |error: serde_json::Error| error.to_string();
        match line.trim_ascii_start().first() {
            Some(b'{') => {}
            Some(b'"') => {
                return Ok(application_text(
                    &serde_json::from_slice::<String>(line).map_err(told)?,
                ));
            }
            Some(_) | None => {
                return serde_json::from_slice::<IgnoredAny>(line)
                    .map(|_| NodeMessage::App)
                    .map_err(told);
            }
        }
        match serde_json::from_slice::<CommandField>(line).map_err(told)?.cmd {
            Some(Lenient::Text(command)) => internal(&command, line).map_err(told)?,
            Some(Lenient::Other(_)) | None => Ok(NodeMessage::App),
        }
    }
}

fn application_text(text: &str) -> NodeMessage {
    match text {
        "ready" => NodeMessage::AppReady,
        _ => NodeMessage::App,
    }
}

fn internal(command: &str, line: &[u8]) -> serde_json::Result<Result<NodeMessage, String>> {
    Ok(Ok(match command {
        "NODE_CLUSTER" => return serde_json::from_slice(line).map(cluster),
        "NODE_CLUSTER_RUN" => NodeMessage::Preload(shortened(serde_json::from_slice(line)?)),
        "NODE_HANDLE" => NodeMessage::Handle,
        "NODE_HANDLE_ACK" => NodeMessage::HandleAck,
        "NODE_HANDLE_NACK" => NodeMessage::HandleNack,
        _ if command.len() > "NODE_".len() && command.starts_with("NODE_") => NodeMessage::Unknown,
        _ => NodeMessage::App,
    }))
}

/// The texts are shown to people, so they are short and have no control characters.
fn shortened(mut message: PreloadMessage) -> PreloadMessage {
    let shorten = |text: &mut String| {
        let shown = text
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter });
        *text = shown.take(MAX_TOLD_CHARACTERS).collect();
    };
    match &mut message {
        PreloadMessage::Taken { version, .. } => shorten(version),
        PreloadMessage::Unsupported { reason, version } => {
            shorten(reason);
            shorten(version);
        }
        PreloadMessage::Bound { address: text } | PreloadMessage::Spawned { command: text } => shorten(text),
        PreloadMessage::Answered { .. } | PreloadMessage::Ended | PreloadMessage::Other => {}
    }
    message
}

fn cluster(fields: ClusterFields) -> Result<NodeMessage, String> {
    let numbered = |seq: Option<u64>| seq.ok_or_else(|| "a question without `seq`".to_owned());
    Ok(match fields.act.as_deref() {
        Some("online") => NodeMessage::Online,
        Some("queryServer") => query(numbered(fields.seq)?, fields),
        Some("listening") => NodeMessage::Listening(NodeAddress {
            address: fields.address.filter(|text| text.len() <= MAX_TEXT_BYTES),
            port: expected(fields.port).and_then(|port| u16::try_from(port).ok()),
        }),
        Some("close") => NodeMessage::Close {
            key: fields.key.ok_or("`close` without `key`")?,
        },
        Some("exitedAfterDisconnect") => NodeMessage::ExitedAfterDisconnect {
            seq: numbered(fields.seq)?,
        },
        Some(_) | None => NodeMessage::Unknown,
    })
}

fn query(seq: u64, fields: ClusterFields) -> NodeMessage {
    NodeMessage::Query {
        seq,
        key: key(&fields),
        index: fields.index.unwrap_or(0),
        backlog: expected(fields.backlog).filter(|&backlog| backlog > 0),
        ticket_keys: ticket_keys(fields.data.as_ref()),
        target: target(fields),
    }
}

fn ticket_keys(data: Option<&ServerData>) -> Option<String> {
    let keys = match data {
        Some(ServerData::Tls { ticket_keys }) => ticket_keys,
        Some(ServerData::Other(_)) | None => return None,
    };
    let is_hexadecimal = keys.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hexadecimal && keys.len() <= MAX_TEXT_BYTES).then(|| keys.clone())
}

/// The same name that Node's own primary gives; it need only be different for each open server.
fn key(fields: &ClusterFields) -> String {
    let number = |number: Option<i64>| number.map_or_else(String::new, |number| number.to_string());
    let kind = match &fields.address_type {
        Some(AddressType::Number(kind)) => kind.to_string(),
        Some(AddressType::Text(kind)) => kind.chars().take(8).collect(),
        None => String::new(),
    };
    let address = fields.address.as_deref().unwrap_or("null");
    let address: String = address.chars().take(MAX_TEXT_BYTES).collect();
    let (port, fd) = (number(expected(fields.port)), number(expected(fields.fd)));
    format!("{address}:{port}:{kind}:{fd}:{}", fields.index.unwrap_or(0))
}

fn target(fields: ClusterFields) -> Result<ListenTarget, ListenRefusal> {
    if fields
        .address
        .as_ref()
        .is_some_and(|text| text.len() > MAX_TEXT_BYTES)
    {
        return Err(refusal(
            Errno::ENAMETOOLONG,
            "its address has more than 1024 bytes".to_owned(),
        ));
    }
    match fields.address_type {
        Some(AddressType::Text(kind)) if kind.starts_with("udp") => {
            let reason = "UDP sockets are not shared between workers; `exclusive: true` binds one by itself";
            Err(refusal(Errno::ENOTSUP, reason.to_owned()))
        }
        Some(AddressType::Text(_)) => Err(refusal(
            Errno::EINVAL,
            "it asks for an unknown kind of socket".to_owned(),
        )),
        Some(AddressType::Number(-1)) => path(fields),
        Some(AddressType::Number(4 | 6)) => {
            tcp(fields.address, expected(fields.port), expected(fields.flags))
        }
        Some(AddressType::Number(_)) | None => inherited(expected(fields.fd)),
    }
}

fn path(fields: ClusterFields) -> Result<ListenTarget, ListenRefusal> {
    match fields.address {
        Some(path) if !path.is_empty() => Ok(ListenTarget::Path {
            path,
            readable_all: expected(fields.readable_all).unwrap_or(false),
            writable_all: expected(fields.writable_all).unwrap_or(false),
        }),
        Some(_) | None => Err(refusal(Errno::EINVAL, "it names no path".to_owned())),
    }
}

fn tcp(
    address: Option<String>,
    port: Option<i64>,
    flags: Option<u32>,
) -> Result<ListenTarget, ListenRefusal> {
    let port = port.unwrap_or(0);
    let port = u16::try_from(port).map_err(|_| refusal(Errno::EINVAL, format!("{port} is no port")))?;
    let parsed = address.as_deref().map(str::parse::<IpAddr>).transpose();
    let address = parsed.map_err(|_| {
        let text = address.unwrap_or_default();
        refusal(
            Errno::EADDRNOTAVAIL,
            format!("{} is no address without a zone", text.escape_debug()),
        )
    })?;
    Ok(ListenTarget::Tcp {
        address,
        port,
        ipv6_only: flags.unwrap_or(0) & IPV6_ONLY != 0,
    })
}

fn inherited(fd: Option<i64>) -> Result<ListenTarget, ListenRefusal> {
    let number = fd.and_then(|fd| usize::try_from(fd.checked_sub(FIRST_LISTENER)?).ok());
    match (number, fd) {
        (Some(number), _) => Ok(ListenTarget::Inherited { number }),
        (None, Some(fd)) => Err(refusal(
            Errno::EBADF,
            format!("descriptor {fd} is no listener; the first one is descriptor 3"),
        )),
        (None, None) => Err(refusal(
            Errno::EINVAL,
            "it names neither address nor descriptor".to_owned(),
        )),
    }
}

fn refusal(errno: Errno, reason: String) -> ListenRefusal {
    ListenRefusal { errno, reason }
}
