//! From boot to exit: readiness, identity, beats, signals, commands, exit codes.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command as Process;
use std::time::Duration;

use cluster::base::exit::Exit;
use cluster::base::ids::Incarnation;
use cluster::lifeline::{Command, Report};
use cluster::pool::OrphanedWork;
use cluster::sys::clock;
use nix::sys::signal::Signal;

use crate::master::{LIFE, Worker};
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[
    ("it_answers_on_a_unix_socket_too", it_answers_on_a_unix_socket_too),
    (
        "liveness_is_answered_while_every_handler_waits",
        liveness_is_answered_while_every_handler_waits,
    ),
    ("a_worker_says_ready_and_answers", a_worker_says_ready_and_answers),
    (
        "it_beats_and_counts_on_its_board",
        it_beats_and_counts_on_its_board,
    ),
    (
        "a_spinning_handler_stops_the_beat",
        a_spinning_handler_stops_the_beat,
    ),
    (
        "what_a_terminal_or_a_peer_sends_does_not_kill",
        what_a_terminal_or_a_peer_sends_does_not_kill,
    ),
    (
        "orphaned_work_is_taken_over_and_reported",
        orphaned_work_is_taken_over_and_reported,
    ),
    (
        "a_poisoned_worker_ends_with_its_own_code",
        a_poisoned_worker_ends_with_its_own_code,
    ),
    ("a_failed_boot_says_why", a_failed_boot_says_why),
    (
        "without_a_master_it_says_what_is_missing",
        without_a_master_it_says_what_is_missing,
    ),
    ("a_full_log_pipe_stops_nobody", a_full_log_pipe_stops_nobody),
    (
        "an_application_that_does_not_say_is_not_ready",
        an_application_that_does_not_say_is_not_ready,
    ),
    (
        "the_application_has_a_say_in_readiness",
        the_application_has_a_say_in_readiness,
    ),
    (
        "a_boot_that_waits_says_so_and_goes_on",
        a_boot_that_waits_says_so_and_goes_on,
    ),
    (
        "a_boot_that_waited_may_still_fail",
        a_boot_that_waited_may_still_fail,
    ),
    (
        "a_worker_whose_boot_waits_drains",
        a_worker_whose_boot_waits_drains,
    ),
];

fn a_worker_says_ready_and_answers() {
    let worker = Worker::ready(|_| {});
    let mut client = worker.connect();
    let answer = client.get("/");
    assert_eq!((answer.status, answer.body.as_str()), (200, "7/2/3"));
    for probe in ["liveness", "readiness", "startup"] {
        assert_eq!(client.get(&format!("/healthz/{probe}")).status, 200, "{probe}");
    }
    assert_eq!(client.get("/nowhere").code(), "not_found");
    let wrong = client.post("/", "");
    assert_eq!((wrong.status, wrong.code().as_str()), (405, "method_not_allowed"));
    assert!(wrong.head.contains("allow: get,head"), "{wrong:?}");
    assert_eq!(client.post("/healthz/liveness", "").code(), "method_not_allowed");
    client.send(
        "HEAD / HTTP/1.1\r\nHost: test\r\n\r\nGET /echo HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
    );
    let rest = client.rest().expect("no reset");
    assert!(
        rest.contains("content-length: 5\r\n") && !rest.contains("7/2/3"),
        "{rest}"
    );
    assert!(rest.contains("405 Method Not Allowed"), "{rest}");
}

fn it_answers_on_a_unix_socket_too() {
    let worker = Worker::ready(|_| {});
    let mut stream = UnixStream::connect(worker.directory.path().join("socket")).expect("connected");
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        .expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("no reset");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("7/2/3"),
        "{answer}"
    );
}

