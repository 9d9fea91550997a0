//! What a store promises, on real files. Batches are made on purpose by holding the write lock while jobs are
//! queued.

mod opening;

use std::future::Future;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use rusqlite::Connection;

use super::filesystem::beside;
use super::*;
use crate::scoreboard::{Board, BoardView};
use crate::sys::clock;

const SCHEMA: Schema = Schema {
    name: "test",
    application_id: 0x7e57,
    migrations: &[FIRST],
};
const FIRST: &str = "CREATE TABLE entry (id INTEGER, body BLOB) STRICT;";
const NEWER: Schema = Schema {
    migrations: &[
        FIRST,
        "ALTER TABLE entry ADD COLUMN more TEXT;",
        "UPDATE entry SET id = id + 1;",
    ],
    ..SCHEMA
};
const BROKEN: Schema = Schema {
    migrations: &[FIRST, "DELETE FROM entry; SELECT nonsense;"],
    ..SCHEMA
};

struct TestStore {
    dir: tempfile::TempDir,
    board: std::os::fd::OwnedFd,
    poison: Arc<Mutex<Vec<String>>>,
}

type PendingWrite = Pin<Box<dyn Future<Output = Result<usize, WriteError<rusqlite::Error>>>>>;

impl TestStore {
    fn new() -> TestStore {
        TestStore {
            dir: tempfile::tempdir().unwrap(),
            board: Board::create_fd("test").unwrap(),
            poison: Arc::default(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("test.db")
    }

    fn options(&self) -> StoreOptions {
        let poison = Arc::clone(&self.poison);
        let board = Board::open(self.board.try_clone().unwrap()).unwrap();
        let cell = board.cell("test").unwrap();
        let on_poison: PoisonHook = Arc::new(move |reason| poison.lock().unwrap().push(reason));
        StoreOptions {
            queue_depth: 8,
            on_poison,
            ..StoreOptions::new(self.path(), cell)
        }
    }

    fn open(&self) -> Store {
        Store::open(&SCHEMA, self.options()).unwrap()
    }

    fn refused(&self, schema: &Schema) -> OpenError {
        Store::open(schema, self.options()).unwrap_err()
    }

    /// Fills some pages and overwrites one of them (counted from 1).
    fn damage_page(&self, number: usize) {
        let fill = |tx: &Tx<'_>| (0..2_000).try_for_each(|id| insert(id)(tx).map(drop));
        wait(self.open().write(Admission::New, fill)).unwrap();
        let mut bytes = std::fs::read(self.path()).unwrap();
        bytes[(number - 1) * 4096..number * 4096].fill(0xa5);
        std::fs::write(self.path(), bytes).unwrap();
    }

    /// While this is held, what is written waits; when it is dropped, all of it is one batch.
    fn hold(&self) -> OfdLock {
        let lock = OfdLock::open(&beside(&self.path(), ".lock")).unwrap();
        lock.take().unwrap();
        lock
    }
}

fn insert(id: i64) -> impl FnOnce(&Tx<'_>) -> rusqlite::Result<usize> + Send + 'static {
    move |tx| tx.execute("INSERT INTO entry VALUES (?1, NULL)", [id])
}

/// Queues a write and does not wait for it.
fn queue(
    store: &Store,
    job: impl FnOnce(&Tx<'_>) -> rusqlite::Result<usize> + Send + 'static,
) -> PendingWrite {
    let store = store.clone();
    let mut answer: PendingWrite = Box::pin(async move { store.write(Admission::New, job).await });
    assert!(
        answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    answer
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn ids(store: &Store) -> Vec<i64> {
    let all = |connection: &Connection| {
        connection
            .prepare("SELECT id FROM entry ORDER BY id")?
            .query_map([], |row| row.get(0))?
            .collect()
    };
    store.peek(all).unwrap()
}

#[test]
fn writes_that_wait_for_the_lock_share_a_commit() {
    let place = TestStore::new();
    let store = place.open();
    let held = place.hold();
    let answers: Vec<PendingWrite> = (0..5).map(|id| queue(&store, insert(id))).collect();
    drop(held);
    for answer in answers {
        assert_eq!(wait(answer).unwrap(), 1);
    }
    assert_eq!((ids(&store), store.commits()), (vec![0, 1, 2, 3, 4], 1));
}

/// Returns when the writer thread sleeps. Its cell is idle from then on, which a view of the board shows.
fn until_the_writer_sleeps(place: &TestStore, store: &Store) {
    wait(store.write(Admission::New, insert(0))).unwrap();
    let view = BoardView::open(place.board.as_fd()).unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while view.oldest(clock::now()).is_some() {
        assert!(
            std::time::Instant::now() < until,
            "the writer thread never sleeps"
        );
        std::thread::yield_now();
    }
}

#[test]
fn writes_that_are_ready_in_the_same_turn_share_a_commit() {
    let place = TestStore::new();
    let store = place.open();
    until_the_writer_sleeps(&place, &store);
    let before = store.commits();
    wait(async {
        let (first, second, third) = tokio::join!(
            store.write(Admission::New, insert(1)),
            store.write(Admission::New, insert(2)),
            store.write(Admission::New, insert(3)),
        );
        first.and(second).and(third)
    })
    .unwrap();
    assert_eq!((ids(&store), store.commits() - before), (vec![0, 1, 2, 3], 1));
}

#[test]
fn a_write_whose_future_is_dropped_before_the_writer_was_woken_is_written() {
    let place = TestStore::new();
    let store = place.open();
    until_the_writer_sleeps(&place, &store);
    drop(queue(&store, insert(1)));
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while ids(&store) != [0, 1] {
        assert!(std::time::Instant::now() < until, "nobody woke the writer");
        std::thread::yield_now();
    }
}

#[test]
fn a_write_that_is_never_polled_again_delays_no_other() {
    let place = TestStore::new();
    let store = place.open();
    until_the_writer_sleeps(&place, &store);
    let forgotten = queue(&store, insert(1));
    wait(store.write(Admission::New, insert(2))).unwrap();
    assert_eq!(ids(&store), [0, 1, 2]);
    assert_eq!(wait(forgotten).unwrap(), 1);
}

#[test]
fn a_refusal_is_rolled_back_alone() {
    let place = TestStore::new();
    let store = place.open();
    let held = place.hold();
    let first = queue(&store, insert(1));
    let refused = queue(&store, |tx| {
        insert(2)(tx).and(Err(rusqlite::Error::QueryReturnedNoRows))
    });
    let third = queue(&store, insert(3));
    drop(held);
    assert!(matches!(
        wait(refused),
        Err(WriteError::Refused(rusqlite::Error::QueryReturnedNoRows))
    ));
    assert!(wait(first).is_ok() && wait(third).is_ok());
    assert_eq!(ids(&store), [1, 3]);
}

#[test]
fn a_refusal_alone_in_its_batch_leaves_nothing() {
    let place = TestStore::new();
    let store = place.open();
    let refused: Result<(), _> = wait(store.write(Admission::New, |tx| {
        insert(1)(tx)?;
        Err(rusqlite::Error::QueryReturnedNoRows)
    }));
    assert!(matches!(refused, Err(WriteError::Refused(_))));
    assert!(ids(&store).is_empty());
}

#[test]
fn a_panic_fails_its_job_alone() {
    let place = TestStore::new();
    let store = place.open();
    let held = place.hold();
    let first = queue(&store, insert(1));
    let panicked = queue(&store, |tx| {
        insert(2)(tx)?;
        std::panic::panic_any("on purpose".to_owned())
    });
    drop(held);
    assert!(matches!(wait(panicked), Err(WriteError::Panicked(reason)) if reason == "on purpose"));
    assert!(wait(first).is_ok());
    assert_eq!(ids(&store), [1]);
}

#[test]
fn new_work_is_refused_when_too_many_writes_wait_and_admitted_work_is_not() {
    let place = TestStore::new();
    let store = place.open();
    let held = place.hold();
    let answers: Vec<PendingWrite> = (0..8).map(|id| queue(&store, insert(id))).collect();
    assert!(matches!(
        wait(store.write(Admission::New, insert(8))),
        Err(WriteError::Busy)
    ));
    let mut old = Box::pin(store.write(Admission::Continue, insert(9)));
    assert!(
        old.as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    drop(held);
    assert!(wait(old).is_ok());
    assert!(answers.into_iter().all(|answer| wait(answer).is_ok()));
    assert!(
        wait(store.write(Admission::New, insert(10))).is_ok(),
        "there is room again"
    );
}

#[test]
fn accepted_writes_are_finished_when_the_store_is_dropped() {
    let place = TestStore::new();
    let store = place.open();
    let held = place.hold();
    let answers: Vec<PendingWrite> = (0..5).map(|id| queue(&store, insert(id))).collect();
    drop(held);
    drop(answers);
    drop(store);
    assert_eq!(ids(&place.open()), [0, 1, 2, 3, 4]);
}

#[test]
fn a_full_disk_fails_the_writes_of_its_batch_and_passes() {
    let place = TestStore::new();
    let store = place.open();
    let held = place.hold();
    let first = queue(&store, |tx| {
        tx.execute_batch("PRAGMA max_page_count = 8")?;
        insert(1)(tx)
    });
    let large = queue(&store, |tx| {
        tx.execute("INSERT INTO entry VALUES (2, zeroblob(1000000))", [])
    });
    let third = queue(&store, insert(3));
    drop(held);
    assert!(matches!(wait(large), Err(WriteError::Full)));
    let told: Vec<i64> = [(1, wait(first)), (3, wait(third))]
        .into_iter()
        .filter_map(|(id, answer)| answer.is_ok().then_some(id))
        .collect();
    assert_eq!(
        ids(&store),
        told,
        "what was acknowledged is there, and nothing else"
    );
    let room = |tx: &Tx<'_>| tx.execute_batch("PRAGMA max_page_count = 100000");
    assert!(wait(store.write(Admission::New, room)).is_ok());
    assert!(wait(store.write(Admission::New, insert(4))).is_ok());
}

#[test]
fn a_corrupt_page_poisons_the_store_and_says_so_once() {
    let place = TestStore::new();
    place.damage_page(2);
    let store = place.open();
    assert!(matches!(
        wait(store.write(Admission::New, insert(1))),
        Err(WriteError::Poisoned(_))
    ));
    assert!(matches!(
        wait(store.write(Admission::Continue, insert(2))),
        Err(WriteError::Poisoned(_))
    ));
    assert!(wait(store.probe()).is_err());
    drop(store);
    assert_eq!(place.poison.lock().unwrap().len(), 1);
}

#[test]
fn reads_run_in_another_thread_and_cannot_write() {
    let place = TestStore::new();
    let store = place.open();
    wait(store.write(Admission::New, insert(7))).unwrap();
    let read =
        store.read(|connection| connection.query_row("SELECT id FROM entry", [], |row| row.get::<_, i64>(0)));
    assert_eq!(wait(read).unwrap(), 7);
    assert!(wait(store.read(|connection| connection.execute("DELETE FROM entry", []))).is_err());
    assert!(
        store
            .peek(|connection| connection.execute("DELETE FROM entry", []))
            .is_err()
    );
}

#[test]
fn a_probe_commits_and_changes_nothing() {
    let place = TestStore::new();
    let store = place.open();
    assert_eq!(wait(store.probe()), Ok(()));
    assert_eq!(store.commits(), 1);
    drop(store);
    place.open();
}

#[test]
fn the_files_are_private_and_a_clean_close_leaves_no_wal() {
    let place = TestStore::new();
    let store = place.open();
    wait(store.write(Admission::New, insert(1))).unwrap();
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let mode = beside(&place.path(), suffix)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "test.db{suffix}");
    }
    drop(store);
    assert!(!beside(&place.path(), "-wal").exists());
}

/// Begins it and does not wait for its end.
fn begin<T>(future: impl Future<Output = T>) -> Poll<T> {
    std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Two connections of one process that close at the same moment each find that the other has the file open,
/// and neither empties the WAL.
#[test]
fn the_writer_closes_the_file_after_every_reader_of_its_process() {
    let place = TestStore::new();
    let store = place.open();
    wait(store.write(Admission::New, insert(1))).unwrap();
    let (go_on, waits) = std::sync::mpsc::channel::<()>();
    let wait_for_word = move |_: &Connection| {
        waits.recv().unwrap();
        Ok(())
    };
    assert!(begin(store.read(wait_for_word)).is_pending());
    std::thread::scope(|scope| {
        scope.spawn(|| store.close());
        // The close has begun when a read is refused; those before wait behind the one that does not end.
        while !matches!(begin(store.read(|_| Ok(()))), Poll::Ready(Err(ReadError::Closed))) {
            std::thread::yield_now();
        }
        let written = wait(store.write(Admission::New, insert(2)));
        go_on.send(()).unwrap();
        written.expect("the writer is there");
    });
    assert!(!beside(&place.path(), "-wal").exists());
}

/// Tasks of a worker that is about to exit may still ask. A file that is opened again then is not closed any
/// more: a WAL stays behind, of this process or of a sibling that closes the file after it.
#[test]
fn what_is_read_after_the_close_opens_nothing_and_leaves_no_wal() {
    let place = TestStore::new();
    let store = place.open();
    wait(store.write(Admission::New, insert(1))).unwrap();
    assert_eq!(ids(&store), [1]);
    store.close();
    let count = |connection: &rusqlite::Connection| {
        connection.query_row("SELECT count(*) FROM entry", [], |row| row.get::<_, i64>(0))
    };
    assert!(matches!(store.peek(count), Err(ReadError::Closed)));
    assert!(matches!(wait(store.read(count)), Err(ReadError::Closed)));
    for suffix in ["-wal", "-shm"] {
        assert!(!beside(&place.path(), suffix).exists(), "{suffix} is there");
    }
}
