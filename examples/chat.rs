//! A chat over WebSockets and an event stream, in one file: `cargo run --example chat -- serve --workers
//! 1`, then open the address that it prints in a browser.
//!
//! | path | what it is |
//! |---|---|
//! | `/` | a page to try it |
//! | `/ws` | a WebSocket: each text that comes is said to everybody |
//! | `/events` | the same talk as an event stream, to read along |
//!
//! Both stay open for as long as a client likes, so both ask the worker whether it drains: at a reload or a
//! stop the WebSocket is closed with code 1001 ("going away") and the event stream ends. A browser's
//! `EventSource` then connects again by itself, the page does so for its WebSocket, and both meet the next
//! worker. What a handler does not close itself is cut at the end of `drain_timeout`, and the drain takes
//! as long.
//!
//! One worker is one room here: what is said on one worker is not heard on the others. A real chat carries
//! its messages between the workers by a database or a broker.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use cluster::{App, Worker};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use hyper::body::Frame;
use tokio::sync::{broadcast, mpsc};

/// "Going away" (RFC 6455, section 7.4.1): the server stops, or the page is left.
const GOING_AWAY: u16 = 1001;
/// A listener that lags behind by more than this number of messages misses some.
const BACKLOG: usize = 64;
/// The longest message, in bytes. The library reads as many bytes at once, for each connection.
const LONGEST: usize = 4096;

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8"><title>chat</title>
<form><input autofocus placeholder="say something"></form>
<pre></pre>
<script>
  const log = text => document.querySelector("pre").append(text + "\n");
  let socket;
  const connect = () => {
    socket = new WebSocket(`ws://${location.host}/ws`);
    socket.onmessage = event => log(event.data);
    // 1001: the worker goes away, and another one serves on.
    socket.onclose = event => { log(`(closed: ${event.code})`); setTimeout(connect, 500); };
  };
  connect();
  document.querySelector("form").onsubmit = event => {
    event.preventDefault();
    socket.send(event.target.elements[0].value);
    event.target.reset();
  };
</script>
"#;

pub(crate) fn main() -> std::process::ExitCode {
    App::new("chat")
        .about("A chat over WebSockets and an event stream")
        .boot(|worker| async move {
            let room = Chat {
                worker,
                said: broadcast::Sender::new(BACKLOG),
            };
            Ok(Router::new()
                .route("/", get(Html(PAGE)))
                .route("/ws", get(websocket))
                .route("/events", get(events))
                .with_state(Arc::new(room)))
        })
        .run()
}

/// The room of one worker.
struct Chat {
    worker: Worker,
    said: broadcast::Sender<Arc<str>>,
}

async fn websocket(State(room): State<Arc<Chat>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .read_buffer_size(LONGEST)
        .write_buffer_size(0)
        .max_message_size(LONGEST)
        .on_upgrade(|socket| async move { talk(&room, socket).await })
}

/// Says what the client says, until the client or the worker goes.
async fn talk(room: &Chat, mut socket: WebSocket) {
    let mut said = room.said.subscribe();
    let draining = room.worker.draining();
    tokio::pin!(draining);
    loop {
        let sent = tokio::select! {
            () = &mut draining => return go_away(socket).await,
            message = socket.recv() => match message {
                // Nobody else may listen, and then it is heard by nobody.
                Some(Ok(Message::Text(text))) => {
                    let _listeners = room.said.send(text.as_str().into());
                    Ok(())
                }
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => Ok(()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
            text = said.recv() => match text {
                Ok(text) => socket.send(Message::Text((*text).into())).await,
                Err(broadcast::error::RecvError::Lagged(_)) => Ok(()),
                Err(broadcast::error::RecvError::Closed) => return,
            },
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Closes as RFC 6455 wants it: says so, and waits for the client's own word. A client that never says it
/// is cut by the worker at the end of the drain.
async fn go_away(mut socket: WebSocket) {
    let close = CloseFrame {
        code: GOING_AWAY,
        reason: "the worker goes away".into(),
    };
    if socket.send(Message::Close(Some(close))).await.is_ok() {
        while let Some(Ok(_late)) = socket.recv().await {}
    }
}

async fn events(State(room): State<Arc<Chat>>) -> impl IntoResponse {
    let (events, receiver) = mpsc::channel(1);
    tokio::spawn(async move { tell(&room, events).await });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    (headers, Body::new(EventStream(receiver)))
}

/// Passes on what is said, until the client or the worker goes.
async fn tell(room: &Chat, events: mpsc::Sender<Bytes>) {
    let mut said = room.said.subscribe();
    // A browser that was told at once knows that it is connected; `retry` is when it connects again, in ms.
    let mut next = Bytes::from_static(b"retry: 500\n\n");
    while events.send(next).await.is_ok() {
        next = tokio::select! {
            () = room.worker.draining() => return,
            () = events.closed() => return,
            text = said.recv() => match text {
                Ok(text) => event(&text),
                Err(broadcast::error::RecvError::Lagged(missed)) => format!(": {missed} missed\n\n").into(),
                Err(broadcast::error::RecvError::Closed) => return,
            },
        };
    }
}

/// One event: each line of the text has a name before it.
fn event(text: &str) -> Bytes {
    let lines = text.split(['\r', '\n']).map(|line| format!("data: {line}\n"));
    Bytes::from(lines.collect::<String>() + "\n")
}

/// The body of an event stream: it ends when the sender is dropped.
struct EventStream(mpsc::Receiver<Bytes>);

impl hyper::body::Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(cx)
            .map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
