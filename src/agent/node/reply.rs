//! The lines that a program is sent, as Node's own primary writes them (pure).

use std::time::Duration;

use nix::errno::Errno;
use serde_json::json;

use super::request::AnswerKey;

/// A line, with its newline.
pub type ReplyLine = String;

fn line(message: &serde_json::Value) -> ReplyLine {
    format!("{message}\n")
}

/// The answer to a question of `listen`. The listener travels with it. A TLS server gets its own keys back:
/// those of the first worker, as from Node's primary, would have sessions resumed at every worker, and be
/// handed from one worker to the others.
pub(super) fn listener(key: &AnswerKey) -> ReplyLine {
    let data = key.ticket_keys.as_ref().map(|keys| json!({ "ticketKeys": keys }));
    line(&json!({
        "cmd": "NODE_HANDLE",
        "type": "net.Native",
        "msg": {"cmd": "NODE_CLUSTER", "ack": key.seq, "key": key.name, "errno": 0, "data": data},
    }))
}

/// The other answer: the server emits an `error` with this number.
pub(super) fn errno(key: &AnswerKey, errno: Errno) -> ReplyLine {
    let negative = -(errno as i32);
    line(&json!({"cmd": "NODE_CLUSTER", "ack": key.seq, "key": key.name, "errno": negative, "data": null}))
}

/// The answer to a question that wants no more than one.
pub(super) fn acknowledged(seq: u64) -> ReplyLine {
    line(&json!({"cmd": "NODE_CLUSTER", "ack": seq}))
}

/// A message came with a descriptor.
pub(super) fn handle_acknowledged() -> ReplyLine {
    line(&json!({"cmd": "NODE_HANDLE_ACK"}))
}

/// The preload is told how long a drain may take. Without the preload, Node drops this line.
pub(super) fn drain(timeout: Duration) -> ReplyLine {
    let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    line(&json!({"cmd": "NODE_CLUSTER_RUN", "act": "drain", "timeout_ms": timeout_ms}))
}

/// The program closes its servers, and disconnects once their connections are gone.
pub(super) fn disconnect() -> ReplyLine {
    line(&json!({"cmd": "NODE_CLUSTER", "act": "disconnect"}))
}

/// A message to the application: `process.on('message')`.
pub(super) fn application(message: &serde_json::Value) -> ReplyLine {
    line(message)
}
