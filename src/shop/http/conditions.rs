//! Conditional requests (RFC 9110, 13): entity tags, the headers If-Match, If-None-Match and
//! If-Unmodified-Since, and the order in which they count. A condition is met, or the answer is 412 (304 to a
//! read that knows the newest state); one that cannot be judged is not met, and one that cannot be read is
//! 400, so that none is ever ignored.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{
    CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE,
};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::errors;
use super::wire::ArticleDocument;
use crate::http::Problem;
use crate::shop::inventory::{Article, EditCondition};

/// The most entity tags in one header.
const MOST_TAGS: usize = 100;

/// The opaque part of an entity tag, with its quotation marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntityTag(String);

impl EntityTag {
    /// The strong tag of a document: it changes with anything that the document shows, and is the same in
    /// every worker.
    fn of(document: &[u8]) -> EntityTag {
        let hash: [u8; 32] = Sha256::digest(document).into();
        let beginning = hash.first_chunk().expect("a hash is longer than its beginning");
        EntityTag(format!("\"{:032x}\"", u128::from_be_bytes(*beginning)))
    }

    fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("a tag is hexadecimal digits between quotation marks")
    }
}

/// An entity tag that a client has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SentTag {
    opaque: String,
    is_weak: bool,
}

/// The value of If-Match or If-None-Match.
#[derive(Clone, Debug, PartialEq, Eq)]
enum TagCondition {
    /// `*`: any state of it.
    Any,
    /// One of these states.
    OneOf(Vec<SentTag>),
}

impl TagCondition {
    /// Strong comparison (8.8.3.2): a weak tag is none.
    fn has_strong(&self, current: Option<&EntityTag>) -> bool {
        match (self, current) {
            (_, None) => false,
            (TagCondition::Any, Some(_)) => true,
            (TagCondition::OneOf(tags), Some(current)) => {
                tags.iter().any(|tag| !tag.is_weak && tag.opaque == current.0)
            }
        }
    }

    /// Weak comparison: what a tag means counts alone.
    fn has_weak(&self, current: Option<&EntityTag>) -> bool {
        match (self, current) {
            (_, None) => false,
            (TagCondition::Any, Some(_)) => true,
            (TagCondition::OneOf(tags), Some(current)) => tags.iter().any(|tag| tag.opaque == current.0),
        }
    }
}

/// The conditions of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::shop) struct Preconditions {
    if_match: Option<TagCondition>,
    if_none_match: Option<TagCondition>,
    /// In seconds since 1970.
    if_unmodified_since: Option<u64>,
}

/// A state of something that conditions can be about.
struct State {
    tag: EntityTag,
    /// When it last changed, in milliseconds since 1970, where that is known.
    changed_ms: Option<u64>,
}

/// What the conditions say of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConditionOutcome {
    Met,
    /// A condition to change something, or to read it as it was, is not met.
    Failed,
    /// The client has the newest state: If-None-Match is not met.
    Known,
}

impl<S: Sync> FromRequestParts<S> for Preconditions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Preconditions, Problem> {
        Preconditions::read(&parts.headers)
    }
}

impl Preconditions {
    /// The conditions in these headers.
    ///
    /// # Errors
    /// 400 `invalid_precondition` for one that cannot be read.
    pub(in crate::shop) fn read(headers: &HeaderMap) -> Result<Preconditions, Problem> {
        Ok(Preconditions {
            if_match: tags(headers, &IF_MATCH)?,
            if_none_match: tags(headers, &IF_NONE_MATCH)?,
            if_unmodified_since: date(headers)?,
        })
    }

    /// Whether the request has no condition.
    pub(super) fn is_empty(&self) -> bool {
        *self == Preconditions::default()
    }

    /// The order of 13.2.2.
    fn judge(&self, current: Option<&State>) -> ConditionOutcome {
        let tag = current.map(|state| &state.tag);
        let may_go_on = match (&self.if_match, self.if_unmodified_since) {
            (Some(condition), _) => condition.has_strong(tag),
            (None, Some(since)) => current
                .and_then(|state| state.changed_ms)
                .is_some_and(|changed_ms| changed_ms / 1_000 <= since),
            (None, None) => true,
        };
        let is_known = |condition: &TagCondition| condition.has_weak(tag);
        match (may_go_on, &self.if_none_match) {
            (false, _) => ConditionOutcome::Failed,
            (true, Some(condition)) if is_known(condition) => ConditionOutcome::Known,
            (true, Some(_) | None) => ConditionOutcome::Met,
        }
    }

    /// The answer to a read: the document, 304 when the client has it, or 412. `changed_ms` is when the
    /// document last changed, where that is known.
    ///
    /// # Errors
    /// 412 `precondition_failed`.
    pub(super) fn answer(
        &self,
        document: &impl Serialize,
        changed_ms: Option<u64>,
    ) -> Result<Response, Problem> {
        self.answer_json(to_json(document)?.into(), changed_ms)
    }

    /// The same of a document that is written already.
    ///
    /// # Errors
    /// 412 `precondition_failed`.
    pub(super) fn answer_json(&self, json: Bytes, changed_ms: Option<u64>) -> Result<Response, Problem> {
        let state = State {
            tag: EntityTag::of(&json),
            changed_ms,
        };
        match self.judge(Some(&state)) {
            ConditionOutcome::Met => Ok(tagged(StatusCode::OK, json, &state.tag)),
            ConditionOutcome::Known => {
                let mut response = StatusCode::NOT_MODIFIED.into_response();
                response.headers_mut().insert(ETAG, state.tag.header());
                Ok(response)
            }
            ConditionOutcome::Failed => Err(failed(Some(&state.tag))),
        }
    }

