//! Durations as whole milliseconds, the form in which the wire and the files have them. The functions
//! `serialize` and `deserialize` are for `#[serde(with = "crate::base::millis")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// The whole milliseconds of a duration.
#[must_use]
pub fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The duration without its fraction of a millisecond.
#[must_use]
pub fn whole(duration: Duration) -> Duration {
    Duration::from_millis(ms(duration))
}

/// Writes a duration as whole milliseconds.
///
/// # Errors
/// The serializer's own.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(ms(*duration))
}

/// Reads a duration of whole milliseconds.
///
/// # Errors
/// When the value is not a whole number.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}
