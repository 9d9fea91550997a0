//! The types of requests and answers as they go over the wire. None of them is a domain type.

use std::collections::HashSet;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::object::Object;
use super::rejection;
use crate::base::money::{Currency, Money};
use crate::http::Problem;
use crate::shop::contract::{CustomerId, OrderId, OrderLine, PaymentId, RequestedItem, Sku};
use crate::shop::inventory::{Article, ArticleUpdate, catalog};
use crate::shop::orders::{NewOrder, SagaOutcome};
use crate::shop::payments::Payment;
use crate::shop::recovery::clock::rfc3339;

const MOST_ITEMS: usize = 50;
const MOST_OF_ONE: i64 = 10_000;
const LONGEST_METHOD: usize = 100;

/// The body of `POST /orders`.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceOrderBody {
    customer_id: String,
    items: Vec<Object<ItemBody>>,
    payment: Object<PaymentBody>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ItemBody {
    sku: String,
    quantity: i64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct PaymentBody {
    method: String,
}

/// The same, checked as far as that needs no service.
pub(super) struct OrderRequest {
    pub(super) customer: CustomerId,
    pub(super) items: Vec<RequestedItem>,
    pub(super) method: String,
}

fn invalid(code: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
}

impl PlaceOrderBody {
    /// SHA-256 of the request as it was understood: white space and the order of keys do not change it.
    pub(super) fn hash(&self) -> [u8; 32] {
        let canonical =
            serde_json::to_vec(self).expect("a request has only string keys and cannot fail to be written");
        Sha256::digest(canonical).into()
    }

    pub(super) fn validated(self) -> Result<OrderRequest, Problem> {
        let customer = CustomerId::try_from(self.customer_id);
        let customer =
            customer.map_err(|error| invalid("invalid_customer_id", format!("customer_id: {error}")))?;
        if !(1..=MOST_ITEMS).contains(&self.items.len()) {
            let detail = format!(
                "items has {} entries; expected 1 to {MOST_ITEMS}",
                self.items.len()
            );
            return Err(invalid("invalid_items", detail));
        }
        let items: Vec<RequestedItem> = self
            .items
            .into_iter()
            .enumerate()
            .map(|(at, item)| item.0.wanted(at))
            .collect::<Result<_, _>>()?;
        let mut seen = HashSet::with_capacity(items.len());
        if let Some(twice) = items.iter().find(|item| !seen.insert(&item.sku)) {
            let detail = format!(
                "items names {:?} twice; add up the quantities",
                twice.sku.as_str()
            );
            return Err(invalid("duplicate_item", detail));
        }
        Ok(OrderRequest {
            customer,
            items,
            method: method(self.payment.0.method)?,
        })
    }
}

impl ItemBody {
    fn wanted(self, at: usize) -> Result<RequestedItem, Problem> {
        let sku = Sku::try_from(self.sku);
        let sku = sku.map_err(|error| invalid("invalid_sku", format!("items[{at}].sku: {error}")))?;
        match u32::try_from(self.quantity) {
            Ok(quantity) if (1..=MOST_OF_ONE).contains(&self.quantity) => Ok(RequestedItem { sku, quantity }),
            Ok(_) | Err(_) => {
                let detail = format!(
                    "items[{at}].quantity is {}; expected 1 to {MOST_OF_ONE}",
                    self.quantity
                );
                Err(invalid("invalid_quantity", detail))
            }
        }
    }
}

fn method(method: String) -> Result<String, Problem> {
    if (1..=LONGEST_METHOD).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(method);
    }
    let detail = format!(
        "payment.method: expected 1 to {LONGEST_METHOD} printable ASCII characters without spaces, as in \"pm_card_visa\""
    );
    Err(invalid("invalid_payment_method", detail))
}

/// The body of `PUT /inventory/{sku}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PutArticleBody {
    name: String,
    unit_price: Object<PriceBody>,
    on_hand: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceBody {
    amount: i64,
    currency: String,
}

