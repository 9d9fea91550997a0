//! Lists: limits, opaque cursors, and the envelope `{"items", "next_cursor"}`.

use axum::extract::rejection::QueryRejection;
use http::StatusCode;
use serde::Serialize;

use crate::http::Problem;
use crate::shop::contract::OrderId;

const USUAL: usize = 20;
const MOST: usize = 100;

/// One page of a list.
#[derive(Serialize)]
pub(super) struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Of rows that were read with [`PageLimit::and_one`]: the one too many tells that there is more, and the last one shown where.
    pub(super) fn of<R>(
        mut rows: Vec<R>,
        limit: PageLimit,
        list: &str,
        cursor: impl Fn(&R) -> String,
        item: impl Fn(R) -> T,
    ) -> Page<T> {
        let more = rows.len() > limit.0;
        rows.truncate(limit.0);
        let next_cursor = rows
            .last()
            .filter(|_| more)
            .map(|last| encode(&format!("{list}:{}", cursor(last))));
        Page {
            items: rows.into_iter().map(item).collect(),
            next_cursor,
        }
    }

    /// Everything there is.
    pub(super) fn whole(items: Vec<T>) -> Page<T> {
        Page {
            items,
            next_cursor: None,
        }
    }
}

/// How many items a page has at most.
#[derive(Clone, Copy)]
pub(super) struct PageLimit(usize);

impl PageLimit {
    /// From the query.
    pub(super) fn read(text: Option<&str>) -> Result<PageLimit, Problem> {
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

    /// One more than are shown.
    pub(super) fn and_one(self) -> usize {
        self.0 + 1
    }
}

/// What a cursor of that list stands for; `None` without one.
pub(super) fn cursor<T>(
    text: Option<&str>,
    list: &str,
    meaning: impl FnOnce(String) -> Option<T>,
) -> Result<Option<T>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let own = |text: String| Some(text.strip_prefix(list)?.strip_prefix(':')?.to_owned());
    match decode(text).and_then(own).and_then(meaning) {
        Some(cursor) => Ok(Some(cursor)),
        None => Err(bad(
            "invalid_cursor",
            "cursor is not one that this list gave out as next_cursor",
        )),
    }
}

/// The order before which a page begins.
pub(super) fn before(text: Option<&str>, list: &str) -> Result<OrderId, Problem> {
    let before = cursor(text, list, |text| text.parse().ok())?;
    Ok(before.unwrap_or(OrderId::from_key(i64::MAX)))
}

/// A query string that does not fit.
pub(super) fn bad_query(rejection: &QueryRejection) -> Problem {
    bad("invalid_query", rejection.body_text())
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
        let read = |list| cursor(Some(&given), list, |text| text.parse::<u8>().ok());
        assert_eq!(read("orders").unwrap(), Some(7));
        assert_eq!(read("payments").unwrap_err().code(), "invalid_cursor");
    }
}
