//! Other hosts that write into the same databases signal to nobody here. While there are some, and somebody
//! here waits for events, the databases are asked whether there is something new.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::feed::EventFeed;
use super::known_streams::{KnownStreams, StreamsRecorder};
use crate::shop::contract::{HostState, OtherHost};

/// Between two questions: three look-ups, of the newest number of each service.
const INTERVAL: Duration = Duration::from_millis(50);

/// Wakes the readers of this worker for what other hosts write, while some of them are alive.
pub(in crate::shop) async fn wake_readers(
    feed: EventFeed,
    streams: Arc<StreamsRecorder>,
    mut others: watch::Receiver<Vec<OtherHost>>,
) {
    let mut seen = KnownStreams::default();
    let is_any_alive = |others: &Vec<OtherHost>| {
        let mut others = others.iter();
        others.any(|other| other.state == HostState::Alive)
    };
    while others.wait_for(is_any_alive).await.is_ok() {
        tokio::time::sleep(INTERVAL).await;
        if !feed.has_readers() {
            continue;
        }
        let known = streams.known().await;
        if known != seen {
            seen = known;
            feed.wake_soon();
        }
    }
}
