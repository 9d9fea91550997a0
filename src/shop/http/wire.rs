//! The types of requests and answers as they go over the wire. None of them is a domain type.

use std::collections::HashSet;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::object::Object;
use super::rejection;
use crate::base::money::Money;
use crate::http::Problem;
use crate::shop::contract::{CustomerId, OrderId, OrderLine, PaymentId, RequestedItem, Sku};
use crate::shop::inventory::Article;
use crate::shop::orders::{NewOrder, SagaOutcome};
use crate::shop::payments::Payment;
use crate::shop::recovery::clock::rfc3339;

const MOST_ITEMS: usize = 50;
const MOST_OF_ONE: i64 = 10_000;
const LONGEST_METHOD: usize = 100;

/// The body of `POST /orders`.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::shop) struct PlaceOrderBody {
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
    /// What a message says; it is the same request, and so has the same hash.
    pub(in crate::shop) fn new(
        customer_id: String,
        items: impl Iterator<Item = (String, i64)>,
        method: String,
    ) -> PlaceOrderBody {
        let items = items.map(|(sku, quantity)| Object(ItemBody { sku, quantity }));
        PlaceOrderBody {
            customer_id,
            items: items.collect(),
            payment: Object(PaymentBody { method }),
        }
    }

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
    on_sale: bool,
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
            on_sale,
            changed_ms: _,
        } = article;
        ArticleDocument {
            sku,
            name,
            unit_price,
            on_hand,
            reserved,
            available,
            on_sale,
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
