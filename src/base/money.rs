//! Money: an integer of minor units with its currency. No floating point, and no sum of two currencies.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An ISO 4217 code: three upper-case letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// The US dollar.
    pub const USD: Currency = Currency(*b"USD");

    /// The three letters of the code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no currency code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a currency (expected three upper-case letters, as in \"USD\")")]
pub struct NotACurrency(String);

impl TryFrom<String> for Currency {
    type Error = NotACurrency;

    fn try_from(code: String) -> Result<Self, NotACurrency> {
        match <[u8; 3]>::try_from(code.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_uppercase) => Ok(Currency(letters)),
            Ok(_) | Err(_) => Err(NotACurrency(code)),
        }
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

/// An amount in minor units (cents), never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units: 450 is 4.50 in a currency with two decimals.
    pub amount: u64,
    /// The currency of the amount.
    pub currency: Currency,
}

/// Why two amounts cannot be added, or one cannot be multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The two amounts are of different currencies.
    #[error("{0} and {1} cannot be added")]
    Mixed(Currency, Currency),
    /// The result is larger than [`Money::MAX_AMOUNT`].
    #[error("the amount is too large")]
    TooLarge,
}

impl Money {
    /// The largest amount: what a signed 64-bit column holds.
    pub const MAX_AMOUNT: u64 = i64::MAX as u64;

    /// The price of `quantity` pieces at this price each.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`] when the product is larger than [`Money::MAX_AMOUNT`].
    pub fn times(self, quantity: u32) -> Result<Money, MoneyError> {
        let amount = self
            .amount
            .checked_mul(u64::from(quantity))
            .ok_or(MoneyError::TooLarge)?;
        Money { amount, ..self }.bounded()
    }

    /// The sum of the two amounts.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`] when the currencies differ, [`MoneyError::TooLarge`] when the sum is larger than
    /// [`Money::MAX_AMOUNT`].
    pub fn plus(self, other: Money) -> Result<Money, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed(self.currency, other.currency));
        }
        let amount = self
            .amount
            .checked_add(other.amount)
            .ok_or(MoneyError::TooLarge)?;
        Money { amount, ..self }.bounded()
    }

    fn bounded(self) -> Result<Money, MoneyError> {
        if self.amount > Money::MAX_AMOUNT {
            Err(MoneyError::TooLarge)
        } else {
            Ok(self)
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(amount: u64) -> Money {
        Money {
            amount,
            currency: Currency::USD,
        }
    }

    #[test]
    fn it_adds_and_multiplies_in_its_currency() {
        assert_eq!(usd(450).times(2), Ok(usd(900)));
        assert_eq!(usd(450).plus(usd(50)), Ok(usd(500)));
        let euro = Currency::try_from("EUR".to_owned()).expect("a currency");
        assert_eq!(
            usd(1).plus(Money {
                amount: 1,
                currency: euro
            }),
            Err(MoneyError::Mixed(Currency::USD, euro))
        );
    }

    #[test]
    fn it_never_wraps() {
        assert_eq!(usd(Money::MAX_AMOUNT).plus(usd(1)), Err(MoneyError::TooLarge));
        assert_eq!(usd(u64::MAX / 2).times(3), Err(MoneyError::TooLarge));
    }

    #[test]
    fn a_currency_is_three_capitals() {
        for code in ["usd", "US", "USDT", "", "U$D"] {
            assert!(
                Currency::try_from(code.to_owned()).is_err(),
                "{code:?} was taken for a currency"
            );
        }
    }
}
