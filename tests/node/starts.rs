//! Each way to start a program: directly, as a module, behind npm and shells, with and without the preload.

use cluster::agent::node::session::NodeEvent;
use serde_json::json;

use crate::harness::{self, Launch, WORKER_ID, body, files, get, is_blocking, listener, port, run, start};

/// Answers with what it knows about itself.
pub(crate) const APP: &str = "
const http = require('http');
const cluster = require('cluster');
const names = Object.keys(process.env).filter((name) => /^(CLUSTER_|NODE_)/.test(name));
http.createServer((request, response) => {
  response.end(JSON.stringify({ worker: cluster.isWorker, id: cluster.worker && cluster.worker.id, names,
    options: process.env.NODE_OPTIONS, connected: process.connected, send: typeof process.send }));
}).listen(Number(process.env.PORT));
";

const MODULE: &str = "
import http from 'node:http';
import cluster from 'node:cluster';
import process from 'node:process';
const names = Object.keys(process.env).filter((name) => /^(CLUSTER_|NODE_)/.test(name));
const server = http.createServer((request, response) => {
  response.end(JSON.stringify({ worker: cluster.isWorker, id: cluster.worker && cluster.worker.id, names,
    options: process.env.NODE_OPTIONS, connected: process.connected, send: typeof process.send }));
});
server.listen(Number(process.env.PORT), '127.0.0.1');
";

const PACKAGE: &str = r#"{"name": "app", "private": true, "scripts": {"start": "node app.js"}}"#;

/// A program that serves as a worker, with nothing of ours in its environment but what npm has set.
async fn serves(launch: &Launch<'_>) {
    let slot = listener();
    let mut program = start(launch, &slot);
    program.until_it_listens().await;
    let answer = body(&get(port(&slot), "/"));
    let command = launch.command;
    assert_eq!(answer["worker"], json!(true), "{command:?}");
    assert_eq!(answer["id"], json!(WORKER_ID), "{command:?}");
    assert_eq!(
        (&answer["connected"], &answer["send"]),
        (&json!(true), &json!("function"))
    );
    let expected = launch.node_options.map_or(json!(null), |options| json!(options));
    assert_eq!(answer["options"], expected, "{command:?}");
    let names = answer["names"].as_array().expect("names");
    assert!(
        names.iter().all(|name| name == "NODE_OPTIONS" || name == "NODE"),
        "{command:?} left {names:?}"
    );
    assert!(!is_blocking(&slot));
}

pub(crate) fn each_way_serves() {
    let folder = files(&[("app.js", APP), ("app.mjs", MODULE), ("package.json", PACKAGE)]);
    let mut commands: Vec<&[&str]> = vec![
        &["node", "app.js"],
        &["node", "app.mjs"],
        &["sh", "-c", "node app.js"],
        &["sh", "-c", "exec node app.js"],
        &["env", "A=1", "node", "app.js"],
    ];
    if std::process::Command::new("npm")
        .arg("--version")
        .output()
        .is_ok()
    {
        commands.push(&["npm", "start"]);
    } else {
        eprintln!("SKIPPED: there is no `npm` in PATH, so `npm start` is not tried");
    }
    for command in commands {
        run(serves(&Launch::new(&folder, command)));
    }
    run(serves(&Launch {
        node_options: Some("--max-old-space-size=200"),
        ..Launch::new(&folder, &["node", "app.js"])
    }));
}

/// As tsx and nodemon do.
pub(crate) fn a_wrapper_with_a_channel() {
    let wrapper = "
const stdio = ['inherit', 'inherit', 'inherit', 'ipc'];
require('child_process').spawn(process.execPath, ['app.js'], { stdio });
";
    let folder = files(&[("app.js", APP), ("node_modules/tsx/cli.js", wrapper)]);
    run(serves(&Launch::new(
        &folder,
        &["node", "node_modules/tsx/cli.js"],
    )));
}