impl PutArticleBody {
    pub(super) fn update(self, sku: Sku) -> Result<ArticleUpdate, Problem> {
        let PutArticleBody {
            name,
            unit_price,
            on_hand,
        } = self;
        let unit_price = unit_price.0;
        let currency = Currency::try_from(unit_price.currency)
            .map_err(|error| invalid("invalid_unit_price", format!("unit_price.currency: {error}")))?;
        let amount = u64::try_from(unit_price.amount)
            .map_err(|_| invalid("invalid_unit_price", "unit_price.amount is negative"))?;
        let on_hand =
            u64::try_from(on_hand).map_err(|_| invalid("invalid_on_hand", "on_hand is negative"))?;
        let update = ArticleUpdate {
            sku,
            name,
            unit_price: Money { amount, currency },
            on_hand,
        };
        match catalog::check(&update) {
            Ok(()) => Ok(update),
            Err((key @ "name", reason)) => Err(invalid("invalid_name", format!("{key}: {reason}"))),
            Err((key @ "on_hand", reason)) => Err(invalid("invalid_on_hand", format!("{key}: {reason}"))),
            Err((key, reason)) => Err(invalid("invalid_unit_price", format!("{key}: {reason}"))),
        }
    }
}

/// An order as it is answered.
#[derive(Serialize)]
pub(super) struct OrderDocument<'a> {
    id: OrderId,
    status: &'static str,
    customer_id: &'a str,
    items: Vec<ItemDocument<'a>>,
    total: Money,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection: Option<Value>,
}

#[derive(Serialize)]
struct ItemDocument<'a> {
    sku: &'a str,
    quantity: u32,
    unit_price: Money,
}

impl<'a> OrderDocument<'a> {
    /// The document of an order that ended like that; `None` when it has not ended.
    pub(super) fn new(id: OrderId, placed: &'a NewOrder, end: Option<&SagaOutcome>) -> OrderDocument<'a> {
        let (status, rejection) = match end {
            Some(SagaOutcome::Confirmed) => ("confirmed", None),
            Some(SagaOutcome::Rejected(why)) => ("rejected", Some(rejection::document(why))),
            Some(SagaOutcome::Parked | SagaOutcome::Lost) | None => ("pending", None),
        };
        OrderDocument {
            id,
            status,
            customer_id: placed.customer.as_str(),
            items: placed.lines.iter().map(ItemDocument::new).collect(),
            total: placed.total,
            created_at: rfc3339(id.created_ms()),
            rejection,
        }
    }
}

impl<'a> ItemDocument<'a> {
    fn new(line: &'a OrderLine) -> ItemDocument<'a> {
        ItemDocument {
            sku: line.sku.as_str(),
            quantity: line.quantity,
            unit_price: line.unit_price,
        }
    }
}

/// An article as it is answered.
#[derive(Serialize)]
pub(super) struct ArticleDocument {
    sku: Sku,
    name: String,
    unit_price: Money,
    on_hand: u64,
    reserved: u64,
    available: u64,
}

impl From<Article> for ArticleDocument {
    fn from(article: Article) -> ArticleDocument {
        let available = article.available();
        let Article {
            sku,
            name,
            unit_price,
            on_hand,
            reserved,
        } = article;
        ArticleDocument {
            sku,
            name,
            unit_price,
            on_hand,
            reserved,
            available,
        }
    }
}

/// A payment as it is answered.
#[derive(Serialize)]
pub(super) struct PaymentDocument {
    id: PaymentId,
    order_id: OrderId,
    status: &'static str,
    amount: Money,
    method: String,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_code: Option<String>,
}

impl From<Payment> for PaymentDocument {
    fn from(payment: Payment) -> PaymentDocument {
        PaymentDocument {
            id: payment.id,
            order_id: payment.id.0,
            status: payment.status.word(),
            amount: payment.amount,
            created_at: rfc3339(payment.at_ms),
            decline_code: payment.status.decline_code().map(str::to_owned),
            method: payment.method,
        }
    }
}
