//! How readers that wait for events are woken: by the signal that every writer of every process sends after a
//! commit with events (see [`crate::sys::file_signal`]), or by the end of such a process. Without a reader
//! nothing is watched; while nothing happens, nothing runs.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::shop::event_signal::SIGNAL_FILE;
use crate::sys::file_signal::FileSignalWatch;
use crate::sys::{readiness, schedstat};

/// Between two wake-ups, so many times what it takes to serve all readers of this worker once,
const GAP: u32 = 2;
/// and so many times while this worker has much else to do, so that a thousand readers leave the time to the
/// orders.
const GAP_WHEN_BUSY: u32 = 20;
/// It has when that takes more than one part in so many of the time,
const BUSY: u32 = 3;
/// seen over the gaps of about that long.
const REMEMBERED: Duration = Duration::from_millis(500);
/// Turns of the runtime in which all readers get what there is: their streams, their connections, what is
/// left.
const TURNS: u32 = 3;
/// What it takes to send a byte and to receive it, in nanoseconds: most of it is done after the turns,
/// whenever a socket takes more. Measured over the loopback (about two, with what it takes its reader); other
/// networks take less.
const NANOS_A_BYTE: u64 = 1;
/// The longest time between two wake-ups.
const LONGEST_GAP: Duration = Duration::from_secs(2);
/// Readers that are so few that nothing is saved by having them wait.
const FEW: usize = 8;
/// Between two signs of life on a stream without events. One timer serves all readers of a worker.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// Between two looks while the system gives no watch.
const WITHOUT_WATCH: Duration = Duration::from_millis(250);

/// What a reader is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::shop) struct WakeState {
    /// How often there may have been something new.
    pub(in crate::shop) changes: u64,
    /// How often it was time for a sign of life.
    pub(in crate::shop) signs_of_life: u64,
}

/// The readers of one worker that wait.
#[derive(Debug)]
pub(in crate::shop) struct EventWakes {
    path: PathBuf,
    state: watch::Sender<WakeState>,
    is_watching: Mutex<bool>,
    /// There is a reader that has more before it, and waits.
    lagging: Notify,
    /// How many bytes all readers got since the last gap was measured.
    bytes: AtomicU64,
}

impl EventWakes {
    pub(in crate::shop) fn new(data_dir: &std::path::Path) -> Arc<EventWakes> {
        Arc::new(EventWakes {
            path: data_dir.join(SIGNAL_FILE),
            state: watch::Sender::default(),
            is_watching: Mutex::new(false),
            lagging: Notify::new(),
            bytes: AtomicU64::new(0),
        })
    }

    /// How often readers were woken.
    pub(super) fn changes(&self) -> u64 {
        self.state.borrow().changes
    }

    /// A reader that is woken from now on: it must ask for it before it reads, and wait after it has read.
    pub(in crate::shop) fn subscribe(self: &Arc<EventWakes>) -> watch::Receiver<WakeState> {
        let reader = self.state.subscribe();
        let mut is_watching = self.is_watching();
        if !*is_watching {
            *is_watching = true;
            let watch = FileSignalWatch::open(&self.path)
                .and_then(|watch| readiness::watch(watch, Interest::READABLE));
            let watch = watch.inspect_err(|error| {
                tracing::warn!(
                    %error,
                    "events cannot be watched for (look at fs.inotify.max_user_instances), so readers look \
                     for them four times a second"
                );
            });
            tokio::spawn(Arc::clone(self).wake_readers(watch.ok()));
        }
        reader
    }

    /// Ends when no reader is left.
    async fn wake_readers(self: Arc<EventWakes>, mut watch: Option<AsyncFd<FileSignalWatch>>) {
        let mut sign_of_life = Instant::now() + SIGN_OF_LIFE;
        let mut other_work = OtherWork::default();
        loop {
            tokio::select! {
                () = self.state.closed() => {
                    let mut is_watching = self.is_watching();
                    if self.state.receiver_count() == 0 {
                        *is_watching = false;
                        return;
                    }
                }
                () = sleep_until(sign_of_life) => {
                    self.state.send_modify(|state| state.signs_of_life += 1);
                    sign_of_life = Instant::now() + SIGN_OF_LIFE;
                }
                () = signalled_or_lagging(watch.as_mut(), &self.lagging) => {
                    self.state.send_modify(|state| state.changes += 1);
                    if self.are_many() {
                        let turns = turns().await;
                        // Also what was handed over in the last gap: a page that had to be read comes
                        // after the turns.
                        let bytes = self.bytes.swap(0, Relaxed);
                        let sending = Duration::from_nanos(bytes.saturating_mul(NANOS_A_BYTE));
                        let gap = turns.max(sending) * other_work.factor();
                        other_work.during(gap.min(LONGEST_GAP)).await;
                    }
                }
            }
        }
    }

