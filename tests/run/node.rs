//! Unmodified programs of the installed Node.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::common::{Cli, Cluster, Plan, TIMEOUT};
use crate::harness::{free_port, get, lives, wait_until, with_clients, write};

pub(crate) const APP: &str = "
require('http').createServer((request, response) => {
  if (request.url === '/spin') for (;;);
  response.end(`${process.pid} node\\n`);
}).listen(Number(process.env.PORT), '127.0.0.1');
";
const PACKAGE: &str = r#"{ "name": "app", "version": "1.0.0", "scripts": { "start": "node app.js" } }"#;

/// A program in files of its own, which listens on this port.
pub(crate) fn plan(command: &[&str], files: &[(&str, &str)], port: u16) -> Plan {
    let plan = Plan::run(command);
    write(plan.directory(), files);
    let directory = plan.directory().to_str().expect("text").to_owned();
    plan.arguments(&["--directory", &directory, "--env", &format!("PORT={port}")])
}

pub(crate) fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// One connection, until an answer says that it ends.
fn converse(port: u16, stop: &AtomicBool, answered: &AtomicU64) -> std::io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(at(port))?);
    stream.get_ref().set_read_timeout(Some(TIMEOUT))?;
    while !stop.load(Ordering::Relaxed) {
        stream
            .get_mut()
            .write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")?;
        let (mut closes, mut length, mut line) = (false, 0, String::new());
        while stream.read_line(&mut line)? > 2 {
            let lower = line.to_ascii_lowercase();
            closes |= lower == "connection: close\r\n";
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            line.clear();
        }
        if line.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        stream.read_exact(&mut vec![0; length])?;
        answered.fetch_add(1, Ordering::Relaxed);
        if closes {
            return Ok(());
        }
    }
    Ok(())
}

fn reloads_lose_nothing(cluster: &Cluster, port: u16) {
    let kept_alive = |stop: &AtomicBool, answered: &AtomicU64| converse(port, stop, answered);
    let (answered, lost) = with_clients(kept_alive, || {
        for _ in 0..3 {
            let result = cluster.run(&["reload"]);
            assert_eq!(result.code, 0, "{result:?}");
        }
    });
    assert!(answered > 0);
    assert_eq!(lost, Vec::<String>::new(), "of {answered} requests");
}

pub(crate) fn reload() {
    let port = free_port();
    let cluster = plan(&["node", "app.js"], &[("app.js", APP)], port).start();
    assert!(get(at(port), "/").expect("an answer").ends_with(" node\n"));
    let status = cluster.run_json(&["status"]);
    let addresses = status["master"]["addresses"].as_array().expect("addresses");
    assert!(
        addresses.contains(&format!("127.0.0.1:{port}").into()),
        "{status}"
    );
    reloads_lose_nothing(&cluster, port);
    assert!(cluster.stop().success());
}

/// Its preload counts what it answers.
pub(crate) fn recycled() {
    let port = free_port();
    let cluster = plan(&["node", "app.js"], &[("app.js", APP)], port)
        .replace(
            "workers = 2",
            "workers = 1\nmax_requests = 100\nbackoff_longest = \"1s\"",
        )
        .start();
    let first = answering(port);
    let (answered, lost) = with_clients(
        |stop, answered| converse(port, stop, answered),
        || drop(cluster.wait_for("it has answered max_requests")),
    );
    assert_eq!(lost, Vec::<String>::new(), "of {answered} requests");
    wait_until("another process answers", || answering(port) != first);
}

