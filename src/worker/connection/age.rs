//! How old a connection may become. One long-lived connection of HTTP/2 would load one worker for ever, so it
//! is told to go at some time, and its client opens another one. Pure: a time and a random number are passed
//! in.

use std::time::Duration;

use crate::config::HttpSettings;

/// The bounds of a connection's age, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct AgeLimit {
    age_ms: Option<u64>,
    grace_ms: u64,
}

/// When the age of one connection has consequences, by the worker's coarse clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) struct ConnectionAge {
    /// The connection is told to go then.
    told_at_ms: u64,
    /// What is still being answered then is cut.
    cut_at_ms: u64,
}

impl AgeLimit {
    pub(in crate::worker) fn new(limits: &HttpSettings) -> AgeLimit {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        AgeLimit {
            age_ms: limits.max_connection_age.map(ms),
            grace_ms: ms(limits.max_connection_age_grace),
        }
    }

    /// For a connection that is accepted now. `chance` lies between 0 and 1: without it, connections that
    /// were opened together would all be opened anew together.
    pub(in crate::worker) fn from(&self, now_ms: u64, chance: f64) -> ConnectionAge {
        let Some(age_ms) = self.age_ms else {
            return ConnectionAge {
                told_at_ms: u64::MAX,
                cut_at_ms: u64::MAX,
            };
        };
        let factor = 0.9 + 0.2 * chance.clamp(0.0, 1.0);
        let age = Duration::from_millis(age_ms).mul_f64(factor);
        let told_at_ms = now_ms.saturating_add(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        ConnectionAge {
            told_at_ms,
            cut_at_ms: told_at_ms.saturating_add(self.grace_ms),
        }
    }
}

impl ConnectionAge {
    /// Whether the connection is to be told to go.
    pub(in crate::worker) fn is_old(self, now_ms: u64) -> bool {
        now_ms >= self.told_at_ms
    }

    /// Whether the time after that is over, too.
    pub(in crate::worker) fn is_over(self, now_ms: u64) -> bool {
        now_ms >= self.cut_at_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn limit(age: Option<u64>) -> AgeLimit {
        AgeLimit::new(&HttpSettings {
            max_connection_age: age.map(Duration::from_millis),
            max_connection_age_grace: Duration::from_millis(500),
            ..Settings::default().http
        })
    }

    #[test]
    fn the_age_varies_by_a_tenth_and_the_grace_follows() {
        for (chance, told) in [(0.0, 10_900), (0.5, 11_000), (1.0, 11_100)] {
            let age = limit(Some(1000)).from(10_000, chance);
            assert_eq!(
                [told - 1, told].map(|now_ms| age.is_old(now_ms)),
                [false, true],
                "{chance}"
            );
            let over = [told + 499, told + 500].map(|now_ms| age.is_over(now_ms));
            assert_eq!(over, [false, true], "{chance}");
        }
    }

    #[test]
    fn without_a_limit_no_connection_is_old() {
        let age = limit(None).from(10_000, 0.5);
        assert!(!age.is_old(u64::MAX - 1) && !age.is_over(u64::MAX - 1));
    }
}
