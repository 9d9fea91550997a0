//! How far the events of each service were known to have come, kept beside the databases, so that a database
//! that lost its newest events is noticed. Written by the leader now and then and by a worker that stops; a
//! file that is missing or cannot be read says nothing.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::shop::contract::{KnownStream, StreamId};
use crate::shop::inventory::InventoryRepository;
use crate::shop::orders::OrdersRepository;
use crate::shop::payments::PaymentsRepository;
use crate::sys::private_file;

/// The file in the data directory.
const FILE: &str = "streams.json";

/// The events of all services, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::shop) struct KnownStreams {
    pub(in crate::shop) orders: Option<KnownStream>,
    pub(in crate::shop) inventory: Option<KnownStream>,
    pub(in crate::shop) payments: Option<KnownStream>,
}

/// The file's content: for each service its line and a number.
#[derive(Default, Serialize, Deserialize)]
struct StreamsFile {
    orders: Option<(u64, u64)>,
    inventory: Option<(u64, u64)>,
    payments: Option<(u64, u64)>,
}

fn known((id, newest): (u64, u64)) -> KnownStream {
    let id = StreamId(id);
    KnownStream { id, newest }
}

fn written(KnownStream { id, newest }: KnownStream) -> (u64, u64) {
    (id.0, newest)
}

impl KnownStreams {
    /// What the file says.
    pub(in crate::shop) fn read(data_dir: &Path) -> KnownStreams {
        let text = std::fs::read(data_dir.join(FILE)).unwrap_or_default();
        let file: StreamsFile = serde_json::from_slice(&text).unwrap_or_default();
        KnownStreams {
            orders: file.orders.map(known),
            inventory: file.inventory.map(known),
            payments: file.payments.map(known),
        }
    }

    /// Writes the file. Without it, less is noticed.
    fn write(self, data_dir: &Path) {
        let file = StreamsFile {
            orders: self.orders.map(written),
            inventory: self.inventory.map(written),
            payments: self.payments.map(written),
        };
        if let Ok(text) = serde_json::to_vec(&file) {
            let _ = private_file::write(&data_dir.join(FILE), &text);
        }
    }
}

/// Writes down how far the events have come, whenever that has changed.
pub(in crate::shop) struct StreamsRecorder {
    data_dir: PathBuf,
    orders: OrdersRepository,
    inventory: InventoryRepository,
    payments: PaymentsRepository,
    recorded: Mutex<KnownStreams>,
}

impl StreamsRecorder {
    pub(in crate::shop) fn new(
        data_dir: &Path,
        orders: &OrdersRepository,
        inventory: &InventoryRepository,
        payments: &PaymentsRepository,
    ) -> StreamsRecorder {
        StreamsRecorder {
            data_dir: data_dir.to_owned(),
            orders: orders.clone(),
            inventory: inventory.clone(),
            payments: payments.clone(),
            recorded: Mutex::default(),
        }
    }

    /// How far they have come. A database that cannot be read now is reported elsewhere.
    pub(super) async fn known(&self) -> KnownStreams {
        KnownStreams {
            orders: self.orders.known_events().await.ok().flatten(),
            inventory: self.inventory.known_events().await.ok().flatten(),
            payments: self.payments.known_events().await.ok().flatten(),
        }
    }

    /// Writes it down now.
    pub(in crate::shop) async fn record(&self) {
        let known = self.known().await;
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if *recorded != known {
            known.write(&self.data_dir);
            *recorded = known;
        }
    }
}
