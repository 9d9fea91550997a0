//! Identities that services share. An order's id is a 63-bit integer that sorts by time, so that every
//! service can use it as the key of its rows and append at the right edge; people see it as `ord_` and 13
//! characters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::ids::Life;

/// 2025-01-01T00:00:00Z, from where an id counts its milliseconds: 41 bits of them last until 2094.
const EPOCH_MS: u64 = 1_735_689_600_000;
/// Below the milliseconds: random, and one more when it is taken.
const RANDOM_BITS: u32 = 22;
/// Crockford's alphabet in lower case: sorts like the number, and has no i, l, o, u to misread.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LETTERS: usize = 13;

/// The owner of the orders that an operator handed back, until a worker takes them up. No worker ever has
/// this identity.
pub(in crate::shop) const HANDED_BACK: Life = Life::of(0, 0, 0);

/// An order: time-ordered, unique over one data directory. Written `ord_0a1b2c3d4e5f6`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(i64);

/// The payment of an order. Written `pay_` and what its order's id has after `ord_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentId(pub OrderId);

/// A text that is no id of the kind that was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct InvalidId {
    text: String,
    expected: &'static str,
}

impl OrderId {
    /// An id of that instant (milliseconds since 1970).
    #[must_use]
    pub fn at(unix_ms: u64, random: u64) -> OrderId {
        let ms = unix_ms.saturating_sub(EPOCH_MS).min((1 << 41) - 1);
        let bits = (ms << RANDOM_BITS) | (random & ((1 << RANDOM_BITS) - 1));
        OrderId(i64::try_from(bits).unwrap_or(i64::MAX))
    }

    /// The first id of that instant: every order placed before has a smaller one.
    #[must_use]
    pub fn first_of(unix_ms: u64) -> OrderId {
        OrderId::at(unix_ms, 0)
    }

    /// The next one, for when this is taken.
    #[must_use]
    pub fn next(self) -> OrderId {
        OrderId(self.0.saturating_add(1))
    }

    /// When it was made, in milliseconds since 1970.
    #[must_use]
    pub fn created_ms(self) -> u64 {
        (self.0.unsigned_abs() >> RANDOM_BITS) + EPOCH_MS
    }

    /// As a key of a table.
    #[must_use]
    pub fn key(self) -> i64 {
        self.0
    }

    /// From a key of a table.
    #[must_use]
    pub fn from_key(key: i64) -> OrderId {
        OrderId(key)
    }

    fn letters(self) -> [u8; LETTERS] {
        let mut rest = self.0.unsigned_abs();
        let mut letters = [b'0'; LETTERS];
        for letter in letters.iter_mut().rev() {
            *letter = ALPHABET[(rest % 32) as usize];
            rest /= 32;
        }
        letters
    }

    fn from_letters(letters: &str) -> Option<OrderId> {
        if letters.len() != LETTERS {
            return None;
        }
        let mut bits: u64 = 0;
        for letter in letters.bytes() {
            let digit = ALPHABET.iter().position(|&known| known == letter)?;
            bits = bits.checked_mul(32)?.checked_add(digit as u64)?;
        }
        i64::try_from(bits).ok().map(OrderId)
    }
}

fn parse(text: &str, prefix: &str, expected: &'static str) -> Result<OrderId, InvalidId> {
    let id = text.strip_prefix(prefix).and_then(OrderId::from_letters);
    id.ok_or_else(|| InvalidId {
        text: text.to_owned(),
        expected,
    })
}

fn write(f: &mut fmt::Formatter<'_>, prefix: &str, id: OrderId) -> fmt::Result {
    let letters = id.letters();
    f.write_str(prefix)?;
    f.write_str(std::str::from_utf8(&letters).unwrap_or_default())
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, "ord_", *self)
    }
}

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, "pay_", self.0)
    }
}

impl FromStr for OrderId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<OrderId, InvalidId> {
        parse(text, "ord_", "an order's id (expected ord_ and 13 characters)")
    }
}

impl FromStr for PaymentId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<PaymentId, InvalidId> {
        parse(text, "pay_", "a payment's id (expected pay_ and 13 characters)").map(PaymentId)
    }
}

impl Serialize for OrderId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for PaymentId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $allowed:expr, $refused:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// As it is written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                let allowed: fn(u8) -> bool = $allowed;
                let refused: &[&str] = $refused;
                if (1..=64).contains(&text.len()) && text.bytes().all(allowed) && !refused.contains(&text.as_str()) {
                    Ok(Self(text))
                } else {
                    Err(InvalidId { text, expected: $expected })
                }
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}

name! {
    /// An article. 1 to 64 of letters, digits, `.`, `_` and `-`; not `.` or `..`, which mean something else
    /// in an address.
    Sku, "a SKU (expected 1 to 64 of letters, digits, '.', '_' and '-', and not '.' or '..')",
    |byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte), &[".", ".."]
}
name! {
    /// A customer. 1 to 64 printable ASCII characters without spaces.
    CustomerId, "a customer's id (expected 1 to 64 printable ASCII characters without spaces)",
    |byte| byte.is_ascii_graphic(), &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_795_363_200_123;

    #[test]
    fn an_order_id_survives_being_written_and_knows_its_time() {
        let id = OrderId::at(NOW_MS, u64::MAX);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.created_ms(), NOW_MS);
        assert_eq!(PaymentId(id).to_string().parse(), Ok(PaymentId(id)));
        assert_eq!(id.to_string().len(), "ord_".len() + LETTERS);
    }

    #[test]
    fn ids_sort_by_time_as_numbers_and_as_texts() {
        let (early, late) = (OrderId::at(NOW_MS, u64::MAX), OrderId::at(NOW_MS + 1, 0));
        assert!(early < late && early.to_string() < late.to_string());
        assert!(OrderId::first_of(NOW_MS) <= early && early < OrderId::first_of(NOW_MS + 1));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "ord_",
            "ord_000000000000",
            "ord_00000000000000",
            "ord_zzzzzzzzzzzzz",
            "pay_0000000000001",
            "ord_000000000000l",
        ] {
            assert!(
                text.parse::<OrderId>().is_err(),
                "{text:?} was taken for an order's id"
            );
        }
    }

    #[test]
    fn names_are_short_and_plain() {
        assert!(Sku::try_from("espresso-cup".to_owned()).is_ok());
        assert!(CustomerId::try_from("jo@example.org".to_owned()).is_ok());
        for text in ["", ".", "..", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(
                Sku::try_from(text.to_owned()).is_err(),
                "{text:?} was taken for a SKU"
            );
        }
        for text in ["", "a b", "a\n", "ä", &"x".repeat(65)] {
            assert!(
                CustomerId::try_from(text.to_owned()).is_err(),
                "{text:?} was taken for a customer's id"
            );
        }
    }
}
