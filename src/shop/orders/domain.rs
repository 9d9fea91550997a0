//! What an order is. Pure.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::money::{Money, MoneyError};
use crate::saga::RejectionCause;
use crate::shop::contract::{CommandRefusal, CustomerId, OrderId, OrderLine};

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    /// Its saga is under way.
    Pending,
    /// Its saga stands still until the next start or a person moves it. Not final: to a customer it is pending.
    Parked,
    /// It stands: stock and money were taken.
    Confirmed,
    /// It does not stand: neither was taken.
    Rejected,
}

/// How many orders are not over, whichever worker drives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnfinishedCounts {
    /// Their saga is under way.
    pub pending: u64,
    /// Their saga stands still.
    pub parked: u64,
}

/// Why an order does not stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rejection {
    /// A service said no.
    Refused(CommandRefusal),
    /// A service did not answer in time, and the step was seen not to have happened.
    GaveUp {
        /// Which step.
        step: String,
    },
    /// A person gave it up.
    TakenBack {
        /// Why, in that person's words.
        reason: String,
    },
}

/// An order to be placed: validated and priced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// Whose.
    pub customer: CustomerId,
    /// Of what. Never empty, all in the total's currency.
    pub lines: Arc<[OrderLine]>,
    /// What it costs.
    pub total: Money,
    /// The provider's name of the means of payment.
    pub method: Arc<str>,
}

/// Why it cannot be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NewOrderError {
    /// Nothing was ordered.
    #[error("an order has at least one item")]
    Empty,
    /// Prices in more than one currency, or a sum too large for a column.
    #[error("the total cannot be charged: {0}")]
    Total(#[from] MoneyError),
}

impl NewOrder {
    /// Adds up what the lines cost.
    ///
    /// # Errors
    /// [`NewOrderError`].
    pub fn new(
        customer: CustomerId,
        lines: Vec<OrderLine>,
        method: String,
    ) -> Result<NewOrder, NewOrderError> {
        let mut total: Option<Money> = None;
        for line in &lines {
            let cost = line.unit_price.times(line.quantity)?;
            total = Some(total.map_or(Ok(cost), |total| total.plus(cost))?);
        }
        let total = total.ok_or(NewOrderError::Empty)?;
        Ok(NewOrder {
            customer,
            lines: lines.into(),
            total,
            method: method.into(),
        })
    }
}

/// An order as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its id, which holds its time too.
    pub id: OrderId,
    /// Where it stands.
    pub status: OrderStatus,
    /// What was ordered.
    pub placed: NewOrder,
    /// The life of the worker that drives its saga, or that ended it.
    pub owner: String,
    /// How often its saga was claimed.
    pub claim_no: u32,
    /// When it ended; before that, when it was placed.
    pub ended_ms: u64,
    /// Why it was rejected.
    pub rejection: Option<Rejection>,
    /// Why it is parked.
    pub parked: Option<String>,
    /// Why a person gave it up: its saga undoes what was done.
    pub given_up: Option<Arc<str>>,
}

impl Rejection {
    /// What a saga's cause is called here; `given_up` is the person's reason, when there is one.
    #[must_use]
    pub fn of(cause: RejectionCause<CommandRefusal>, given_up: Option<&str>) -> Rejection {
        match cause {
            RejectionCause::TakenBack => Rejection::TakenBack {
                reason: given_up.unwrap_or_default().to_owned(),
            },
            RejectionCause::Refused(refusal) => Rejection::Refused(refusal),
            RejectionCause::GaveUp(command) => Rejection::GaveUp {
                step: command.name().to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::money::Currency;
    use crate::shop::contract::Sku;

    fn line(quantity: u32, amount: u64, currency: &str) -> OrderLine {
        let currency = Currency::try_from(currency.to_owned()).unwrap();
        let sku = Sku::try_from("cup".to_owned()).unwrap();
        OrderLine {
            sku,
            quantity,
            unit_price: Money { amount, currency },
        }
    }

    fn order(lines: Vec<OrderLine>) -> Result<NewOrder, NewOrderError> {
        NewOrder::new(
            CustomerId::try_from("c-1".to_owned()).unwrap(),
            lines,
            "pm_card_visa".to_owned(),
        )
    }

    #[test]
    fn the_total_is_the_sum_of_quantities_times_prices() {
        let total = order(vec![line(2, 450, "USD"), line(1, 50, "USD")])
            .unwrap()
            .total;
        assert_eq!(total.amount, 950);
    }

    #[test]
    fn an_order_of_nothing_or_in_two_currencies_or_beyond_counting_is_refused() {
        assert_eq!(order(vec![]), Err(NewOrderError::Empty));
        let mixed = order(vec![line(1, 1, "USD"), line(1, 1, "EUR")]);
        assert!(matches!(mixed, Err(NewOrderError::Total(MoneyError::Mixed(..)))));
        let large = order(vec![line(3, Money::MAX_AMOUNT / 2, "USD")]);
        assert_eq!(large, Err(NewOrderError::Total(MoneyError::TooLarge)));
    }
}
