//! Watches what can grow without a bound of its own: the WAL of each database, which a reader keeps long, and
//! the outbox. One worker, the leader of the maintenance, sets the gauges, logs what is unusual, and shows it
//! in its status.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::scoreboard::{AppMetric, AppMetricError};
use crate::shop::contract::HeldEvent;
use crate::shop::http::Orders;
use crate::store::{LONG_WAL_BYTES, Store, wal_bytes, wal_readers};
use crate::sys::procfs;
use crate::worker::Worker;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// How often readers are looked for, and the time between. A reader that is there each time is a long one.
const SAMPLES: u32 = 5;
const SAMPLE_INTERVAL: Duration = Duration::from_millis(20);

/// The gauges of what grows, set by the leader.
pub(in crate::shop) struct StorageGauges {
    wal_bytes: AppMetric,
    outbox_events: AppMetric,
    events_held: AppMetric,
}

impl StorageGauges {
    pub(in crate::shop) fn register(worker: &Worker) -> Result<StorageGauges, AppMetricError> {
        Ok(StorageGauges {
            wal_bytes: worker.shared_gauge(
                "shop_wal_bytes",
                "Length of the longest write-ahead log of the four databases.",
            )?,
            outbox_events: worker.shared_gauge(
                "shop_outbox_events",
                "Events of ended orders in the outbox; they are kept for shop.events_retention.",
            )?,
            events_held: worker.shared_gauge(
                "shop_events_held_seconds",
                "For how long an open transaction on the PostgreSQL server has held events back.",
            )?,
        })
    }
}

/// What is to be said about a WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WalNews {
    /// It is unusually long, or twice as long as it was said to be.
    Long,
    /// It is short again.
    Short,
}

/// What was said about one WAL.
#[derive(Clone, Copy, Debug, Default)]
struct WalWatch {
    reported_bytes: u64,
}

impl WalWatch {
    fn news(&mut self, bytes: u64) -> Option<WalNews> {
        let was_long = self.reported_bytes > 0;
        if bytes < LONG_WAL_BYTES {
            self.reported_bytes = 0;
            return was_long.then_some(WalNews::Short);
        }
        if bytes < self.reported_bytes.saturating_mul(2) {
            return None;
        }
        self.reported_bytes = bytes;
        Some(WalNews::Long)
    }
}

/// What there is to say of the hosts that share the databases.
pub(in crate::shop) type NoteOfHosts = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// Events that are held back for so long are told of.
const HELD: Duration = Duration::from_secs(5);

/// What was seen of events that an open transaction on the server holds back.
#[derive(Debug, Default)]
struct HeldEvents {
    /// The oldest one, and when it was first seen. While a transaction stays open, it stays the same.
    oldest: Option<(u64, Instant)>,
    is_told: bool,
}

impl HeldEvents {
    /// For how long they have been held back, and what to show in the status. Logs the news.
    fn look(&mut self, now: Instant, held: Option<HeldEvent>) -> (Duration, Option<String>) {
        let seen = self.oldest.take();
        let time = held.as_ref().map_or(Duration::ZERO, |held| {
            let before = seen.filter(|(number, _)| *number == held.number);
            let since = before.map_or(now, |(_, since)| since);
            self.oldest = Some((held.number, since));
            now.duration_since(since)
        });
        let Some(held) = held.filter(|_| time >= HELD) else {
            if std::mem::take(&mut self.is_told) {
                tracing::info!("events can be read again: no open transaction holds them back any more");
            }
            return (time, None);
        };
        let note = format!(
            "events are held back by an open transaction on the server ({})",
            held.holder
        );
        if !std::mem::replace(&mut self.is_told, true) {
            tracing::warn!("{note}; orders go on");
        }
        (time, Some(note))
    }
}

