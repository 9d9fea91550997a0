//! The length of the write-ahead log while several processes write and others read.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{Said, Writer, acknowledged, check, count, open};

fn wal_bytes(path: &Path) -> u64 {
    path.with_extension("db-wal")
        .metadata()
        .map_or(0, |wal| wal.len())
}

/// How often a WAL began again from its start, as far as somebody who looks now and then can tell.
#[derive(Debug, Default)]
struct WalStarts {
    seen: usize,
    largest: u64,
    salt: Option<[u8; 8]>,
}

impl WalStarts {
    /// SQLite writes another salt into the header each time.
    fn look(&mut self, database: &Path) {
        self.largest = self.largest.max(wal_bytes(database));
        let mut salt = [0; 8];
        let wal = std::fs::File::open(database.with_extension("db-wal"));
        // A WAL that was truncated has no header yet.
        let Ok(()) = wal.and_then(|wal| wal.read_exact_at(&mut salt, 16)) else {
            return;
        };
        if self.salt.replace(salt).is_some_and(|before| before != salt) {
            self.seen += 1;
        }
    }
}

/// Reads without a pause, each time for so long.
fn read_on_and_on(path: &Path, reading: &AtomicBool, lasting: Duration) {
    let connection = Connection::open(path).expect("a database");
    while reading.load(Relaxed) {
        let read = connection.unchecked_transaction().expect("a transaction");
        read.query_row("SELECT count(*) FROM entry", [], |row| row.get::<_, i64>(0))
            .expect("a count");
        std::thread::sleep(lasting);
    }
}

/// SQLite alone would never begin such a WAL again. How long it gets depends on how soon the readers get CPU
/// time to end: writers wait for them for a moment, and longer the longer the WAL is. So what is waited for
/// here is that the WAL begins again, and how long it may get by then is tested where no clock runs
/// (`src/store/checkpoint_policy.rs`).
#[test]
fn the_wal_is_bounded_under_constant_writes_and_reads() {
    the_wal_begins_again_and_again_beside_readers_of(Duration::from_millis(3));
}

/// None of them stays, and yet there is always one that began before the last one ended.
#[test]
fn the_wal_is_bounded_under_constant_writes_and_readers_that_take_their_time() {
    the_wal_begins_again_and_again_beside_readers_of(Duration::from_millis(120));
}

fn the_wal_begins_again_and_again_beside_readers_of(lasting: Duration) {
    const WRITES: usize = 3_000;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("torture.db");
    let (sender, said) = channel();
    let writers: Vec<Writer> = (0..2)
        .map(|life| Writer::start(&path, &format!("w{life}"), 20_000, "unlimited", &sender))
        .collect();
    acknowledged(&said, 1);
    let store = open(&path);
    let reading = AtomicBool::new(true);
    let (mut ids, mut starts) = (Vec::new(), WalStarts::default());
    std::thread::scope(|scope| {
        // Two readers that overlap, so that at every moment one of them stands on the WAL.
        for _ in 0..2 {
            scope.spawn(|| read_on_and_on(&path, &reading, lasting));
        }
        while ids.len() < WRITES || starts.seen < 3 {
            ids.extend(acknowledged(&said, 100));
            starts.look(&path);
            if ids.len() > 20 * WRITES {
                break;
            }
        }
        reading.store(false, Relaxed);
    });
    drop(writers);
    drop(store);
    println!("{starts:?} while {} MB were written", ids.len() / 50);
    assert!(
        starts.seen >= 3,
        "{starts:?} while {} MB were written",
        ids.len() / 50
    );
    check(&path, &ids);
}

#[test]
fn the_wal_grows_under_a_long_reader_only_while_it_lives_and_nobody_sees_busy() {
    const LONG: u64 = 40 << 20;
    const SHORT: u64 = 8 << 20;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("torture.db");
    let (sender, said) = channel();
    let writers: Vec<Writer> = (0..2)
        .map(|life| Writer::start(&path, &format!("w{life}"), 20_000, "unlimited", &sender))
        .collect();
    let mut ids = acknowledged(&said, 1);
    let reader = Connection::open(&path).expect("a database");
    let snapshot = reader.unchecked_transaction().expect("a transaction");
    let before = count(&snapshot);
    while wal_bytes(&path) < LONG {
        // A caller that was told of a busy database would end this with a panic.
        ids.extend(acknowledged(&said, 50));
        assert!(ids.len() < 20_000, "nothing of it stays in the WAL");
    }
    assert_eq!(count(&snapshot), before, "the reader sees what it began with");
    drop(snapshot);
    let gone_at = ids.len();
    while wal_bytes(&path) > SHORT {
        ids.extend(acknowledged(&said, 50));
        assert!(
            ids.len() < gone_at + 20_000,
            "the WAL is still {} bytes long",
            wal_bytes(&path)
        );
    }
    drop(writers);
    check(&path, &ids);
}

#[test]
fn a_wal_that_a_reader_kept_long_gets_short_though_nobody_writes_any_more() {
    const LONG: u64 = 72 << 20;
    const SHORT: u64 = 8 << 20;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("torture.db");
    let (sender, said) = channel();
    let writer = Writer::start(&path, "w", 20_000, "unlimited", &sender);
    let mut ids = acknowledged(&said, 1);
    let reader = Connection::open(&path).expect("a database");
    let snapshot = reader.unchecked_transaction().expect("a transaction");
    count(&snapshot);
    while wal_bytes(&path) < LONG {
        ids.extend(acknowledged(&said, 50));
    }
    drop(writer);
    ids.extend(said.try_iter().filter_map(|word| match word {
        Said::Ok(id) => Some(id),
        Said::Full | Said::Error(_) => None,
    }));
    let store = open(&path);
    drop(snapshot);
    let deadline = Instant::now() + Duration::from_secs(60);
    while wal_bytes(&path) > SHORT {
        assert!(Instant::now() < deadline, "{} bytes", wal_bytes(&path));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(store.commits(), 0);
    drop((store, reader));
    check(&path, &ids);
}
