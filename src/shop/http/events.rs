//! `GET /events`: a page of events, at once or as soon as there are some.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use tokio::time::{Instant, timeout_at};

use super::conditions::{self, Preconditions};
use super::events_query::{EventsQuery, no_page, position};
use super::{AppState, event_stream};
use crate::http::Problem;
use crate::shop::events::{EventFeed, EventPosition, KindSet};

const USUAL: usize = 100;
/// Pages of the feed that one answer looks through at most for events of the wanted kinds.
const MOST_LOOKED_THROUGH: usize = 40;

pub(super) async fn read(
    State(state): State<AppState>,
    conditions: Preconditions,
    query: EventsQuery,
) -> Result<Response, Problem> {
    conditions::refuse_all(&conditions)?;
    if query.wants_stream {
        return event_stream::answer(state.events, query).await;
    }
    let deadline = query.wait.map(|wait| Instant::now() + wait);
    // Asked for before the first read, so that what happens in between is not missed.
    let wakes = deadline.map(|deadline| (state.events.wakes(), deadline));
    let mut page = JsonPage::behind(position(&state.events, query.start).await?);
    let limit = query.limit.unwrap_or(USUAL);
    page.fill(&state.events, query.kinds, limit).await?;
    if let Some((mut wakes, deadline)) = wakes {
        while page.items.is_empty() {
            let woken = tokio::select! {
                woken = timeout_at(deadline, wakes.changed()) => woken.is_ok(),
                () = state.events.draining() => false,
            };
            if !woken {
                break;
            }
            page.fill(&state.events, query.kinds, limit).await?;
        }
    }
    Ok(page.answer())
}

/// A page as it is answered: `{"items", "next", "more"}`.
struct JsonPage {
    items: Vec<Bytes>,
    next: EventPosition,
    has_more: bool,
}

impl JsonPage {
    fn behind(next: EventPosition) -> JsonPage {
        JsonPage {
            items: Vec::new(),
            next,
            has_more: false,
        }
    }

    /// Reads on until there are enough events, or no more.
    async fn fill(&mut self, feed: &EventFeed, kinds: KindSet, limit: usize) -> Result<(), Problem> {
        for _ in 0..MOST_LOOKED_THROUGH {
            let page = feed.page(self.next).await.map_err(no_page)?;
            for event in &page.events {
                if self.items.len() == limit {
                    self.has_more = true;
                    return Ok(());
                }
                if kinds.has(event.event.kind) {
                    self.items.push(event.json.clone());
                }
                self.next = event.position;
            }
            self.has_more = page.has_more;
            if !page.has_more || page.events.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn answer(self) -> Response {
        let mut body = br#"{"items":["#.to_vec();
        for (at, item) in self.items.iter().enumerate() {
            if at > 0 {
                body.push(b',');
            }
            body.extend_from_slice(item);
        }
        let rest = format!(r#"],"next":"{}","more":{}}}"#, self.next, self.has_more);
        body.extend_from_slice(rest.as_bytes());
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        (headers, body).into_response()
    }
}