/// Looks again and again, while `is_leader`. Never returns.
pub(super) async fn watch(
    orders: Orders,
    stores: Vec<Store>,
    worker: Worker,
    gauges: StorageGauges,
    (is_leader, note_of_hosts): (&AtomicBool, &NoteOfHosts),
) {
    let mut watches = vec![WalWatch::default(); stores.len()];
    let mut held = HeldEvents::default();
    loop {
        tokio::time::sleep(INTERVAL).await;
        if !is_leader.load(Ordering::Relaxed) {
            continue;
        }
        let mut longest = 0;
        let mut notes = Vec::from_iter(note_of_hosts());
        for (store, watch) in stores.iter().zip(&mut watches) {
            let bytes = wal_bytes(store.path());
            longest = bytes.max(longest);
            notes.extend(look_at(store, bytes, watch).await);
        }
        gauges.wal_bytes.set(longest);
        // A file that cannot be read is reported elsewhere; the last count stays.
        if let Ok(events) = orders.outbox_events().await {
            gauges.outbox_events.set(events);
        }
        if let Ok(oldest) = orders.oldest_held_event().await {
            let (time, note) = held.look(Instant::now(), oldest);
            gauges.events_held.set(time.as_secs());
            notes.extend(note);
        }
        worker.set_status_note((!notes.is_empty()).then(|| notes.join("; ")));
    }
}

/// Logs the news about a WAL, and returns what to show in the status.
async fn look_at(store: &Store, bytes: u64, watch: &mut WalWatch) -> Option<String> {
    let file = store.path().file_name()?.to_str()?;
    let news = watch.news(bytes);
    if bytes < LONG_WAL_BYTES {
        if news.is_some() {
            tracing::info!(file, bytes, "the write-ahead log of a database is short again");
        }
        return None;
    }
    let note = note(file, bytes, &long_readers(store.path()).await);
    if news.is_some() {
        tracing::warn!(file, bytes, "{note}");
    }
    // A commit shows the store that its WAL is long, also when another program has written it. A store that
    // takes no writes knows already.
    drop(store.probe().await);
    Some(note)
}

/// The processes that read the database all the time, and so keep its WAL long.
async fn long_readers(database: &Path) -> Vec<i32> {
    let mut readers = wal_readers(database);
    for _ in 1..SAMPLES {
        tokio::time::sleep(SAMPLE_INTERVAL).await;
        let now = wal_readers(database);
        readers.retain(|reader| now.contains(reader));
    }
    readers
}

/// What people are to know of a long WAL.
pub(in crate::shop) fn note(file: &str, bytes: u64, readers: &[i32]) -> String {
    let length = format!("{file}-wal has {} MiB", bytes >> 20);
    if readers.is_empty() {
        return format!("{length}, and no process is found that reads the database all the time");
    }
    let name = |pid: &i32| {
        let command: String = procfs::command_line(*pid).chars().take(60).collect();
        format!("process {pid} ({command})")
    };
    let names: Vec<String> = readers.iter().map(name).collect();
    format!("{length}, kept by the open transaction of {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_wal_is_reported_once_per_doubling_and_when_it_is_short_again() {
        let mut watch = WalWatch::default();
        let news = [0, 63, 64, 100, 127, 128, 200, 60, 60, 64].map(|mib: u64| watch.news(mib << 20));
        let (long, short) = (Some(WalNews::Long), Some(WalNews::Short));
        let expected = [None, None, long, None, None, long, None, short, None, long];
        assert_eq!(news, expected);
    }

    #[test]
    fn an_event_that_is_held_back_for_long_is_told_of_and_a_busy_server_is_not() {
        let begin = Instant::now();
        let mut held = HeldEvents::default();
        let mut look = |second, number: Option<u64>| {
            let holder = "process 7".to_owned();
            let event = number.map(|number| HeldEvent { number, holder });
            let (time, note) = held.look(begin + Duration::from_secs(second), event);
            (time.as_secs(), note.is_some(), held.is_told)
        };
        // Another one at each look: transactions come and go.
        for second in 0..20 {
            assert_eq!(look(second, Some(second)), (0, false, false));
        }
        assert_eq!(look(20, Some(99)), (0, false, false));
        assert_eq!(look(24, Some(99)), (4, false, false));
        assert_eq!(look(26, Some(99)), (6, true, true));
        // That transaction has ended, and a short one is under way.
        assert_eq!(look(28, Some(100)), (0, false, false));
        assert_eq!(look(30, None), (0, false, false));
    }
}