pub(crate) fn a_compiler_before() {
    let folder = files(&[("build.js", "setTimeout(() => {}, 10);"), ("app.js", APP)]);
    run(async {
        let slot = listener();
        let command = ["sh", "-c", "node build.js && node app.js"];
        let mut program = start(&Launch::new(&folder, &command), &slot);
        let taken = |event: &NodeEvent| matches!(event, NodeEvent::Taken { .. });
        let first = program.until(taken).await;
        let second = program.until(taken).await;
        assert_ne!(first, second, "two processes");
        program.until_it_listens().await;
        assert_eq!(body(&get(port(&slot), "/"))["worker"], json!(true));
    });
}

pub(crate) fn two_at_once() {
    let app = format!("{APP}; require('fs').writeFileSync('started', '')");
    let second = "require('net').createServer().listen(0, '127.0.0.1', () => process.exit())";
    let folder = files(&[("app.js", app.as_str()), ("second.js", second)]);
    run(async {
        let slot = listener();
        let script = "node app.js & while [ ! -e started ]; do sleep 0.05; done; node second.js";
        let mut program = start(&Launch::new(&folder, &["sh", "-c", script]), &slot);
        program.until_it_listens().await;
        assert!(program.child.wait().expect("ended").success());
        assert_eq!(
            body(&get(port(&slot), "/"))["worker"],
            json!(true),
            "the first one serves on"
        );
        let words = program.last_words();
        assert_eq!(
            words
                .matches("another process of this program serves already")
                .count(),
            1,
            "{words}"
        );
    });
}

pub(crate) fn an_unknown_wrapper() {
    let wrapper = "require('child_process').spawn('node', ['app.js'], { stdio: 'inherit' });";
    let folder = files(&[("launch.js", wrapper), ("app.js", "setInterval(() => {}, 1000);")]);
    run(async {
        let mut program = start(&Launch::new(&folder, &["node", "launch.js"]), &listener());
        let told = program
            .until(|event| matches!(event, NodeEvent::Spawned(_)))
            .await;
        assert_eq!(told, NodeEvent::Spawned("node app.js".to_owned()));
    });
}

pub(crate) fn a_lost_descriptor() {
    let folder = files(&[("app.js", "if (process.env.CLUSTER_IPC_FD) process.exit(9);")]);
    run(async {
        let launch = Launch {
            env: &[("CLUSTER_IPC_INODE", "1")],
            ..Launch::new(&folder, &["node", "app.js"])
        };
        let mut program = start(&launch, &listener());
        program.until(|event| matches!(event, NodeEvent::End(_))).await;
        assert!(program.child.wait().expect("ended").success());
        let words = program.last_words();
        assert!(
            words.contains("did not pass descriptor") && words.lines().count() == 1,
            "{words}"
        );
    });
}

pub(crate) fn a_node_without_internals() {
    let folder = files(&[
        ("without.js", "delete require('child_process')._forkChild;"),
        (
            "app.js",
            "if (process.env.CLUSTER_IPC_FD || process.env.NODE_UNIQUE_ID) process.exit(9);",
        ),
    ]);
    run(async {
        let launch = Launch {
            node_options: Some("--require ./without.js"),
            ..Launch::new(&folder, &["node", "app.js"])
        };
        let mut program = start(&launch, &listener());
        let told = program
            .until(|event| matches!(event, NodeEvent::Unsupported { .. }))
            .await;
        let NodeEvent::Unsupported { reason, version } = told else {
            unreachable!("it was awaited");
        };
        assert_eq!(reason, "child_process._forkChild");
        assert!(version.starts_with('v'), "{version}");
        assert!(
            program.child.wait().expect("ended").success(),
            "the program runs as it is"
        );
    });
}

pub(crate) fn without_preload() {
    let folder = files(&[("app.js", APP)]);
    run(serves(&Launch {
        preload: false,
        ..Launch::new(&folder, &["node", "app.js"])
    }));
    assert!(harness::node_is_there());
}
