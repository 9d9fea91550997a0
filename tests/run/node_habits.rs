//! What programs of Node do by habit: test a port before they use it, close a server and live on, talk to
//! their parent, set `NODE_OPTIONS` in a script, serve from a worker thread.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{Cli, Cluster, Scrape, admin};
use crate::harness::{answering, free_port, get, wait_until, with_clients};
use crate::node::{APP, at, plan};

/// The addresses of the cluster.
fn addresses(cluster: &Cluster) -> Vec<String> {
    let status = cluster.run_json(&["status"]);
    let addresses = status["master"]["addresses"].as_array().expect("addresses");
    addresses
        .iter()
        .map(|address| address.as_str().expect("text").to_owned())
        .collect()
}

/// As get-port and Vite do.
pub(crate) fn tests_its_port() {
    let app = format!(
        "
const net = require('net');
const probe = (port, then) => {{
  const server = net.createServer();
  server.listen(port, '127.0.0.1', () => {{ const {{ port }} = server.address(); server.close(() =>
      then(port)); }});
}};
probe(0, () => probe(Number(process.env.PORT), () => {{ {APP} }}));
"
    );
    let port = free_port();
    let cluster = plan(&["node", "app.js"], &[("app.js", &app)], port)
        .arguments(&["--workers", "4"])
        .start();
    for _ in 0..50 {
        get(at(port), "/").expect("an answer");
    }
    assert_eq!(cluster.count_from(0, "cannot listen"), 0);
    let expected = [format!("127.0.0.1:{port}")];
    wait_until("nothing is open that nobody serves", || {
        addresses(&cluster) == expected
    });
    assert!(cluster.stop().success());
}

/// It lives on, for it has a second server.
pub(crate) fn leaves_an_address() {
    let app = "
const http = require('http');
const answer = (request, response) => response.end(process.env.CLUSTER_SLOT);
const first = http.createServer(answer).listen(Number(process.env.PORT), '127.0.0.1');
http.createServer((request, response) => {
  if (process.env.CLUSTER_SLOT === request.url.slice(1)) first.close();
  response.end(process.env.CLUSTER_SLOT);
}).listen(Number(process.env.SECOND), '127.0.0.1');
";
    let (port, second) = (free_port(), free_port());
    let cluster = plan(&["node", "app.js"], &[("app.js", app)], port)
        .arguments(&["--env", &format!("SECOND={second}")])
        .start();
    let ask = |_: &_, answered: &AtomicU64| {
        get(at(port), "/")?;
        answered.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    let (answered, lost) = with_clients(ask, || {
        wait_until("slot 0 was asked to leave", || {
            get(at(second), "/0").expect("an answer") == "0"
        });
        let mut since = 0;
        wait_until("slot 1 answers alone", || {
            since = if get(at(port), "/").expect("an answer") == "1" {
                since + 1
            } else {
                0
            };
            since > 100
        });
    });
    assert_eq!(lost, Vec::<String>::new(), "of {answered} requests");
    // The last one that listens there closes the address.
    wait_until("slot 1 was asked to leave", || {
        get(at(second), "/1").expect("an answer") == "1"
    });
    cluster.wait_for(&format!("no longer listening on 127.0.0.1:{port}"));
    wait_until("nobody listens there", || {
        get(at(port), "/").is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    });
    assert_eq!(addresses(&cluster), [format!("127.0.0.1:{second}")]);
}

pub(crate) fn talks_to_its_parent() {
    let app = format!("process.send({{ text: 'x'.repeat(2 << 20) }});\n{APP}");
    let port = free_port();
    let cluster = plan(&["node", "app.js"], &[("app.js", &app)], port).start();
    cluster.wait_for_many(0, "bytes without a newline on its IPC channel", 2);
    get(at(port), "/").expect("an answer");
    assert_eq!(cluster.run(&["reload"]).code, 0);
    assert_eq!(cluster.count_from(0, "ended by itself"), 0);
    assert!(cluster.stop().success());
}

pub(crate) fn sets_node_options_anew() {
    let package = r#"{ "name": "app", "scripts": { "start": "NODE_OPTIONS=--no-warnings node app.js" } }"#;
    let port = free_port();
    let files = [("app.js", APP), ("package.json", package)];
    let cluster = plan(&["npm", "start"], &files, port)
        .arguments(&["--workers", "1"])
        .start();
    cluster.wait_for("by a script that sets NODE_OPTIONS anew");
    get(at(port), "/").expect("it serves all the same");
    assert!(cluster.stop().success());
}

pub(crate) fn serves_from_a_thread() {
    let app = "
const { Worker, isMainThread } = require('worker_threads');
if (isMainThread) new Worker(__filename);
else require('http').createServer((request, response) => response.end('from a thread'))
  .listen(Number(process.env.PORT), '127.0.0.1');
";
    let port = free_port();
    let cluster = plan(&["node", "app.js"], &[("app.js", app)], port)
        .arguments(&["--workers", "1"])
        .start();
    cluster.wait_for("servers in worker threads");
    assert_eq!(get(at(port), "/").expect("an answer"), "from a thread");
    assert!(cluster.stop().success());
}

/// Of nobody: it is in no store, and lasts for a hundred years.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgeLdUjgq/WlDOzZP1\n\
bHHN4MggmHANASgx9q2+ko+rj/2hRANCAAQGFwQTdgvdIwXP6FNn50klRBgId4Zj\n\
gQ7m+E+Rx+UfRb8vEoV4v4/Gxj3Sfis4uMuQhaVW77yKuZKuv4cY9fQY\n\
-----END PRIVATE KEY-----";
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n\
MIIBfzCCASWgAwIBAgIUMZx1z28XzqSrr/LLAoxJtBAx1TowCgYIKoZIzj0EAwIw\n\
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNzE2MzM0NFoYDzIxMjYxMTAz\n\
MTYzMzQ0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO\n\
PQMBBwNCAAQGFwQTdgvdIwXP6FNn50klRBgId4ZjgQ7m+E+Rx+UfRb8vEoV4v4/G\n\
xj3Sfis4uMuQhaVW77yKuZKuv4cY9fQYo1MwUTAdBgNVHQ4EFgQUYzcNEuE2ZEup\n\
9YYpT0w2JbyKwEkwHwYDVR0jBBgwFoAUYzcNEuE2ZEup9YYpT0w2JbyKwEkwDwYD\n\
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiB2HqbhBEI1yFWr/c3ZnEOc\n\
nU4Lj193VctA0VrHKFp0+AIhAKQJ3w9103Jj2NsVx1YqB0uiLPfLtTw7eAQAYkrV\n\
HNCM\n\
-----END CERTIFICATE-----";

pub(crate) fn https() {
    let app = "
const { readFileSync } = require('fs');
require('https').createServer({ key: readFileSync('key.pem'), cert: readFileSync('cert.pem') },
  (request, response) => response.end('over TLS')).listen(Number(process.env.PORT), '127.0.0.1');
";
    let ask = "
require('https').get({ port: process.env.PORT, host: '127.0.0.1', rejectUnauthorized: false, agent: false },
  (answer) => answer.on('data', (part) => console.log(String(part)))).on('error', (error) =>
      console.log(error));
";
    let port = free_port();
    let files = [("app.js", app), ("key.pem", KEY), ("cert.pem", CERTIFICATE)];
    let cluster = plan(&["node", "app.js"], &files, port).start();
    for _ in 0..2 {
        let mut client = Command::new("node");
        let asked = client
            .args(["-e", ask])
            .env("PORT", port.to_string())
            .output()
            .expect("node");
        assert_eq!(String::from_utf8_lossy(&asked.stdout), "over TLS\n", "{asked:?}");
        assert_eq!(cluster.run(&["reload"]).code, 0);
    }
    assert!(cluster.stop().success());
}

/// It lives on, because of a timer, and serves nothing.
pub(crate) fn disconnects() {
    let app = format!(
        "{APP}
setInterval(() => {{}}, 1000);
process.on('SIGUSR2', () => require('cluster').worker.disconnect());"
    );
    let port = free_port();
    let cluster = plan(&["node", "app.js"], &[("app.js", &app)], port)
        .arguments(&["--workers", "1"])
        .start();
    let first = answering(at(port));
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(first),
        nix::sys::signal::Signal::SIGUSR2,
    )
    .expect("sent");
    let told = cluster.wait_for("this worker is poisoned");
    let reason = told["reason"].as_str().expect("a reason");
    assert!(reason.contains("has left the cluster"), "{reason}");
    wait_until("another process answers", || {
        get(at(port), "/").is_ok_and(|body| !body.starts_with(&first.to_string()))
    });
    assert!(cluster.stop().success());
}