/// A release that starts well and answers with 500 is taken back.
pub(crate) fn failing_release() {
    let app = |status: u16| {
        let answer = format!("response.statusCode = {status};\n  response.end(`${{process.pid}} node\\n`);");
        APP.replace("response.end(`${process.pid} node\\n`);", &answer)
    };
    assert!(app(500).contains("500"));
    let port = free_port();
    let plan = plan(&["node", "app.js"], &[("app.js", &app(200))], port);
    let directory = plan.directory().to_owned();
    let cluster = plan.replace("50ms", "20s").start();
    write(&directory, &[("app.js", &app(500))]);
    let connect = |_: &AtomicBool, answered: &AtomicU64| {
        let mut stream = TcpStream::connect(at(port))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
        stream.read_to_string(&mut String::new())?;
        answered.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    with_clients(connect, || {
        let result = cluster.run(&["reload"]);
        assert_ne!(result.code, 0, "{result:?}");
        assert!(format!("{result:?}").contains("5xx"), "{result:?}");
    });
    get(at(port), "/").expect("the old release answers with 200");
}

pub(crate) fn stop_waits() {
    let app = "
require('http').createServer((request, response) => {
  console.log('asked');
  setTimeout(() => response.end('answered late'), 2500);
}).listen(Number(process.env.PORT), '127.0.0.1');
";
    for _ in 0..2 {
        let port = free_port();
        let cluster = plan(&["node", "app.js"], &[("app.js", app)], port).start();
        let waiting = std::thread::spawn(move || get(at(port), "/"));
        cluster.wait_for("asked");
        assert_eq!(cluster.run(&["stop"]).code, 0);
        let body = waiting
            .join()
            .expect("no panic")
            .expect("the request was answered");
        assert_eq!(body, "answered late");
    }
}

/// The event loop turns, and the probe that was asked for fails: the program is replaced.
pub(crate) fn failing_probe() {
    let app = "
require('http').createServer((request, response) => {
  response.statusCode = request.url === '/healthz' ? 500 : 200;
  response.end(`${process.pid} node\\n`);
}).listen(Number(process.env.PORT), '127.0.0.1');
";
    let port = free_port();
    let cluster = plan(&["node", "app.js"], &[("app.js", app)], port)
        .replace(
            "workers = 2",
            "workers = 1\nheartbeat_timeout = \"1s\"\nheartbeat_interval = \"100ms\"",
        )
        .arguments(&["--probe", "http:/healthz"])
        .start();
    cluster.wait_for("probes have failed in a row");
    cluster.wait_until(0, "another life", |line| line["life"] == "1/0/2");
}

/// A request that is open when the drain's time is nearly over is cut by the signal, and that is told.
pub(crate) fn stop_cuts() {
    let app = "
require('http').createServer(() => console.log('asked')).listen(Number(process.env.PORT), '127.0.0.1');
";
    let port = free_port();
    let cluster = plan(&["node", "app.js"], &[("app.js", app)], port)
        .with("[cluster]", "drain_timeout = \"1s\"")
        .start();
    let waiting = std::thread::spawn(move || get(at(port), "/"));
    cluster.wait_for("asked");
    let stopped = cluster.run(&["stop"]);
    assert_eq!(stopped.code, 3, "{stopped:?}");
    assert!(waiting.join().expect("no panic").is_err());
}

/// The test's deadline is shorter than the drain's.
pub(crate) fn stop_dismisses() {
    let port = free_port();
    let cluster = plan(&["node", "app.js"], &[("app.js", APP)], port)
        .with("[cluster]", "drain_timeout = \"10m\"")
        .start();
    let mut idle = BufReader::new(TcpStream::connect(at(port)).expect("connected"));
    idle.get_mut()
        .write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        .expect("written");
    let mut line = String::new();
    idle.read_line(&mut line).expect("an answer");
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    assert!(cluster.stop().success());
}

pub(crate) fn npm_start() {
    let port = free_port();
    let files = [("app.js", APP), ("package.json", PACKAGE)];
    let cluster = plan(&["npm", "start"], &files, port).start();
    reloads_lose_nothing(&cluster, port);
    let program = answering(port);
    assert!(cluster.stop().success());
    wait_until("the program behind npm is gone", || !lives(program));
}

fn answering(port: u16) -> i32 {
    let body = get(at(port), "/").expect("an answer");
    body.split(' ').next().expect("a pid").parse().expect("a number")
}

pub(crate) fn blocked() {
    let port = free_port();
    let cluster = plan(&["node", "app.js"], &[("app.js", APP)], port)
        .arguments(&["--workers", "1"])
        .with("[cluster]", "heartbeat_timeout = \"1s\"")
        .start();
    let program = answering(port);
    let mut stream = TcpStream::connect(at(port)).expect("connected");
    stream
        .write_all(b"GET /spin HTTP/1.1\r\nHost: test\r\n\r\n")
        .expect("written");
    wait_until("the blocked program is dead", || !lives(program));
    assert_ne!(answering(port), program);
    let why = cluster.run(&["why", "0"]).stdout;
    assert!(
        why.contains("hung") && why.contains("its event loop has not turned for"),
        "{why}"
    );
    assert!(why.contains(&format!("(pid {program}): state R")), "{why}");
}

pub(crate) fn unused_address() {
    let (port, unused) = (free_port(), free_port());
    let cluster = plan(&["node", "app.js"], &[("app.js", APP)], port)
        .arguments(&["--workers", "1", "--bind", &format!("127.0.0.1:{unused}")])
        .start();
    cluster.wait_for(&format!(
        "nobody accepts on 127.0.0.1:{unused}, which --bind names"
    ));
    let mut status = String::new();
    wait_until("status says it", || {
        status = cluster.run(&["status"]).stdout;
        status.contains(&format!("nobody accepts on 127.0.0.1:{unused}"))
    });
}

pub(crate) fn taken_port() {
    let other = TcpListener::bind(at(0)).expect("a port");
    let port = other.local_addr().expect("an address").port();
    let mut cluster = plan(&["node", "app.js"], &[("app.js", APP)], port).launch();
    cluster.wait_for("the program cannot listen on 127.0.0.1");
    cluster.wait_for("its last words: Error: ");
    assert_eq!(cluster.wait().code(), Some(69));
}

pub(crate) fn garbage() {
    let port = free_port();
    let app = format!(
        "{APP}\nrequire('http').createServer((request, response) => {{\n  \
         try {{ require('fs').writeSync(3, Buffer.alloc(100, 'x')); }} catch {{}}\n  \
         require('fs').writeSync(3, '\\n'); response.end('sent');\n}}).listen(0, '127.0.0.1', \
         function() {{ console.log(`garbage at ${{this.address().port}}`); }});"
    );
    let cluster = plan(&["node", "app.js"], &[("app.js", app.as_str())], port).start();
    let line = cluster.wait_for("garbage at ");
    let told = line["message"].as_str().expect("text");
    let second: u16 = told
        .rsplit(' ')
        .next()
        .expect("a port")
        .parse()
        .expect("a number");
    // The listener behind it is the second one that the master has lent.
    assert_eq!(get(at(second), "/").expect("an answer"), "sent");
    cluster.wait_for("the IPC channel of the program is given up");
    assert!(get(at(port), "/").is_ok());
}

pub(crate) fn ways_to_listen() {
    let app = "
const http = require('http');
const answer = (request, response) => response.end(`${process.env.CLUSTER_SLOT}`);
http.createServer(answer).listen({ fd: 3 });
http.createServer(answer).listen(0, '127.0.0.1', function() { console.log(`chosen ${this.address().port}`); });
http.createServer(answer).listen(process.env.SOCKET, () => console.log('socket is there'));
";
    let plan = Plan::run(&["node", "app.js"]);
    write(plan.directory(), &[("app.js", app)]);
    let directory = plan.directory().to_str().expect("text").to_owned();
    let socket = plan.directory().join("app.sock");
    let cluster = plan
        .arguments(&["--directory", &directory, "--bind", "127.0.0.1:0"])
        .arguments(&["--env", &format!("SOCKET={}", socket.display())])
        .start();
    cluster.wait_for_many(0, "socket is there", 2);
    cluster.wait_for_many(0, "chosen ", 2);
    let chosen: Vec<String> = cluster
        .log()
        .iter()
        .filter_map(|line| Some(line["message"].as_str()?.strip_prefix("chosen ")?.to_owned()))
        .collect();
    assert_eq!(chosen[0], chosen[1], "both workers have the same port");
    let port: u16 = chosen[0].parse().expect("a port");
    assert!(get(at(port), "/").is_ok());
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).expect("connected");
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        .expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
