//! Where the events of a worker that boots begin, how long a request may wait for them, and who follows them
//! in the worker itself.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::shop::contract::{StorageError, StreamId};
use crate::shop::customers::{Consumer, CustomersRepository, OrdersFeed};
use crate::shop::events::{KnownStreams, WakeState};
use crate::shop::evidence::consistency::Repositories;
use crate::shop::http::{AppState, Orders};
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::worker::{BootError, Worker};

/// The longest time that a request may wait for events.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The lines of the events of all services. A file that was replaced begins a new line.
pub(super) async fn begin(
    data_dir: &Path,
    repositories: Repositories<'_>,
) -> Result<[StreamId; 3], StorageError> {
    let known = KnownStreams::read(data_dir);
    Ok([
        repositories.orders.begin_events(known.orders).await?,
        repositories.inventory.begin_events(known.inventory).await?,
        repositories.payments.begin_events(known.payments).await?,
    ])
}

/// How long a request may wait for events: well below the time-out of requests.
pub(super) fn longest_wait(request_timeout: Duration) -> Duration {
    request_timeout.mul_f32(0.8).min(LONGEST_WAIT)
}

/// The summaries of customers, whose file is opened when it is first used.
pub(super) fn customers(worker: &Worker, clock: &Arc<SteadyClock>) -> Result<CustomersRepository, BootError> {
    let data_dir = worker.settings().cluster.data_dir.as_path();
    let poisoned = worker.clone();
    let on_poison = Arc::new(move |reason: String| poisoned.fail(reason));
    let customers = CustomersRepository::new(data_dir, worker.board(), Arc::clone(clock), on_poison);
    Ok(customers?)
}

/// What keeps the summaries up to date, in the worker that does the maintenance.
pub(super) fn consumer(
    worker: &Worker,
    state: &AppState,
    orders_stream: StreamId,
    customers: CustomersRepository,
) -> Result<Consumer<Orders, WakeState>, BootError> {
    let events = state.events.clone();
    let feed = OrdersFeed {
        orders: state.orders.clone(),
        stream: orders_stream,
        wakes: Box::new(move || events.wakes()),
    };
    Ok(Consumer::new(feed, customers, worker.clone())?)
}