fn liveness_is_answered_while_every_handler_waits() {
    let worker = Worker::ready(|_| {});
    let mut waiting: Vec<_> = (0..200).map(|_| worker.connect()).collect();
    for client in &mut waiting {
        client.send("GET /slow?ms=60000 HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    worker.until("all wait", |vitals| vitals.counts.in_flight == 200);
    assert_eq!(worker.connect().get("/healthz/liveness").status, 200);
}

fn it_beats_and_counts_on_its_board() {
    let worker = Worker::ready(|_| {});
    let beat = worker.vitals().beat.expect("the first beat comes before READY");
    worker.until("a later beat", |vitals| vitals.beat > Some(beat));
    let oldest = worker.board.oldest(clock::now());
    assert_eq!(
        (worker.vitals().life, oldest.as_deref()),
        (Some(LIFE), Some("runtime"))
    );
    let mut client = worker.connect();
    client.get("/");
    client.get("/nowhere");
    let metrics = worker.board.app_metrics(clock::now());
    assert_eq!(
        (metrics[0].name.as_str(), metrics[0].value),
        ("test_echoes_total", 0)
    );
    let counts = worker.vitals().counts;
    assert_eq!((counts.connections, counts.accepted, counts.requests), (1, 1, 2));
    assert_eq!((counts.responses, counts.in_flight), ([0, 1, 0, 1, 0], 0));
    drop(client);
    worker.until("no connection", |vitals| vitals.counts.connections == 0);
}

fn a_spinning_handler_stops_the_beat() {
    let worker = Worker::ready(|settings| settings.drill.routes = true);
    assert!(worker.log().contains("DRILL ROUTES ARE ON"));
    let mut client = worker.connect();
    client.send("GET /drill/spin?ms=400 HTTP/1.1\r\nHost: test\r\n\r\n");
    let late = |vitals: &cluster::scoreboard::Vitals| clock::now().since(vitals.beat.expect("a beat"));
    worker.until("a late beat", |vitals| late(vitals) > Duration::from_millis(200));
    assert_eq!(client.response().expect("an answer").status, 200);
    worker.until("a beat again", |vitals| late(vitals) < Duration::from_millis(100));
    assert_eq!(client.get("/drill/panic").code(), "internal_error");
    assert_eq!(client.get("/drill/allocate?mib=1").status, 200);
}

fn what_a_terminal_or_a_peer_sends_does_not_kill() {
    let worker = Worker::ready(|_| {});
    let harmless = [
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGWINCH,
    ];
    for signal in harmless {
        worker.signal(signal);
        assert_eq!(worker.connect().get("/").status, 200, "{signal}");
    }
}

fn orphaned_work_is_taken_over_and_reported() {
    let worker = Worker::ready(|_| {});
    for work in [OrphanedWork::Life(LIFE), OrphanedWork::Before(Incarnation(7))] {
        worker.command(Command::TakeOver(work));
        assert_eq!(worker.report(), Report::TakenOver(work));
    }
    assert!(worker.log().contains("taken over"));
}

fn a_poisoned_worker_ends_with_its_own_code() {
    let mut worker = Worker::ready(|_| {});
    let mut silent = worker.connect();
    silent.get("/");
    assert_eq!(
        worker.connect().get("/poison").status,
        200,
        "what was being answered is answered"
    );
    assert_eq!(worker.exit(), i32::from(Exit::Poisoned.code()));
    assert!(worker.log().contains("reason=\"a test\""), "{}", worker.log());
}

fn a_failed_boot_says_why() {
    let mut worker = Worker::start(|settings| {
        let section = toml::toml! { boot_error = "the shelf is empty" };
        settings.app.insert("test".to_owned(), section.into());
    });
    assert_eq!(worker.exit(), i32::from(Exit::BootFailed.code()));
    assert!(
        worker.log().contains("failed to boot: the shelf is empty"),
        "{}",
        worker.log()
    );
}

fn without_a_master_it_says_what_is_missing() {
    let this = std::env::current_exe().expect("this program");
    let output = Process::new(this)
        .env_clear()
        .env("CLUSTER_WORKER", "1")
        .output()
        .expect("started");
    assert_eq!(output.status.code(), Some(i32::from(Exit::NoWorker.code())));
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("CLUSTER_INCARNATION is not set"), "{said}");
}

fn a_full_log_pipe_stops_nobody() {
    let (reader, writer) = nix::unistd::pipe().expect("a pipe");
    let unused = tempfile::NamedTempFile::new().expect("a file");
    let worker = Worker::start_with_log(|settings| settings.log.access = true, unused, writer);
    assert!(worker.notification().starts_with("READY=1"));
    let mut client = worker.connect();
    for _ in 0..3000 {
        client.get("/healthz/liveness");
    }
    worker.until("dropped lines", |vitals| vitals.counts.log_lines_dropped > 0);
    assert!(is_full(&reader));
}

fn is_full(reader: &OwnedFd) -> bool {
    let mut bytes = [0; 4096];
    File::from(reader.as_fd().try_clone_to_owned().expect("a copy"))
        .read(&mut bytes)
        .is_ok_and(|read| read == 4096)
}

fn an_application_that_does_not_say_is_not_ready() {
    let worker = Worker::ready(|settings| {
        settings
            .app
            .insert("test".to_owned(), toml::toml! { never_says = true }.into());
    });
    let answer = worker.connect().get("/healthz/readiness");
    assert_eq!((answer.status, answer.code().as_str()), (503, "not_ready"));
    assert!(answer.body.contains("has not said within 1s"), "{answer:?}");
    assert_eq!(worker.connect().get("/healthz/liveness").status, 200);
}

fn the_application_has_a_say_in_readiness() {
    let worker = Worker::ready(|settings| {
        settings.app.insert(
            "test".to_owned(),
            toml::toml! { not_ready = "the store is full" }.into(),
        );
    });
    let answer = worker.connect().get("/healthz/readiness");
    assert_eq!((answer.status, answer.code().as_str()), (503, "not_ready"));
    assert!(
        answer.body.contains("the store is full") && answer.head.contains("retry-after: 1"),
        "{answer:?}"
    );
}

/// A worker whose boot waits for that file.
fn waiting_for(file: &Path) -> Worker {
    Worker::ready(|settings| {
        let section = toml::Table::from_iter([("waits_for".to_owned(), file.display().to_string().into())]);
        settings.app.insert("test".to_owned(), section.into());
    })
}

fn a_boot_that_waits_says_so_and_goes_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    let worker = waiting_for(&file);
    let mut client = worker.connect();
    assert_eq!(client.get("/healthz/liveness").status, 200);
    let refused = client.get("/");
    assert_eq!((refused.status, refused.code().as_str()), (503, "not_booted"));
    assert!(
        refused.body.contains("the file is not there") && refused.head.contains("retry-after: 1"),
        "{refused:?}"
    );
    let unready = client.get("/healthz/readiness");
    assert_eq!((unready.status, unready.code().as_str()), (503, "not_ready"));
    assert!(unready.body.contains("the file is not there"), "{unready:?}");
    worker.command(Command::Probe);
    assert_eq!(
        worker.report(),
        Report::Probed(Err("the file is not there".to_owned()))
    );
    let work = OrphanedWork::Life(LIFE);
    worker.command(Command::TakeOver(work));
    assert!(!worker.log().contains("taken over"), "before it has booted");
    std::fs::write(&file, "").expect("written");
    assert_eq!(worker.report(), Report::TakenOver(work));
    assert!(worker.log().contains("taken over"));
    // The connection that was open before is answered by the application, too.
    let answer = client.get("/");
    assert_eq!((answer.status, answer.body.as_str()), (200, "7/2/3"));
    assert_eq!(client.get("/healthz/readiness").status, 200);
    assert_eq!(worker.connect().get("/").status, 200);
}

fn a_boot_that_waited_may_still_fail() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    let mut worker = waiting_for(&file);
    assert_eq!(worker.connect().get("/").status, 503);
    // Whole at once: the boot reads it as soon as it is there.
    std::fs::write(directory.path().join("new"), "the shelf is empty").expect("written");
    std::fs::rename(directory.path().join("new"), &file).expect("renamed");
    assert_eq!(worker.exit(), i32::from(Exit::BootFailed.code()));
    assert!(
        worker.log().contains("failed to boot: the shelf is empty"),
        "{}",
        worker.log()
    );
}

fn a_worker_whose_boot_waits_drains() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut worker = waiting_for(&directory.path().join("never"));
    assert_eq!(worker.connect().get("/").status, 503);
    worker.drain();
    assert_eq!(worker.exit(), 0);
}
