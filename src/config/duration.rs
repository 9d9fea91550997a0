//! Durations as texts that carry their unit, such as `250ms` and `1m 30s`. They stand in the configuration
//! and in the settings that a worker gets. An application reads them in its own section with `#[serde(with =
//! "cluster::config::duration")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotADuration {
    /// The text is a number alone, such as `250` or `1.5`.
    #[error("a number alone has no unit: write \"{number}ms\", \"{number}s\" or \"{number}m\"")]
    NoUnit {
        /// The number that was read.
        number: String,
    },
    /// The text is something else.
    #[error("it is not a duration: {0}")]
    Malformed(String),
}

/// Reads `250ms`, `5s`, `1m 30s`, `2h`. Zero needs a unit, too.
///
/// ```
/// use std::time::Duration;
/// use cluster::config::duration;
///
/// assert_eq!(duration::parse("1m 30s"), Ok(Duration::from_secs(90)));
/// assert!(duration::parse("90").is_err());
/// assert_eq!(duration::format(Duration::from_secs(90)), "90s");
/// ```
pub fn parse(text: &str) -> Result<Duration, NotADuration> {
    let text = text.trim();
    if text.parse::<f64>().is_ok() {
        return Err(NotADuration::NoUnit {
            number: text.to_owned(),
        });
    }
    humantime::parse_duration(text).map_err(|error| NotADuration::Malformed(error.to_string()))
}

const UNITS: [(&str, u128); 5] = [
    ("days", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Writes a text that [`parse`] reads as the same duration. The unit is the largest, up to days, that gives a
/// whole number. (`humantime` would use months and years, which are averages that nobody means by `90days`.)
#[must_use]
pub fn format(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms == 0 || !duration.subsec_nanos().is_multiple_of(1_000_000) {
        return humantime::format_duration(duration).to_string();
    }
    let whole = UNITS.iter().find(|(_, unit)| ms.is_multiple_of(*unit));
    let (name, unit) = whole.expect("every number of milliseconds is a multiple of one");
    match (ms / unit, *name) {
        (1, "days") => "1day".to_owned(),
        (number, name) => format!("{number}{name}"),
    }
}

/// Writes the duration as a text, for `#[serde(with = "cluster::config::duration")]`.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// Reads the duration from a text, for `#[serde(with = "cluster::config::duration")]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// The same for an `Option<Duration>`.
pub mod optional {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes the duration as a text, or nothing, for `#[serde(with =
    /// "cluster::config::duration::optional")]`.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        duration.map(super::format).serialize(serializer)
    }

    /// Reads the duration from a text. With `#[serde(default)]`, a key that is absent is `None`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let parsed = text.as_deref().map(super::parse).transpose();
        parsed.map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn people_write_durations_with_a_unit() {
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("0s"), Ok(Duration::ZERO));
    }

    #[test]
    fn a_duration_is_written_as_people_would() {
        for text in [
            "90days", "1day", "25h", "30m", "75s", "250ms", "0s", "1us", "1s 500ns", "1day 1ns",
        ] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
    }

    #[test]
    fn a_number_alone_is_refused_with_what_to_write() {
        for number in ["250", "0", "1.5", "-3"] {
            assert_eq!(
                parse(number),
                Err(NotADuration::NoUnit {
                    number: number.to_owned()
                })
            );
        }
        assert!(matches!(parse("5 parsecs"), Err(NotADuration::Malformed(_))));
        assert!(matches!(parse(""), Err(NotADuration::Malformed(_))));
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back(nanos in 0..u64::MAX / 1_000) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in any::<String>(), number in "[0-9.]{0,40}[a-z µ]{0,4}[0-9]{0,30}[a-z]{0,3}") {
            let _ = parse(&text);
            let _ = parse(&number);
        }
    }
}
