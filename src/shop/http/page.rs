//! Lists: the query that every list takes, opaque cursors, and the envelope `{"items", "next_cursor"}`.

use std::marker::PhantomData;

use axum::extract::{FromRequestParts, Query};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use serde::Serialize;

use super::conditions::Preconditions;
use crate::http::Problem;
use crate::shop::contract::OrderId;

const USUAL: usize = 20;
const MOST: usize = 100;

/// A list of the API.
pub(in crate::shop) trait List {
    /// The list's name, with which its cursors begin.
    const NAME: &'static str;
    /// The list's own query parameter, besides `limit` and `cursor`.
    const FILTER: Option<&'static str> = None;
}

/// The query of a list, and the conditions of the request.
pub(in crate::shop) struct ListQuery<L> {
    limit: PageLimit,
    cursor: Option<String>,
    pub(super) conditions: Preconditions,
    /// The value of the list's own parameter.
    pub(super) filter: Option<String>,
    list: PhantomData<L>,
}

impl<L: List, S: Sync> FromRequestParts<S> for ListQuery<L> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<ListQuery<L>, Problem> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(pairs) = pairs.map_err(|rejection| bad("invalid_query", rejection.body_text()))?;
        let (mut limit, mut cursor, mut filter) = (None, None, None);
        for (name, value) in pairs {
            let known = match name.as_str() {
                "limit" => &mut limit,
                "cursor" => &mut cursor,
                other if Some(other) == L::FILTER => &mut filter,
                other => return Err(unknown_parameter::<L>(other)),
            };
            if known.replace(value).is_some() {
                return Err(bad(
                    "invalid_query",
                    format!("{name:?} is given twice; expected once"),
                ));
            }
        }
        Ok(ListQuery {
            limit: PageLimit::read(limit.as_deref())?,
            cursor,
            conditions: Preconditions::read(&parts.headers)?,
            filter,
            list: PhantomData,
        })
    }
}

fn unknown_parameter<L: List>(name: &str) -> Problem {
    let own = L::FILTER.map(|own| format!(", {own:?}")).unwrap_or_default();
    bad(
        "invalid_query",
        format!("{name:?} is no parameter of this list; expected \"limit\", \"cursor\"{own}"),
    )
}

impl<L: List> ListQuery<L> {
    /// The query of a message, where 0 and an empty text say nothing.
    pub(in crate::shop) fn of(limit: i32, cursor: String, filter: String) -> Result<ListQuery<L>, Problem> {
        let limit = (limit != 0).then(|| limit.to_string());
        let said = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(ListQuery {
            limit: PageLimit::read(limit.as_deref())?,
            cursor: said(cursor),
            conditions: Preconditions::default(),
            filter: said(filter),
            list: PhantomData,
        })
    }

    /// How many rows to read: one more than the page shows, so that the page knows whether there are more.
    pub(super) fn rows(&self) -> usize {
        self.limit.0 + 1
    }

    /// What the cursor means; `None` without a cursor.
    pub(super) fn position<T>(
        &self,
        meaning: impl FnOnce(String) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        position(self.cursor.as_deref(), L::NAME, meaning)
    }

    /// The order before which the page begins.
    pub(super) fn before(&self) -> Result<OrderId, Problem> {
        let before = self.position(|text| text.parse().ok())?;
        Ok(before.unwrap_or(OrderId::from_key(i64::MAX)))
    }

    /// The answer with the rows that were read: `position` is what the cursor of a row means, `item` is what
    /// is shown of it.
    pub(super) fn answer<R, T: Serialize>(
        &self,
        rows: Vec<R>,
        position: impl Fn(&R) -> String,
        item: impl Fn(R) -> T,
    ) -> Result<Response, Problem> {
        let page = Page::of(rows, self.limit, L::NAME, position, item);
        self.conditions.answer(&page, None)
    }

    /// As [`ListQuery::answer`], for a message: the items, and the next cursor, which is empty on the last page.
    pub(in crate::shop) fn page<R, T>(
        &self,
        rows: Vec<R>,
        position: impl Fn(&R) -> String,
        item: impl Fn(R) -> T,
    ) -> (Vec<T>, String) {
        let page = Page::of(rows, self.limit, L::NAME, position, item);
        (page.items, page.next_cursor.unwrap_or_default())
    }
}

/// One page of a list.
#[derive(Serialize)]
pub(super) struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl<T> Page<T> {
    fn of<R>(
        mut rows: Vec<R>,
        limit: PageLimit,
        list: &str,
        position: impl Fn(&R) -> String,
        item: impl Fn(R) -> T,
    ) -> Page<T> {
        let has_more = rows.len() > limit.0;
        rows.truncate(limit.0);
        let next_cursor = rows
            .last()
            .filter(|_| has_more)
            .map(|last| encode(&format!("{list}:{}", position(last))));
        Page {
            items: rows.into_iter().map(item).collect(),
            next_cursor,
        }
    }

    /// A page with everything there is.
    pub(super) fn whole(items: Vec<T>) -> Page<T> {
        Page {
            items,
            next_cursor: None,
        }
    }
}

/// How many items a page has at most.
#[derive(Clone, Copy)]
struct PageLimit(usize);

impl PageLimit {
    fn read(text: Option<&str>) -> Result<PageLimit, Problem> {
        let Some(text) = text else {
            return Ok(PageLimit(USUAL));
        };
        match text.parse() {
            Ok(limit @ 1..=MOST) => Ok(PageLimit(limit)),
            Ok(_) | Err(_) => Err(bad(
                "invalid_limit",
                format!("limit is {text:?}; expected a number from 1 to {MOST}"),
            )),
        }
    }
}

fn position<T>(
    cursor: Option<&str>,
    list: &str,
    meaning: impl FnOnce(String) -> Option<T>,
) -> Result<Option<T>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let own = |text: String| Some(text.strip_prefix(list)?.strip_prefix(':')?.to_owned());
    match decode(cursor).and_then(own).and_then(meaning) {
        Some(position) => Ok(Some(position)),
        None => Err(bad(
            "invalid_cursor",
            "cursor is not one that this list gave out as next_cursor",
        )),
    }
}

fn bad(code: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code, detail)
}

/// Hexadecimal: opaque enough that nobody builds on it, and safe in a query string.
fn encode(text: &str) -> String {
    use std::fmt::Write;
    text.bytes()
        .fold(String::with_capacity(text.len() * 2), |mut hex, byte| {
            let _infallible = write!(hex, "{byte:02x}");
            hex
        })
}

fn decode(hex: &str) -> Option<String> {
    if hex.is_empty() || !hex.len().is_multiple_of(2) || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).ok();
    let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(byte).collect();
    String::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_way_out_and_back() {
        assert_eq!(decode(&encode("espresso-cup")), Some("espresso-cup".to_owned()));
        for bad in ["", "a", "zz", "ff", "+1"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_page_says_whether_there_is_more() {
        let page = |rows: Vec<u8>| Page::of(rows, PageLimit(2), "rows", u8::to_string, |row| row);
        assert_eq!(page(vec![1, 2]).next_cursor, None);
        let more = page(vec![1, 2, 3]);
        assert_eq!(
            (more.items, more.next_cursor),
            (vec![1, 2], Some(encode("rows:2")))
        );
    }

    #[test]
    fn a_cursor_is_good_for_its_own_list_alone() {
        let given = encode("orders:7");
        let read = |list| position(Some(&given), list, |text| text.parse::<u8>().ok());
        assert_eq!(read("orders").unwrap(), Some(7));
        assert_eq!(read("payments").unwrap_err().code(), "invalid_cursor");
    }
}
