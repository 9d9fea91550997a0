//! One page of the feed: some events in their order, written once for all readers that stand at the same
//! position.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::cloud_event;
use super::position::{EventPosition, SOURCES};
use crate::shop::contract::{EventKind, EventsAfter, StoredEvent};

/// A page ends before an event that would make it longer than this, in bytes, unless it is the first.
const LONGEST: usize = 256 * 1024;

/// The kinds of events that a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shop) struct KindSet(u8);

impl KindSet {
    pub(in crate::shop) const ALL: KindSet = KindSet(u8::MAX);
    pub(in crate::shop) const NONE: KindSet = KindSet(0);

    pub(in crate::shop) fn with(self, kind: EventKind) -> KindSet {
        KindSet(self.0 | KindSet::bit(kind))
    }

    pub(in crate::shop) fn has(self, kind: EventKind) -> bool {
        self.0 & KindSet::bit(kind) != 0
    }

    fn bit(kind: EventKind) -> u8 {
        1 << (kind as u8)
    }
}

/// An event of a page.
#[derive(Debug)]
pub(in crate::shop) struct FeedEvent {
    pub(in crate::shop) event: StoredEvent,
    /// The event as JSON text.
    pub(in crate::shop) json: Bytes,
    /// Where a reader stands that has seen it.
    pub(in crate::shop) position: EventPosition,
}

/// Some events behind a position.
#[derive(Debug)]
pub(in crate::shop) struct FeedPage {
    pub(in crate::shop) events: Vec<FeedEvent>,
    /// Where a reader stands that has seen them all.
    pub(in crate::shop) end: EventPosition,
    /// Whether there were more behind it when it was read.
    pub(in crate::shop) has_more: bool,
    /// How often readers had been woken when it was read.
    pub(super) changes: u64,
    bytes: usize,
    /// The page as a part of a stream, for each choice of kinds that was asked for.
    streamed: Mutex<Vec<(KindSet, Bytes)>>,
}

impl FeedPage {
    /// The first events of what each service has behind `start`, at most `limit`: the earliest first, and
    /// those of one service in their order.
    pub(super) fn merge(start: EventPosition, read: [EventsAfter; SOURCES], limit: usize) -> FeedPage {
        let newest = read.each_ref().map(|read| read.newest);
        let mut waiting = read.map(|read| read.events.into_iter().peekable());
        let (mut events, mut end, mut bytes) = (Vec::new(), start, 0);
        while events.len() < limit {
            let first = (0..SOURCES)
                .filter_map(|source| Some((waiting[source].peek()?.at_ms, source)))
                .min();
            let Some((_, source)) = first else { break };
            let Some(event) = waiting[source].next() else {
                break;
            };
            let json = cloud_event::json(&event);
            if bytes + json.len() > LONGEST && !events.is_empty() {
                break;
            }
            bytes += json.len();
            end.numbers[source] = event.seq;
            events.push(FeedEvent {
                event,
                json: json.into(),
                position: end,
            });
        }
        FeedPage {
            events,
            has_more: (0..SOURCES).any(|source| end.numbers[source] < newest[source]),
            end,
            changes: 0,
            bytes,
            streamed: Mutex::default(),
        }
    }

    /// A page without events.
    pub(super) fn empty(start: EventPosition) -> FeedPage {
        FeedPage::merge(start, Default::default(), 0)
    }

    /// How much memory the texts of the page take, about.
    pub(super) fn weight(&self) -> usize {
        2 * self.bytes
    }

    /// The events of these kinds as server-sent events, each with its position as id. Behind events of other
    /// kinds the last position stands alone, so that a reader does not ask for them again.
    pub(in crate::shop) fn streamed(&self, kinds: KindSet) -> Bytes {
        let mut streamed = self.streamed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = streamed.iter().find(|(known, _)| *known == kinds) {
            return bytes.clone();
        }
        let bytes = self.write(kinds);
        streamed.push((kinds, bytes.clone()));
        bytes
    }

    fn write(&self, kinds: KindSet) -> Bytes {
        let mut text = Vec::with_capacity(self.bytes + 100 * self.events.len());
        let mut told = None;
        for FeedEvent {
            event,
            json,
            position,
        } in &self.events
        {
            if kinds.has(event.kind) {
                text.extend_from_slice(format!("id: {position}\ndata: ").as_bytes());
                text.extend_from_slice(json);
                text.extend_from_slice(b"\n\n");
                told = Some(*position);
            }
        }
        if told != Some(self.end) && !self.events.is_empty() {
            text.extend_from_slice(format!("id: {}\n\n", self.end).as_bytes());
        }
        text.into()
    }
}

