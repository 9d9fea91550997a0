//! Opens the databases of the shop for a worker that boots.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::failures::{no_signal, no_thread, unusable_store};
use crate::base::ids::Epoch;
use crate::shop::event_signal;
use crate::shop::evidence::consistency;
use crate::store::{Schema, SignalHook, Store, StoreOptions, Verify};
use crate::worker::{BootError, Worker};

/// The largest database, in bytes, whose pages a first worker checks: it takes some tenths of a second.
const CHECKED_AT_BOOT: u64 = 64 * 1024 * 1024;

/// Opens the databases at the same time, each in a thread of its own.
pub(super) fn open_all<const N: usize>(
    worker: &Worker,
    files: &[(&'static Schema, &str); N],
    queue_depth: usize,
) -> Result<[Store; N], BootError> {
    let data_dir = worker.settings().cluster.data_dir.as_path();
    let signal = Arc::new(event_signal::signal(data_dir).map_err(no_signal)?);
    let on_signal: SignalHook = Arc::new(move || signal.send());
    let opened: Vec<Result<Store, BootError>> = std::thread::scope(|scope| {
        let opening = files.map(|(schema, file)| {
            let on_signal = Arc::clone(&on_signal);
            let open = move || open_one(worker, schema, &data_dir.join(file), queue_depth, on_signal);
            std::thread::Builder::new().spawn_scoped(scope, open)
        });
        let joined = |thread: io::Result<std::thread::ScopedJoinHandle<'_, _>>| {
            thread
                .map_err(no_thread)?
                .join()
                .unwrap_or_else(|_| Err("opening a database panicked".into()))
        };
        opening.into_iter().map(joined).collect()
    });
    let stores: Vec<Store> = opened.into_iter().collect::<Result<_, _>>()?;
    stores.try_into().map_err(|_| "a database was not opened".into())
}

fn open_one(
    worker: &Worker,
    schema: &'static Schema,
    path: &Path,
    queue_depth: usize,
    on_signal: SignalHook,
) -> Result<Store, BootError> {
    let cell = worker
        .board()
        .cell(schema.name)
        .ok_or("the scoreboard has no cell left for a writer thread")?;
    let poisoned = worker.clone();
    let data_dir = worker.settings().cluster.data_dir.clone();
    let incarnation = worker.identity().life.incarnation.0;
    let options = StoreOptions {
        queue_depth,
        on_poison: Arc::new(move |reason| {
            consistency::mark_doubted(&data_dir, incarnation);
            poisoned.fail(reason);
        }),
        on_signal,
        verify: verify_depth(worker, path),
        ..StoreOptions::new(path, cell)
    };
    Store::open(schema, options).map_err(unusable_store)
}

/// How much of a database is checked. A disk or a copy may have broken pages while nothing ran, so the first
/// life of each slot checks all pages, and a fault makes later lives check them, too. A replacement worker
/// has no time for it, and neither has a start with large databases: `doctor` and `backup` check those.
fn verify_depth(worker: &Worker, path: &Path) -> Verify {
    let is_first = worker.identity().life.epoch <= Epoch(1);
    if is_first && path.metadata().is_ok_and(|file| file.len() <= CHECKED_AT_BOOT) {
        Verify::Pages
    } else {
        Verify::Header
    }
}