/// A session of HTTP/2 is told of a drain, finishes its stream, and its answers are counted.
pub(crate) fn http2() {
    let app = "
require('http2').createServer((request, response) => {
  if (request.url === '/slow') setTimeout(() => response.end('late'), 500);
  else response.end('soon');
}).listen(Number(process.env.PORT), '127.0.0.1');
";
    let client = "
const session = require('http2').connect(`http://127.0.0.1:${process.env.PORT}`);
const ask = (path) => {
  const stream = session.request({ ':path': path });
  let body = '';
  stream.on('data', (part) => body += part).on('end', () => console.log(`answered ${body}`));
};
session.on('goaway', () => console.log('goaway')).on('close', () => console.log('closed'));
ask('/');
ask('/slow');
";
    let port = free_port();
    let cluster = plan(&["node", "app.js"], &[("app.js", app)], port)
        .arguments(&["--admin", "127.0.0.1:0"])
        .start();
    let mut talking = Command::new("node")
        .args(["-e", client])
        .env("PORT", port.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node");
    let mut said = BufReader::new(talking.stdout.take().expect("piped")).lines();
    let mut next = || said.next().expect("a line").expect("text");
    assert_eq!(next(), "answered soon");
    assert_eq!(cluster.run(&["reload"]).code, 0);
    let rest: Vec<String> = std::iter::from_fn(|| Some(next()).filter(|line| line != "closed")).collect();
    for expected in ["goaway", "answered late"] {
        assert!(rest.contains(&expected.to_owned()), "{rest:?}");
    }
    assert!(talking.wait().expect("an end").success());
    // The worker that has answered is gone, with what it had not told by a beat.
    wait_until("both answers are counted", || {
        Scrape::of(admin(&cluster)).value("cluster_http_requests_started_total") == 2.0
    });
}

/// The entry points of images end with `exec "$@"`.
pub(crate) fn entry_point() {
    let port = free_port();
    let files = [("app.js", APP), ("entrypoint.sh", "#!/bin/sh\nexec \"$@\"\n")];
    let cluster = plan(&["sh", "entrypoint.sh", "node", "app.js"], &files, port).start();
    get(at(port), "/").expect("an answer");
    assert_eq!(addresses(&cluster), [format!("127.0.0.1:{port}")]);
    assert!(cluster.stop().success());
}