    /// The same conditions for an edit of an article.
    pub(super) fn of_edit(self) -> EditCondition {
        let names_state = matches!(self.if_match, Some(TagCondition::OneOf(_)));
        EditCondition::new(names_state, move |known| {
            let Ok(state) = known.map(state_of_article).transpose() else {
                return false;
            };
            self.judge(state.as_ref()) == ConditionOutcome::Met
        })
    }
}

/// An article's answer with its tag.
///
/// # Errors
/// 500, which does not happen.
pub(super) fn answer_article(status: StatusCode, article: Article) -> Result<Response, Problem> {
    let bytes = to_json(&ArticleDocument::from(article))?;
    let tag = EntityTag::of(&bytes);
    Ok(tagged(status, bytes.into(), &tag))
}

/// 412 `precondition_failed` beside an article as it is.
pub(super) fn failed_on(article: Option<Article>) -> Problem {
    let state = article.as_ref().map(state_of_article).and_then(Result::ok);
    failed(state.map(|state| state.tag).as_ref())
}

/// The entity tag of an article, with its quotation marks.
///
/// # Errors
/// 500, which does not happen.
pub(in crate::shop) fn tag_of_article(article: &Article) -> Result<String, Problem> {
    state_of_article(article).map(|state| state.tag.0)
}

/// 412 `precondition_failed` to a request about something that has no state: what is made new, and what
/// happens.
pub(super) fn refuse_all(conditions: &Preconditions) -> Result<(), Problem> {
    match conditions.is_empty() {
        true => Ok(()),
        false => Err(failed(None)),
    }
}

fn state_of_article(article: &Article) -> Result<State, Problem> {
    Ok(State {
        tag: EntityTag::of(&to_json(&ArticleDocument::from(article.clone()))?),
        changed_ms: article.changed_ms,
    })
}

fn to_json(document: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(document).map_err(|error| errors::internal(&error.to_string()))
}

fn tagged(status: StatusCode, json: Bytes, tag: &EntityTag) -> Response {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ETAG, tag.header());
    response
}

fn failed(current: Option<&EntityTag>) -> Problem {
    let detail = "the state is not the one that If-Match, If-None-Match or If-Unmodified-Since asks for, or \
                  a condition cannot be judged here; nothing was done: read it again, and send its ETag";
    let problem = Problem::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail);
    match current {
        Some(tag) => problem.header(ETAG, tag.header()),
        None => problem,
    }
}

fn invalid(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_precondition", detail)
}

/// Several headers of one name are one list (5.3).
fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<TagCondition>, Problem> {
    if !headers.contains_key(name) {
        return Ok(None);
    }
    let mut sent = Vec::new();
    let mut has_any = false;
    for value in headers.get_all(name) {
        match value.as_bytes().trim_ascii() {
            b"*" => has_any = true,
            list => read_tags(list, &mut sent).ok_or_else(|| unreadable(name, value))?,
        }
    }
    match (has_any, sent.len()) {
        (true, 0) => Ok(Some(TagCondition::Any)),
        (false, 1..=MOST_TAGS) => Ok(Some(TagCondition::OneOf(sent))),
        (false, 0) => Err(invalid(format!("{name} is empty; expected * or entity tags"))),
        (true, _) => Err(invalid(format!(
            "{name} has * beside entity tags; expected one of the two"
        ))),
        (false, _) => Err(invalid(format!("{name} has more than {MOST_TAGS} entity tags"))),
    }
}

fn unreadable(name: &HeaderName, value: &HeaderValue) -> Problem {
    let value = String::from_utf8_lossy(value.as_bytes());
    invalid(format!(
        "{name} is {value:?}; expected * or entity tags with quotation marks, as in \"0123abcd\""
    ))
}

/// Entity tags between commas (8.8.3). Empty members of a list are allowed (5.6.1.2).
fn read_tags(mut list: &[u8], sent: &mut Vec<SentTag>) -> Option<()> {
    loop {
        list = list.trim_ascii_start();
        match list {
            [] => return Some(()),
            [b',', rest @ ..] => {
                list = rest;
                continue;
            }
            _ => {}
        }
        let (is_weak, quoted) = match list.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, list),
        };
        let inside = quoted.strip_prefix(b"\"")?;
        let length = inside.iter().position(|byte| *byte == b'"')?;
        let is_possible = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..);
        if !inside[..length].iter().all(is_possible) {
            return None;
        }
        sent.push(SentTag {
            opaque: String::from_utf8_lossy(&quoted[..length + 2]).into_owned(),
            is_weak,
        });
        list = inside[length + 1..].trim_ascii_start();
        if !matches!(list, [] | [b',', ..]) {
            return None;
        }
    }
}

fn date(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let mut values = headers.get_all(IF_UNMODIFIED_SINCE).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let time = value
        .to_str()
        .ok()
        .and_then(|text| httpdate::parse_http_date(text).ok());
    match (time, values.next()) {
        (Some(time), None) => Ok(Some(seconds(time))),
        (_, _) => Err(invalid(
            "If-Unmodified-Since is no single date of HTTP, as in Fri, 27 Nov 2026 04:10:53 GMT".to_owned(),
        )),
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
#[path = "conditions_tests.rs"]
mod tests;
