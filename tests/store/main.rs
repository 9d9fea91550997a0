//! The store as several processes see it. This binary runs itself again as the processes that write; they are killed at random,
//! and everything they were told is on disk must be there, once.

mod wal;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cluster::scoreboard::Board;
use cluster::store::{Admission, Schema, Store, StoreOptions, Tx, WriteError};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rusqlite::Connection;

const SCHEMA: Schema = Schema {
    name: "torture",
    application_id: 0x7e57,
    // Not unique on purpose: a write that is run twice must show.
    migrations: &[
        "CREATE TABLE entry (id TEXT NOT NULL, body BLOB) STRICT; CREATE INDEX entry_id ON entry (id);",
    ],
};

/// `<database> <first word of every id> <bytes per entry>`
const CHILD: &str = "CLUSTER_STORE_TEST_CHILD";

fn open(path: &Path) -> Store {
    let cell = Board::private()
        .cell("torture")
        .expect("a new board has free cells");
    Store::open(&SCHEMA, StoreOptions::new(path, cell)).expect("the file is ours")
}

// ---- the child -------------------------------------------------------------------------------------------------------------

/// Not a test of its own: the process that writes, when this binary is run as one.
#[test]
fn a_child_process() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let mut words = order.split(' ');
    let mut word = || words.next().expect("three words").to_owned();
    let (path, name, bytes) = (PathBuf::from(word()), word(), word().parse().expect("a number"));
    let store = open(&path);
    std::thread::spawn(obey);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let lanes: Vec<_> = (0..8)
            .map(|lane| tokio::spawn(write_for_ever(store.clone(), format!("{name}-{lane}"), bytes)))
            .collect();
        for lane in lanes {
            lane.await.expect("a lane never ends");
        }
    });
}

/// Ends with its parent; a line lifts the limit on the length of files.
fn obey() {
    for line in std::io::stdin().lines() {
        assert_eq!(line.expect("a line"), "room");
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).expect("a limit");
        setrlimit(Resource::RLIMIT_FSIZE, hard, hard).expect("the hard limit is allowed");
    }
    std::process::exit(0);
}

/// Every seventh write refuses itself after it has written.
async fn write_for_ever(store: Store, lane: String, bytes: i64) {
    for number in 0_u64.. {
        let id = format!("{lane}-{number}");
        let refuse = number % 7 == 6;
        let answer = store
            .write(Admission::Continue, entry(id.clone(), bytes, refuse))
            .await;
        let line = match answer {
            Ok(()) => format!("ok {id}\n"),
            Err(WriteError::Refused(_)) if refuse => continue,
            Err(WriteError::Full | WriteError::WalKept | WriteError::Failed(_)) => format!("full {id}\n"),
            Err(error) => format!("error {id} {error}\n"),
        };
        // One write(2) below PIPE_BUF: a line is there or not, also when this process is killed.
        std::io::stdout()
            .write_all(line.as_bytes())
            .expect("the parent listens");
        std::io::stdout().flush().expect("the parent listens");
    }
}

