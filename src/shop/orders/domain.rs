//! What an order is. Pure.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::ids::Life;
use crate::base::money::{Money, MoneyError};
use crate::observe::RequestContext;
use crate::saga::RejectionCause;
use crate::shop::contract::{CommandRefusal, CustomerId, OrderId, OrderLine};

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    /// The order's saga is under way.
    Pending,
    /// The order's saga stands still until a person or the next start goes on with it. A customer sees it as
    /// pending.
    Parked,
    /// The order stands: the goods left the shelf and the money was taken.
    Confirmed,
    /// The order does not stand: neither goods nor money were taken.
    Rejected,
}

impl OrderStatus {
    /// Every status.
    pub const ALL: [OrderStatus; 4] = [
        OrderStatus::Pending,
        OrderStatus::Parked,
        OrderStatus::Confirmed,
        OrderStatus::Rejected,
    ];

    /// The status in one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            OrderStatus::Pending => "pending",
            OrderStatus::Parked => "parked",
            OrderStatus::Confirmed => "confirmed",
            OrderStatus::Rejected => "rejected",
        }
    }

    /// Whether the order has ended, which it does once and for ever.
    #[must_use]
    pub fn is_ended(self) -> bool {
        match self {
            OrderStatus::Pending | OrderStatus::Parked => false,
            OrderStatus::Confirmed | OrderStatus::Rejected => true,
        }
    }
}

/// How many orders have not ended, whichever worker owns them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnfinishedCounts {
    /// Orders whose saga is under way.
    pub pending: u64,
    /// Orders whose saga stands still.
    pub parked: u64,
}

/// Why an order does not stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rejection {
    /// A service refused a step.
    Refused(CommandRefusal),
    /// A service did not answer in time, and then it was certain that the step had not happened.
    GaveUp {
        /// The name of the step's command.
        step: String,
    },
    /// A person gave up the order.
    TakenBack {
        /// The reason, in that person's words.
        reason: String,
    },
}

/// An order that is to be placed: validated and priced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// The customer.
    pub customer: CustomerId,
    /// The lines: at least one, and all in the total's currency.
    pub lines: Arc<[OrderLine]>,
    /// What the order costs.
    pub total: Money,
    /// The provider's name of the means of payment.
    pub method: Arc<str>,
    /// The request that placed the order. `None` for orders that were placed before requests had ids.
    pub request: Option<RequestContext>,
}

/// Why an order cannot be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NewOrderError {
    /// The order has no item.
    #[error("an order has at least one item")]
    Empty,
    /// The prices are in several currencies, or their sum is too large for a column.
    #[error("the total cannot be charged: {0}")]
    Total(#[from] MoneyError),
}

impl NewOrder {
    /// The request that work for the order is done for: the one that placed it, or a new one.
    #[must_use]
    pub fn request_context(&self) -> RequestContext {
        self.request.clone().unwrap_or_else(RequestContext::made)
    }

    /// The same order, placed by this request.
    #[must_use]
    pub fn placed_by(mut self, request: RequestContext) -> NewOrder {
        self.request = Some(request);
        self
    }

    /// An order of these lines, with the sum of their prices.
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
            request: None,
        })
    }
}

/// An order as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The order's id, which holds the time at which it was placed.
    pub id: OrderId,
    /// Where the order stands.
    pub status: OrderStatus,
    /// What was ordered.
    pub placed: NewOrder,
    /// The life of the worker that owns the order's saga, or that ended the order.
    pub owner: Life,
    /// The number of the last claim; the first owner has claim 1.
    pub claim_no: u32,
    /// When the status last changed, in milliseconds since 1970.
    pub changed_ms: u64,
    /// Why the order was rejected.
    pub rejection: Option<Rejection>,
    /// Why the order is parked.
    pub parked: Option<String>,
    /// Why a person gave up the order; its saga then undoes every step.
    pub given_up: Option<Arc<str>>,
}

impl Rejection {
    /// The cause in one word: the same as the codes of the problem documents.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Rejection::Refused(CommandRefusal::OutOfStock { .. }) => "out_of_stock",
            Rejection::Refused(CommandRefusal::Declined { .. }) => "payment_declined",
            Rejection::Refused(_) | Rejection::GaveUp { .. } => "order_given_up",
            Rejection::TakenBack { .. } => "order_taken_back",
        }
    }

    /// The rejection for a saga's cause; `given_up` is the reason of the person who gave up the order, if one
    /// did.
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
