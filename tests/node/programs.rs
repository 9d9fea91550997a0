//! What programs do with the channel: as under Node's own primary.

use std::io::{Read, Write};
use std::time::Duration;

use cluster::agent::node::session::{NodeEnd, NodeEvent};
use nix::errno::Errno;
use serde_json::json;

use crate::harness::{Launch, body, files, get, listener, port, run, start};

pub(crate) fn all_ways_to_listen() {
    let app = "
const http = require('http');
const net = require('net');
const answer = (request, response) => response.end(JSON.stringify({ two: two.address().port }));
const two = http.createServer(answer);
http.createServer(answer).listen(Number(process.env.PORT), () => two.listen(0, '127.0.0.1', () => {
  net.createServer((socket) => socket.end('path')).listen('app.sock', () => {
    http.createServer(answer).listen({ fd: 3 }, () => process.send('ready'));
  });
}));
";
    let folder = files(&[("app.js", app)]);
    run(async {
        let slot = listener();
        let mut program = start(&Launch::new(&folder, &["node", "app.js"]), &slot);
        program.until(|event| *event == NodeEvent::AppReady).await;
        let two = body(&get(port(&slot), "/"))["two"].as_u64().expect("a port");
        assert_eq!(
            body(&get(u16::try_from(two).expect("a port"), "/"))["two"],
            json!(two)
        );
        let path = folder.path().join("app.sock");
        let mut stream = std::os::unix::net::UnixStream::connect(path).expect("connected");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("read");
        assert_eq!(text, "path");
        drop(stream);
        program.channel.disconnect(Duration::from_secs(1));
        let ended = program.until(|event| matches!(event, NodeEvent::End(_))).await;
        assert_eq!(ended, NodeEvent::End(NodeEnd::Disconnected));
    });
}

pub(crate) fn an_error_number() {
    let app = "
require('http').createServer().listen(81, '127.0.0.1').on('error', (error) => {
  if (error.code !== 'EACCES') throw error;
  require('dgram').createSocket('udp4').on('error', (error) => {
    if (error.code !== 'ENOTSUP') throw error;
    process.send('ready');
  }).bind(5353);
});
";
    let folder = files(&[("app.js", app)]);
    run(async {
        let mut program = start(&Launch::new(&folder, &["node", "app.js"]), &listener());
        let refused = program
            .until(|event| matches!(event, NodeEvent::ListenRefused(_)))
            .await;
        let NodeEvent::ListenRefused(refusal) = refused else {
            unreachable!("it was awaited");
        };
        assert_eq!(refusal.errno, Errno::ENOTSUP);
        program.until(|event| *event == NodeEvent::AppReady).await;
    });
}

pub(crate) fn messages() {
    let app = "
process.on('message', (message) => process.send(message.say));
process.send({ type: 'hello' });
process.send('with a handle', require('net').createServer().listen({ port: 0, exclusive: true }));
";
    let folder = files(&[("app.js", app)]);
    run(async {
        let mut program = start(&Launch::new(&folder, &["node", "app.js"]), &listener());
        for _ in 0..2 {
            program.until(|event| *event == NodeEvent::AppMessage).await;
        }
        program.channel.send(&json!({"say": "ready"}));
        program.until(|event| *event == NodeEvent::AppReady).await;
    });
}

pub(crate) fn disconnects() {
    let app = "
setInterval(() => {}, 1000);
require('cluster').worker.exitedAfterDisconnect = true;
process.disconnect();
";
    let folder = files(&[("app.js", app)]);
    run(async {
        let mut program = start(
            &Launch::new(&folder, &["sh", "-c", "node app.js; true"]),
            &listener(),
        );
        let ended = program.until(|event| matches!(event, NodeEvent::End(_))).await;
        assert_eq!(ended, NodeEvent::End(NodeEnd::Disconnected));
        assert_eq!(
            program.until(|event| *event == NodeEvent::Beat).await,
            NodeEvent::Beat
        );
    });
}

pub(crate) fn own_socket() {
    let app = "require('http').createServer().listen({ port: 0, host: '127.0.0.1', exclusive: true });";
    let folder = files(&[("app.js", app)]);
    run(async {
        let mut program = start(&Launch::new(&folder, &["node", "app.js"]), &listener());
        let told = program
            .until(|event| matches!(event, NodeEvent::BoundByItself(_)))
            .await;
        assert!(matches!(told, NodeEvent::BoundByItself(address) if address.starts_with("127.0.0.1:")));
    });
}

pub(crate) fn threads_and_children() {
    let app = "
const { Worker } = require('worker_threads');
const { execFile, fork } = require('child_process');
const names = `Object.keys(process.env).filter((name) => /^(CLUSTER_|NODE_)/.test(name))`;
const say = `JSON.stringify({ names: ${names}, worker: require('cluster').isWorker })`;
require('fs').writeFileSync('forked.js', `process.send(${say})`);
require('http').createServer((request, response) => {
  const thread = new Worker(`require('worker_threads').parentPort.postMessage(${say})`, { eval: true });
  thread.once('message', (thread) => execFile(process.execPath, ['-p', say], (error, child) => {
    fork('forked.js').once('message', (forked) => response.end(
      JSON.stringify({ thread: JSON.parse(thread), child: JSON.parse(child), forked: JSON.parse(forked) })));
  }));
}).listen(Number(process.env.PORT));
";
    let folder = files(&[("app.js", app)]);
    run(async {
        let slot = listener();
        let mut program = start(&Launch::new(&folder, &["node", "app.js"]), &slot);
        program.until_it_listens().await;
        let answer = body(&get(port(&slot), "/"));
        let clean = json!({"names": [], "worker": false});
        assert_eq!((&answer["child"], &answer["forked"]), (&clean, &clean));
        assert_eq!(answer["thread"]["names"], json!([]));
    });
}

pub(crate) fn blocked_loop() {
    let app = "
require('http').createServer((request, response) => {
  response.end('{}', () => setTimeout(() => { for (;;); }, 1));
}).listen(Number(process.env.PORT));
";
    let folder = files(&[("app.js", app)]);
    run(async {
        let slot = listener();
        let mut program = start(&Launch::new(&folder, &["node", "app.js"]), &slot);
        program.until_it_listens().await;
        for _ in 0..5 {
            program.until(|event| *event == NodeEvent::Beat).await;
        }
        let mut stream = crate::harness::connect(port(&slot));
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("written");
        while tokio::time::timeout(Duration::from_secs(2), program.channel.next())
            .await
            .is_ok()
        {}
    });
}
