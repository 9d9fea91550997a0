//! The header `grpc-timeout`: how long the client waits for the whole call, the stream of answers included.

use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};

use crate::http::Problem;

/// The name of the header.
pub(super) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// The most digits.
const DIGITS: usize = 8;
/// A longer time-out is none: no worker lives that long.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The time-out of a call; `None` when the client waits for ever.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<Duration>, Box<Problem>> {
    let mut values = headers.get_all(GRPC_TIMEOUT).iter();
    let (Some(value), more) = (values.next(), values.next()) else {
        return Ok(None);
    };
    match read(value.as_bytes()).filter(|_| more.is_none()) {
        Some(timeout) => Ok(Some(timeout).filter(|timeout| *timeout <= LONGEST)),
        None => {
            let text = String::from_utf8_lossy(value.as_bytes());
            let detail = format!(
                "grpc-timeout is {text:?}; expected once 1 to {DIGITS} digits and one of H, M, S, m, u, n"
            );
            let problem = Problem::new(StatusCode::BAD_REQUEST, "invalid_grpc_timeout", detail);
            Err(Box::new(problem))
        }
    }
}

/// Reads `100m`: digits and one letter for the unit.
fn read(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    if !(1..=DIGITS).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout(values: &[&str]) -> Result<Option<Duration>, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(GRPC_TIMEOUT, value.parse().expect("a value"));
        }
        of(&headers).map_err(|problem| problem.code())
    }

    #[test]
    fn digits_and_a_unit_are_a_time() {
        for (text, expected) in [
            ("0n", Duration::ZERO),
            ("1n", Duration::from_nanos(1)),
            ("20u", Duration::from_micros(20)),
            ("50m", Duration::from_millis(50)),
            ("3S", Duration::from_secs(3)),
            ("2M", Duration::from_secs(120)),
            ("1H", Duration::from_secs(3600)),
            ("99999999m", Duration::from_millis(99_999_999)),
        ] {
            assert_eq!(timeout(&[text]), Ok(Some(expected)), "{text}");
        }
        assert_eq!(timeout(&[]), Ok(None));
        assert_eq!(timeout(&["99999999H"]), Ok(None), "longer than anything here");
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "S",
            "5",
            "5s",
            "-1S",
            "+1S",
            "1.5S",
            " 1S",
            "1 S",
            "1000000000H",
            "123456789n",
        ] {
            assert_eq!(timeout(&[bad]), Err("invalid_grpc_timeout"), "{bad:?}");
        }
        assert_eq!(timeout(&["1S", "1S"]), Err("invalid_grpc_timeout"));
    }
}
