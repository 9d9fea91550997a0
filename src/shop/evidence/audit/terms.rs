//! What an order costs: how much, in which currency, with which payment method. Every database has these
//! terms.

use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

/// The terms of an order. They are the same in every database from the moment the order is placed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Terms {
    /// The amount in minor units.
    pub(super) amount: i64,
    currency: Rc<str>,
    method: Rc<str>,
}

/// Keeps each currency and payment method once, because few of them stand in many rows.
#[derive(Default)]
pub(super) struct TermsCache(HashSet<Rc<str>>);

impl TermsCache {
    fn get(&mut self, text: &str) -> Rc<str> {
        if let Some(known) = self.0.get(text) {
            return Rc::clone(known);
        }
        let word: Rc<str> = Rc::from(text);
        self.0.insert(Rc::clone(&word));
        word
    }

    /// The terms with these values. `amount` is in minor units.
    pub(super) fn of(&mut self, amount: i64, currency: &str, method: &str) -> Terms {
        Terms {
            amount,
            currency: self.get(currency),
            method: self.get(method),
        }
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} by {}", self.amount, self.currency, self.method)
    }
}
