//! The wall clock, from which the steady clock takes its offset, and how a time is written. Nothing else in
//! the shop reads it.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

const RFC_3339_MS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// As in `2026-11-22T16:02:36.123Z`.
#[must_use]
pub fn rfc3339(unix_ms: u64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000);
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(RFC_3339_MS).unwrap_or_default()
}

/// The milliseconds since 1970 of a time as in `2026-11-22T16:02:36.123Z`, with any number of decimals.
#[must_use]
pub fn from_rfc3339(text: &str) -> Option<u64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_with_its_milliseconds() {
        assert_eq!(rfc3339(1_795_363_200_007), "2026-11-22T16:00:00.007Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn an_instant_is_read_with_any_number_of_decimals() {
        for text in [
            "2026-11-22T16:00:00.007Z",
            "2026-11-22T16:00:00.007999999Z",
            "2026-11-22T17:00:00.007+01:00",
        ] {
            assert_eq!(from_rfc3339(text), Some(1_795_363_200_007), "{text}");
        }
        assert_eq!(from_rfc3339("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(from_rfc3339("now"), None);
    }
}
