//! Durations that carry their unit (`250ms`, `1m 30s`) in every text: the configuration, the settings handed to a worker, and
//! an application's own section with `#[serde(with = "cluster::config::duration")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// What is wrong with a text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotADuration {
    /// `250`, `1.5`: it could be anything.
    #[error("a number alone has no unit: write \"{number}ms\", \"{number}s\" or \"{number}m\"")]
    NoUnit {
        /// What was written.
        number: String,
    },
    /// Anything else.
    #[error("it is not a duration: {0}")]
    Malformed(String),
}

/// Reads `250ms`, `5s`, `1m 30s`, `2h`. Zero has a unit too.
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

/// Writes what [`parse`] reads, without loss: in the largest unit of which it is a whole number, up to days. (Months and years,
/// which `humantime` would take first, are averages that nobody means by `90days`.)
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

/// For `#[serde(with = …)]`.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// For `#[serde(with = …)]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// The same for a duration that need not be there.
pub mod optional {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// For `#[serde(with = …)]`.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        duration.map(super::format).serialize(serializer)
    }

    /// For `#[serde(with = …)]`; absent is `None` with `#[serde(default)]`.
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
