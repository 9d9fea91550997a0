//! What a reader of events asks for: from where, which, and as a page or a stream; and what it is told when
//! there is nothing to read from there.

use std::time::Duration;

use axum::extract::{FromRequestParts, Query};
use http::header::ACCEPT;
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};

use super::{AppState, errors};
use crate::http::Problem;
use crate::shop::contract::EventKind;
use crate::shop::events::{
    EventFeed, EventPosition, FeedError, FeedReader, FeedStart, KindSet, PositionGone,
};

const MOST: usize = 1_000;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What a reader asks for.
pub(super) struct EventsQuery {
    pub(super) start: StartPoint,
    pub(super) kinds: KindSet,
    pub(super) limit: Option<usize>,
    pub(super) wait: Option<Duration>,
    pub(super) wants_stream: bool,
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shop) enum StartPoint {
    Without(FeedStart),
    Behind(EventPosition),
}

impl FromRequestParts<AppState> for EventsQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<EventsQuery, Problem> {
        let wants_stream = wants_stream(&parts.headers)?;
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(pairs) = pairs.map_err(|rejection| bad("invalid_query", rejection.body_text()))?;
        let (mut after, mut types, mut limit, mut wait) = (None, None, None, None);
        for (name, value) in pairs {
            let known = match name.as_str() {
                "after" => &mut after,
                "types" => &mut types,
                "limit" if !wants_stream => &mut limit,
                "wait" if !wants_stream => &mut wait,
                other => return Err(unknown_parameter(other, wants_stream)),
            };
            if known.replace(value).is_some() {
                return Err(bad(
                    "invalid_query",
                    format!("{name:?} is given twice; expected once"),
                ));
            }
        }
        if let Some(last) = parts.headers.get(LAST_EVENT_ID).filter(|_| wants_stream) {
            // A browser that connects again repeats its first address and says here how far it came.
            after = Some(last.to_str().unwrap_or("?").to_owned());
        }
        Ok(EventsQuery {
            start: start_point(after.as_deref())?,
            kinds: types.as_deref().map_or(Ok(KindSet::ALL), kinds)?,
            limit: limit.as_deref().map(read_limit).transpose()?,
            wait: wait
                .as_deref()
                .map(|wait| read_wait(wait, state.longest_wait))
                .transpose()?,
            wants_stream,
        })
    }
}

fn unknown_parameter(name: &str, wants_stream: bool) -> Problem {
    let known = if wants_stream {
        "\"after\", \"types\" for a stream"
    } else {
        "\"after\", \"types\", \"limit\", \"wait\""
    };
    bad(
        "invalid_query",
        format!("{name:?} is no parameter of the events; expected {known}"),
    )
}

/// Whether the answer is a stream: the first media type of the two that stands in `Accept` decides.
fn wants_stream(headers: &HeaderMap) -> Result<bool, Problem> {
    let mut named = headers.get_all(ACCEPT).iter().peekable();
    if named.peek().is_none() {
        return Ok(false);
    }
    for value in named {
        for media_type in value.to_str().unwrap_or_default().split(',') {
            let media_type = media_type.split(';').next().unwrap_or_default().trim();
            match media_type.to_ascii_lowercase().as_str() {
                "text/event-stream" => return Ok(true),
                "application/json" | "application/*" | "*/*" => return Ok(false),
                _ => {}
            }
        }
    }
    let detail = "Accept has neither application/json (a page) nor text/event-stream (a stream)";
    Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail))
}

pub(in crate::shop) fn start_point(after: Option<&str>) -> Result<StartPoint, Problem> {
    match after {
        None => Ok(StartPoint::Without(FeedStart::Oldest)),
        Some("now") => Ok(StartPoint::Without(FeedStart::Now)),
        Some(position) => position.parse().map(StartPoint::Behind).map_err(|_| {
            bad(
                "invalid_position",
                "the position is not one that the events gave out: pass on \"next\" of a page, or the id of \
                 an event of a stream, as it is",
            )
        }),
    }
}

pub(in crate::shop) fn kinds(types: &str) -> Result<KindSet, Problem> {
    types.split(',').try_fold(KindSet::NONE, |kinds, name| {
        let kind = EventKind::ALL
            .into_iter()
            .find(|kind| kind.type_name() == name.trim());
        kind.map(|kind| kinds.with(kind)).ok_or_else(|| {
            let known = EventKind::ALL.map(EventKind::type_name).join(", ");
            bad(
                "unknown_event_type",
                format!("types has {name:?}; expected some of {known}, with commas between"),
            )
        })
    })
}

fn read_limit(text: &str) -> Result<usize, Problem> {
    match text.parse() {
        Ok(limit @ 1..=MOST) => Ok(limit),
        Ok(_) | Err(_) => Err(bad(
            "invalid_limit",
            format!("limit is {text:?}; expected a number from 1 to {MOST}"),
        )),
    }
}

fn read_wait(text: &str, longest: Duration) -> Result<Duration, Problem> {
    match humantime::parse_duration(text) {
        Ok(wait) if wait <= longest => Ok(wait),
        Ok(_) | Err(_) => {
            let longest = humantime::format_duration(longest);
            let detail =
                format!("wait is {text:?}; expected a time with its unit, as in 10s, and at most {longest}");
            Err(bad("invalid_wait", detail))
        }
    }
}

fn bad(code: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code, detail)
}

/// What a reader is told whose position is gone.
struct GoneText {
    code: &'static str,
    what: &'static str,
}

/// The answer when the feed has no page.
pub(in crate::shop) fn no_page(error: FeedError) -> Problem {
    let (why, oldest, newest) = match error {
        FeedError::Storage(error) => return errors::storage(error),
        FeedError::Gone { why, oldest, newest } => (why, oldest, newest),
    };
    let GoneText { code, what } = match why {
        PositionGone::Foreign => GoneText {
            code: "position_foreign",
            what: "the position is of other events: a database was restored or replaced since, or it is \
                   another shop's",
        },
        PositionGone::Future => GoneText {
            code: "position_future",
            what: "the position lies behind the newest event",
        },
        PositionGone::Expired => GoneText {
            code: "position_expired",
            what: "events behind the position are no longer kept (shop.events_retention)",
        },
    };
    let detail = format!(
        "{what}; begin again behind one of the positions that this document names: \"oldest\" for all events \
         that are kept, \"now\" for those to come"
    );
    Problem::new(StatusCode::GONE, code, detail)
        .with("oldest", oldest.to_string())
        .with("now", newest.to_string())
}

/// The position behind which the reader begins.
pub(super) async fn position(feed: &EventFeed, start: StartPoint) -> Result<EventPosition, Problem> {
    match start {
        StartPoint::Behind(position) => Ok(position),
        StartPoint::Without(start) => feed.start(start).await.map_err(errors::storage),
    }
}

/// A reader that follows the feed from there.
pub(in crate::shop) async fn reader(feed: &EventFeed, start: StartPoint) -> Result<FeedReader, Problem> {
    // Asked for before the first read, so that what happens in between is not missed.
    let wakes = feed.wakes();
    let position = position(feed, start).await?;
    let reader = FeedReader::begin(feed.clone(), wakes, position).await;
    reader.map_err(no_page)
}
