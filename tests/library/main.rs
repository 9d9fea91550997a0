//! A program of one's own under the supervisor: flags, a `tracing` subscriber and the address of the client.
//! Without libtest, because the same program is master and worker, too.

#[path = "../common/mod.rs"]
mod common;
#[path = "../runner/mod.rs"]
mod runner;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use cluster::worker::{BootError, ClientAddress, log_output};
use cluster::{App, Worker};

use crate::common::{Cli, Cluster, Plan, TIMEOUT};
use crate::runner::Test;

const TESTS: &[Test] = &[
    (
        "handlers_get_the_address_of_their_client",
        handlers_get_the_address_of_their_client,
    ),
    (
        "without_connect_info_there_is_none",
        without_connect_info_there_is_none,
    ),
    (
        "a_subscriber_of_the_program_gets_every_line",
        a_subscriber_of_the_program_gets_every_line,
    ),
    (
        "own_flags_reach_every_worker_also_after_a_reload",
        own_flags_reach_every_worker_also_after_a_reload,
    ),
    (
        "own_flags_are_explained_and_checked",
        own_flags_are_explained_and_checked,
    ),
];

/// What the program of a test does beside its routes.
const WAY: &str = "OWN_PROGRAM";

#[derive(clap::Args)]
struct Flags {
    /// Whom every answer greets
    #[arg(long, default_value = "world", value_name = "NAME")]
    whom: String,
    /// How often
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    times: u8,
}

fn main() -> ExitCode {
    match std::env::var(WAY).as_deref() {
        Ok("tests") | Err(_) => {}
        Ok(way) => return program(way),
    }
    let is_a_process_of_a_cluster = ["CLUSTER_WORKER", "CLUSTER_STUB"];
    if is_a_process_of_a_cluster
        .iter()
        .any(|name| std::env::var_os(name).is_some())
    {
        return program("plain");
    }
    runner::main(TESTS, &[])
}

fn program(way: &str) -> ExitCode {
    let app = App::new("own").flags::<Flags>().boot(boot);
    match way {
        "subscriber" => {
            let lines = tracing_subscriber::fmt()
                .json()
                .flatten_event(true)
                .with_thread_names(true);
            lines.with_writer(log_output().expect("an output")).init();
            app.run()
        }
        "addresses" => app.connect_info().run(),
        _ => app.run(),
    }
}

async fn boot(worker: Worker) -> Result<Router, BootError> {
    let Flags { whom, times } = worker.flags()?;
    tracing::info!("the program boots");
    let greeting = format!("hello {whom};").repeat(times.into());
    Ok(Router::new()
        .route("/", get(async move || greeting.clone()))
        .route("/who", get(who))
        .route("/tcp", get(tcp)))
}

async fn who(ConnectInfo(client): ConnectInfo<ClientAddress>) -> String {
    client.to_string()
}

async fn tcp(ConnectInfo(client): ConnectInfo<SocketAddr>) -> String {
    client.to_string()
}

fn plan(way: &str) -> Plan {
    Plan::shop()
        .replace("[drill]\nroutes = true\n", "")
        .program(&std::env::current_exe().expect("a program"))
        .environment(WAY, way)
}

/// The body of the answer to a GET on this connection, which is closed then.
fn ask(mut stream: impl Read + Write, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
}

fn connect(cluster: &Cluster) -> TcpStream {
    let stream = TcpStream::connect(cluster.address()).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    stream
}

fn handlers_get_the_address_of_their_client() {
    let plan = plan("addresses");
    let path = plan.directory().join("own.sock");
    let bind = format!("bind = [\"127.0.0.1:0\", \"unix:{}\"]", path.display());
    let cluster = plan.replace("bind = [\"127.0.0.1:0\"]", &bind).start();
    for path in ["/who", "/tcp"] {
        let stream = connect(&cluster);
        let own = stream.local_addr().expect("an address").to_string();
        assert_eq!(ask(stream, path), own, "{path}");
    }
    let unix = UnixStream::connect(&path).expect("connected");
    assert_eq!(ask(unix, "/who"), "unix");
}

fn without_connect_info_there_is_none() {
    let cluster = plan("plain").start();
    assert_eq!(cluster.get("/who").status, 500);
    assert_eq!(cluster.get("/").status, 200);
}

fn a_subscriber_of_the_program_gets_every_line() {
    let mut cluster = plan("subscriber").start();
    cluster.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(cluster.wait_to_the_last_word().success());
    let log = cluster.log();
    for text in ["serving: every worker is ready", "the program boots", "stopped"] {
        let is_it = |line: &&serde_json::Value| line["message"] == text;
        let line = log
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{text:?} is not logged"));
        assert!(line["threadName"].is_string(), "{line}");
    }
}

fn own_flags_reach_every_worker_also_after_a_reload() {
    let cluster = plan("plain").arguments(&["--whom", "you", "--times=2"]).start();
    assert_eq!(cluster.get("/").body, "hello you;hello you;");
    let name = ["reload", "--data-dir"];
    let mut reload = std::process::Command::new(std::env::current_exe().expect("a program"));
    let reload = reload.args(name).arg(cluster.data()).env(WAY, "plain").output();
    assert!(reload.expect("it runs").status.success());
    for _ in 0..10 {
        assert_eq!(cluster.get("/").body, "hello you;hello you;");
    }
    assert_eq!(cluster.run(&["status"]).code, 0);
}

fn own_flags_are_explained_and_checked() {
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(std::env::current_exe().expect("a program"));
        let output = command
            .args(arguments)
            .env(WAY, "plain")
            .output()
            .expect("it runs");
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text"));
        (output.status.code(), stdout + &stderr)
    };
    for command in ["serve", "check"] {
        let (code, help) = run(&[command, "--help"]);
        assert_eq!(code, Some(0));
        assert!(
            help.contains("--whom <NAME>") && help.contains("Whom every answer greets"),
            "{help}"
        );
    }
    let (code, told) = run(&["check", "--times", "10"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("--times"), "{told}");
    assert_eq!(run(&["check", "--times", "9", "--whom", "me"]).0, Some(0));
}
