//! What an order costs, as each book has it: how much, in which currency, by which means of payment.

use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

use rusqlite::Row;

/// The same in every book, from the moment the order is placed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Terms {
    /// Minor units.
    pub(super) amount: i64,
    currency: Rc<str>,
    method: Rc<str>,
}

/// Few currencies and few means of payment stand in many rows: each is kept once.
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

    /// The terms in three columns of a row, from that one on: amount, currency, method.
    pub(super) fn terms(&mut self, row: &Row<'_>, from: usize) -> rusqlite::Result<Terms> {
        let currency = row.get_ref(from + 1)?.as_str()?;
        let method = row.get_ref(from + 2)?.as_str()?;
        Ok(self.of(row.get(from)?, currency, method))
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