    /// A reader got so many bytes.
    pub(super) fn count(&self, bytes: usize) {
        // What few readers got before they were many is no part of a round.
        if self.are_many() {
            self.bytes.fetch_add(bytes as u64, Relaxed);
        }
    }

    /// How many readers there are.
    pub(super) fn readers(&self) -> usize {
        self.state.receiver_count()
    }

    /// Whether there are so many readers that they are paced.
    pub(super) fn are_many(&self) -> bool {
        self.readers() >= FEW
    }

    /// Wakes all readers as soon as the gap is over: one of them has more before it.
    pub(super) fn wake_soon(&self) {
        self.lagging.notify_one();
    }

    fn is_watching(&self) -> MutexGuard<'_, bool> {
        // The flag is whole at any moment.
        self.is_watching.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What it took to give the readers that were just woken what there is: each turn comes after every task that
/// was ready before it.
async fn turns() -> Duration {
    let began = Instant::now();
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
    began.elapsed()
}

/// What this worker had to do between two rounds: its time on a CPU and its waiting for one, of the time that
/// passed. Of the last gaps, the latest for half of it.
#[derive(Debug, Default)]
struct OtherWork {
    busy: Duration,
    passed: Duration,
}

impl OtherWork {
    /// How long the next gap is, in times of what the round took.
    fn factor(&self) -> u32 {
        match self.busy * BUSY > self.passed {
            true => GAP_WHEN_BUSY,
            false => GAP,
        }
    }

    async fn during(&mut self, gap: Duration) {
        let (began, busy) = (Instant::now(), schedstat::busy_time_of_this_thread());
        sleep(gap).await;
        self.see(
            schedstat::busy_time_of_this_thread().saturating_sub(busy),
            began.elapsed(),
        );
    }

    fn see(&mut self, busy: Duration, passed: Duration) {
        self.busy += busy;
        self.passed += passed;
        if self.passed > REMEMBERED {
            self.busy /= 2;
            self.passed /= 2;
        }
    }
}

/// Returns when a signal came, or when a reader has more before it.
async fn signalled_or_lagging(watch: Option<&mut AsyncFd<FileSignalWatch>>, lagging: &Notify) {
    tokio::select! {
        () = signalled(watch) => {}
        () = lagging.notified() => {}
    }
}

/// Returns when a signal came.
async fn signalled(watch: Option<&mut AsyncFd<FileSignalWatch>>) {
    let Some(watch) = watch else {
        return sleep(WITHOUT_WATCH).await;
    };
    loop {
        let Ok(mut ready) = watch.readable_mut().await else {
            return sleep(WITHOUT_WATCH).await;
        };
        match ready.get_inner_mut().take() {
            Ok(true) => return,
            Ok(false) => ready.clear_ready(),
            Err(error) => {
                tracing::warn!(%error, "the signal of events cannot be read; it will be tried again");
                ready.clear_ready();
                return sleep(WITHOUT_WATCH).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_wait_longer_while_there_is_much_else_to_do() {
        let (tenth, gap) = (Duration::from_millis(10), Duration::from_millis(100));
        let mut work = OtherWork::default();
        assert_eq!(work.factor(), GAP);
        work.see(tenth, gap);
        assert_eq!(work.factor(), GAP);
        (0..10).for_each(|_| work.see(8 * tenth, gap));
        assert_eq!(work.factor(), GAP_WHEN_BUSY);
        work.see(tenth, gap);
        assert_eq!(work.factor(), GAP_WHEN_BUSY, "one quiet gap says little");
        (0..20).for_each(|_| work.see(tenth, gap));
        assert_eq!(work.factor(), GAP);
    }
}
