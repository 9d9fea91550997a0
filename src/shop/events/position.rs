//! Where a reader of the events stands: the feed and one number per service, as one opaque word.

use sha2::{Digest, Sha256};

use crate::shop::contract::StreamId;

/// The services that have events, in the order of the numbers of a position.
pub(in crate::shop) const SOURCES: usize = 3;

/// Names the lines of numbers of all services together. A database that was restored or replaced changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FeedId(u64);

impl FeedId {
    /// The feed of these lines: of orders, inventory and payments.
    pub(super) fn of(streams: [StreamId; SOURCES]) -> FeedId {
        let mut hash = Sha256::new();
        for StreamId(id) in streams {
            hash.update(id.to_be_bytes());
        }
        FeedId(first_word(&hash.finalize()))
    }
}

/// Behind which events a reader stands: the feed, and the number of the last event of each service. An
/// opaque word to everybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventPosition {
    pub(super) feed: FeedId,
    pub(super) numbers: [u64; SOURCES],
}

/// The text is no position that a feed gave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the position is not one that this feed gave out")]
pub struct InvalidPosition;

impl EventPosition {
    /// How many events lie before it, those included that are no longer kept.
    pub(super) fn sum(&self) -> u64 {
        self.numbers
            .iter()
            .fold(0, |sum, number| sum.wrapping_add(*number))
    }

    /// The number of the last event of orders.
    #[must_use]
    pub fn orders(&self) -> u64 {
        self.numbers[0]
    }
}

impl std::fmt::Display for EventPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = self.feed.0.to_be_bytes().to_vec();
        for number in self.numbers {
            write_number(&mut bytes, number);
        }
        bytes.extend(check(&bytes));
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for EventPosition {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<EventPosition, InvalidPosition> {
        read(text).ok_or(InvalidPosition)
    }
}

/// Bytes of the longest position: the feed, three numbers of ten bytes, the check.
const LONGEST: usize = 8 + 10 * SOURCES + 2;

fn read(text: &str) -> Option<EventPosition> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if !text.len().is_multiple_of(2) || text.len() > 2 * LONGEST || !text.bytes().all(is_hex) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..text.len()).step_by(2).map(byte).collect::<Option<_>>()?;
    let (content, found) = bytes.split_last_chunk::<2>()?;
    if check(content) != *found {
        return None;
    }
    let (feed, mut rest) = content.split_first_chunk::<8>()?;
    let feed = FeedId(u64::from_be_bytes(*feed));
    let mut numbers = [0; SOURCES];
    for number in &mut numbers {
        *number = take_number(&mut rest)?;
    }
    rest.is_empty().then_some(EventPosition { feed, numbers })
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number: u64 = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            // No number above the largest of a column was given out.
            return i64::try_from(number).is_ok().then_some(number);
        }
    }
    None
}

/// Tells a mistyped or shortened position from one that was given out.
fn check(content: &[u8]) -> [u8; 2] {
    let hash = Sha256::digest(content);
    [hash[0], hash[1]]
}

fn first_word(hash: &[u8]) -> u64 {
    hash.iter()
        .take(8)
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_position_survives_being_written_and_no_other_text_is_taken_for_it(
            feed: u64, orders in 0..=i64::MAX as u64, inventory in 0..1_000_u64, payments in 0..1_000_000_u64,
            at in 0_usize..20, digit in 0_u32..16,
        ) {
            let position = EventPosition { feed: FeedId(feed), numbers: [orders, inventory, payments] };
            let text = position.to_string();
            prop_assert_eq!(text.parse(), Ok(position));
            let mut forged = text.clone().into_bytes();
            let at = at % forged.len();
            forged[at] = u8::try_from(char::from_digit(digit, 16).unwrap()).unwrap();
            let forged = String::from_utf8(forged).unwrap();
            if forged != text {
                // One in 65,536 forgeries passes the check; it is judged as a foreign position then.
                prop_assert_ne!(forged.parse::<EventPosition>().ok(), Some(position));
            }
        }

        #[test]
        fn no_text_makes_the_reader_fail(text in ".{0,100}") {
            let _ = text.parse::<EventPosition>();
        }
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in ["", "now", "00", "0x12", "ABCDEF", &"0".repeat(200)] {
            assert_eq!(text.parse::<EventPosition>(), Err(InvalidPosition), "{text:?}");
        }
    }

    #[test]
    fn another_line_of_any_service_is_another_feed() {
        let streams = [1, 2, 3].map(StreamId);
        let feed = FeedId::of(streams);
        for changed in 0..SOURCES {
            let mut other = streams;
            other[changed] = StreamId(9);
            assert_ne!(FeedId::of(other), feed);
        }
    }
}
