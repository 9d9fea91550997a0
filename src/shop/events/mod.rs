//! The feed of events: what the outboxes of all services hold, as one line that readers follow from a
//! position. Order is promised per service, in the order of the commits, and none between services. This
//! module must not know HTTP, nor how a service keeps its events.
//!
//! Delivery on this host is `wakes`. A bus between hosts takes its place: it calls
//! `EventFeed::page` from the position that it has published, and waits as every other reader does.

mod cloud_event;
mod feed;
mod known_streams;
#[cfg(feature = "postgres")]
pub(in crate::shop) mod other_hosts;
mod page;
mod position;
mod reader;
mod wakes;

pub use feed::{EventFeed, FeedError, PositionGone};
pub(in crate::shop) use feed::{FeedMetrics, FeedServices, FeedStart};
pub(in crate::shop) use known_streams::{KnownStreams, StreamsRecorder};
pub(in crate::shop) use page::{FeedEvent, FeedPage, KindSet};
pub use position::{EventPosition, FeedId, InvalidPosition};
pub(in crate::shop) use reader::{FeedNews, FeedReader};
pub(in crate::shop) use wakes::WakeState;