/// The pages that were read last, for readers that follow each other.
#[derive(Debug, Default)]
pub(super) struct PageCache {
    pages: std::collections::VecDeque<(EventPosition, Arc<FeedPage>)>,
    weight: usize,
}

/// How much memory the texts of the kept pages take at most, in bytes.
const HEAVIEST: usize = 2 * 1024 * 1024;

impl PageCache {
    /// The page behind that position.
    pub(super) fn find(&self, start: EventPosition) -> Option<Arc<FeedPage>> {
        let found = self.pages.iter().rev().find(|(known, _)| *known == start);
        found.map(|(_, page)| Arc::clone(page))
    }

    /// Keeps the page, and forgets the oldest ones.
    pub(super) fn keep(&mut self, start: EventPosition, page: &Arc<FeedPage>) {
        self.weight += page.weight();
        self.pages.push_back((start, Arc::clone(page)));
        while self.weight > HEAVIEST {
            let Some((_, oldest)) = self.pages.pop_front() else {
                return;
            };
            self.weight = self.weight.saturating_sub(oldest.weight());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::position::FeedId;
    use super::*;
    use crate::base::money::{Currency, Money};
    use crate::shop::contract::{EventData, OrderId, PaymentId, StreamId};

    fn start() -> EventPosition {
        EventPosition {
            feed: FeedId::of([1, 2, 3].map(StreamId)),
            numbers: [0; SOURCES],
        }
    }

    fn event(seq: u64, at_ms: u64, kind: EventKind) -> StoredEvent {
        StoredEvent {
            seq,
            kind,
            at_ms,
            request_id: None,
            traceparent: None,
            data: EventData::Payment {
                payment: PaymentId(OrderId::from_key(seq.cast_signed())),
                amount: Money {
                    amount: 1,
                    currency: Currency::USD,
                },
            },
        }
    }

    fn read(events: Vec<StoredEvent>) -> EventsAfter {
        let newest = events.last().map_or(0, |event| event.seq);
        EventsAfter {
            events,
            oldest: 1,
            newest,
        }
    }

    #[test]
    fn the_earliest_comes_first_and_each_service_keeps_its_order() {
        let confirmed = |seq, at_ms| event(seq, at_ms, EventKind::OrderConfirmed);
        let charged = |seq, at_ms| event(seq, at_ms, EventKind::PaymentCharged);
        let orders = vec![confirmed(1, 20), confirmed(2, 10)];
        let payments = vec![charged(1, 15), charged(2, 25)];
        let page = FeedPage::merge(start(), [read(orders), read(vec![]), read(payments)], 3);
        let seen: Vec<(EventKind, u64)> = page
            .events
            .iter()
            .map(|event| (event.event.kind, event.event.seq))
            .collect();
        let (order, payment) = (EventKind::OrderConfirmed, EventKind::PaymentCharged);
        assert_eq!(seen, [(payment, 1), (order, 1), (order, 2)]);
        assert_eq!((page.end.numbers, page.has_more), ([2, 0, 1], true));
    }

    #[test]
    fn a_page_of_long_events_ends_early_and_goes_on_where_it_ended() {
        let many = (1..2_000).map(|seq| event(seq, seq, EventKind::PaymentCharged));
        let read = [read(vec![]), read(vec![]), read(many.collect())];
        let page = FeedPage::merge(start(), read, usize::MAX);
        assert!(page.has_more && page.events.len() < 1_999);
        assert_eq!(page.end.numbers[2], page.events.len() as u64);
    }

    #[test]
    fn a_stream_of_some_kinds_tells_how_far_it_came() {
        let orders = vec![
            event(1, 1, EventKind::OrderConfirmed),
            event(2, 2, EventKind::OrderRejected),
        ];
        let page = FeedPage::merge(start(), [read(orders), read(vec![]), read(vec![])], 9);
        let text = |kinds| String::from_utf8(page.streamed(kinds).to_vec()).unwrap();
        let confirmed = text(KindSet::NONE.with(EventKind::OrderConfirmed));
        assert!(confirmed.contains("order.confirmed") && !confirmed.contains("order.rejected"));
        assert!(
            confirmed.ends_with(&format!("\n\nid: {}\n\n", page.end)),
            "{confirmed}"
        );
        assert_eq!(text(KindSet::ALL).matches("data: ").count(), 2);
        assert_eq!(text(KindSet::NONE), format!("id: {}\n\n", page.end));
    }
}