fn entry(
    id: String,
    bytes: i64,
    refuse: bool,
) -> impl FnOnce(&Tx<'_>) -> rusqlite::Result<()> + Send + 'static {
    move |tx| {
        tx.prepare_cached("INSERT INTO entry VALUES (?1, zeroblob(?2))")?
            .execute((id, bytes))?;
        if refuse {
            Err(rusqlite::Error::QueryReturnedNoRows)
        } else {
            Ok(())
        }
    }
}

// ---- the parent ------------------------------------------------------------------------------------------------------------

/// What the children say, in the order it came.
enum Said {
    Ok(String),
    Full,
    Error(String),
}

struct Writer {
    child: Child,
    stdin: Option<ChildStdin>,
    listener: Option<JoinHandle<()>>,
}

impl Writer {
    /// `limit` is a shell's `ulimit -S -f`, in blocks of 512 or 1024 bytes.
    fn start(path: &Path, name: &str, bytes: i64, limit: &str, said: &Sender<Said>) -> Writer {
        let mut child = Command::new("sh")
            .args([
                "-c",
                &format!("trap '' XFSZ; ulimit -S -f {limit}; exec \"$0\" \"$@\""),
            ])
            .arg(std::env::current_exe().expect("an executable"))
            .args(["--exact", "a_child_process", "--nocapture", "--test-threads=1"])
            .env(CHILD, format!("{} {name} {bytes}", path.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let said = said.clone();
        let listen = move || {
            lines
                .map_while(Result::ok)
                .filter_map(|line| hear(&line))
                .try_for_each(|word| said.send(word))
                .unwrap_or(())
        };
        let listener = Some(std::thread::spawn(listen));
        Writer {
            stdin: child.stdin.take(),
            child,
            listener,
        }
    }
}

fn hear(line: &str) -> Option<Said> {
    // The harness prints the test's name in front of its first line.
    let (word, rest) = line
        .rsplit_once("... ")
        .map_or(line, |(_, rest)| rest)
        .split_once(' ')?;
    match word {
        "ok" => Some(Said::Ok(rest.to_owned())),
        "full" => Some(Said::Full),
        "error" => Some(Said::Error(rest.to_owned())),
        _ => None,
    }
}

impl Drop for Writer {
    /// Kills it, and hears it out.
    fn drop(&mut self) {
        drop(self.stdin.take());
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
        self.listener
            .take()
            .expect("joined once")
            .join()
            .expect("it does not panic");
    }
}

/// Waits for the next `count` acknowledged writes.
fn acknowledged(said: &Receiver<Said>, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while ids.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} writes", ids.len());
        match said
            .recv_timeout(Duration::from_secs(30))
            .expect("the writers write")
        {
            Said::Ok(id) => ids.push(id),
            Said::Full => (),
            Said::Error(error) => panic!("a caller saw {error}"),
        }
    }
    ids
}

/// Every acknowledged id is there; nothing is there twice; no refused one is.
fn check(path: &Path, acknowledged: &[String]) {
    drop(open(path));
    let connection = Connection::open(path).expect("a database");
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("a verdict");
    assert_eq!(verdict, "ok");
    let mut rows = connection
        .prepare("SELECT id, count(*) FROM entry GROUP BY id")
        .expect("a statement");
    let found: HashMap<String, i64> = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("rows");
    assert!(!acknowledged.is_empty());
    for id in acknowledged {
        assert_eq!(found.get(id), Some(&1), "{id} was acknowledged");
    }
    for (id, count) in found {
        let number: u64 = id
            .rsplit('-')
            .next()
            .expect("a number")
            .parse()
            .expect("a number");
        assert!(count == 1 && number % 7 != 6, "{id} is there {count} times");
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9_and_is_there_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("torture.db");
    let (sender, said) = channel();
    let start = |life: u32| Writer::start(&path, &life.to_string(), 100, "unlimited", &sender);
    let mut writers: Vec<Writer> = (0..3).map(start).collect();
    let mut ids = Vec::new();
    for life in 3..33 {
        ids.extend(acknowledged(&said, fastrand::usize(1..120)));
        let victim = fastrand::usize(..writers.len());
        writers[victim] = start(life);
    }
    drop(writers);
    ids.extend(said.try_iter().filter_map(|word| match word {
        Said::Ok(id) => Some(id),
        Said::Full => None,
        Said::Error(error) => panic!("a caller saw {error}"),
    }));
    check(&path, &ids);
}

/// The number of entries. The first look begins the snapshot that keeps the WAL.
fn count(snapshot: &rusqlite::Transaction<'_>) -> i64 {
    snapshot
        .query_row("SELECT count(*) FROM entry", [], |row| row.get(0))
        .expect("a count")
}

#[test]
fn a_disk_that_the_wal_filled_is_written_again_when_the_reader_has_left() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("torture.db");
    let (sender, said) = channel();
    let writer = Writer::start(&path, "full", 100, "600", &sender);
    let mut ids = acknowledged(&said, 1);
    let reader = Connection::open(&path).expect("a database");
    let snapshot = reader.unchecked_transaction().expect("a transaction");
    count(&snapshot);
    let mut refused = 0;
    while refused < 50 {
        match said
            .recv_timeout(Duration::from_secs(30))
            .expect("the writer goes on")
        {
            Said::Ok(id) => ids.push(id),
            Said::Full => refused += 1,
            Said::Error(error) => panic!("a caller saw {error}"),
        }
    }
    drop(snapshot);
    ids.extend(acknowledged(&said, 300));
    drop((writer, reader));
    check(&path, &ids);
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged_and_passes() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("torture.db");
    let (sender, said) = channel();
    let mut writer = Writer::start(&path, "full", 2_000, "600", &sender);
    let mut ids = Vec::new();
    let began = Instant::now();
    loop {
        match said
            .recv_timeout(Duration::from_secs(30))
            .expect("the writer goes on")
        {
            Said::Ok(id) => ids.push(id),
            Said::Full => break,
            Said::Error(error) => panic!("a caller saw {error}"),
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the disk never filled");
    }
    writer
        .stdin
        .as_mut()
        .expect("a pipe")
        .write_all(b"room\n")
        .expect("the child listens");
    ids.extend(acknowledged(&said, 500));
    drop(writer);
    check(&path, &ids);
}
