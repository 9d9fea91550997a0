//! The bodies of requests about articles, and their checks. None of them is a domain type.

use http::StatusCode;
use serde::{Deserialize, Deserializer};

use super::object::Object;
use crate::base::money::{Currency, Money};
use crate::http::Problem;
use crate::shop::contract::Sku;
use crate::shop::inventory::{AdjustmentRequest, ArticlePatch, ArticleUpdate, catalog};

fn invalid(code: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
}

/// The body of `PUT /inventory/{sku}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PutArticleBody {
    name: String,
    unit_price: Object<PriceBody>,
    on_hand: i64,
    on_sale: Option<bool>,
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
            on_sale,
        } = self;
        let unit_price = unit_price.0;
        let update = ArticleUpdate {
            sku,
            name,
            unit_price: Money {
                amount: amount(unit_price.amount)?,
                currency: currency(unit_price.currency)?,
            },
            on_hand: u64::try_from(on_hand).map_err(|_| invalid("invalid_on_hand", "on_hand is negative"))?,
            on_sale,
        };
        catalog::check(&update).map_err(out_of_bounds)?;
        Ok(update)
    }
}

/// The body of `PATCH /inventory/{sku}`: a merge patch (RFC 7396). A member that is absent stays, and a
/// `null` would remove it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::shop) struct PatchArticleBody {
    #[serde(default, deserialize_with = "present")]
    name: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    unit_price: Option<Option<Object<PatchPriceBody>>>,
    #[serde(default, deserialize_with = "present")]
    on_sale: Option<Option<bool>>,
    #[serde(default, deserialize_with = "present")]
    on_hand: Option<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PatchPriceBody {
    #[serde(default, deserialize_with = "present")]
    amount: Option<Option<i64>>,
    #[serde(default, deserialize_with = "present")]
    currency: Option<Option<String>>,
}

/// A member that is there, `null` included.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The value of a member, which must not be removed.
///
/// # Errors
/// What is wrong, in words.
fn kept<T>(member: Option<Option<T>>, name: &str) -> Result<Option<T>, String> {
    match member {
        None => Ok(None),
        Some(Some(value)) => Ok(Some(value)),
        Some(None) => Err(format!(
            "{name} is null, which would remove it; every article has one"
        )),
    }
}

impl PatchArticleBody {
    /// What a message says: `None` stays. The price is an amount and a currency.
    pub(in crate::shop) fn new(
        name: Option<String>,
        unit_price: Option<(i64, String)>,
        on_sale: Option<bool>,
    ) -> PatchArticleBody {
        let unit_price = unit_price.map(|(amount, currency)| {
            Some(Object(PatchPriceBody {
                amount: Some(Some(amount)),
                currency: Some(Some(currency)),
            }))
        });
        PatchArticleBody {
            name: name.map(Some),
            unit_price,
            on_sale: on_sale.map(Some),
            on_hand: None,
        }
    }

    pub(super) fn patch(self) -> Result<ArticlePatch, Problem> {
        if self.on_hand.is_some() {
            return Err(invalid(
                "invalid_on_hand",
                "a patch changes no count, for orders change it meanwhile; send the difference to \
                 POST /inventory/{sku}/adjustments",
            ));
        }
        let priceless = |detail: String| invalid("invalid_unit_price", detail);
        let price = kept(self.unit_price, "unit_price").map_err(priceless)?;
        let price = price.map(|price| price.0).unwrap_or_default();
        let new_amount = kept(price.amount, "unit_price.amount").map_err(priceless)?;
        let new_currency = kept(price.currency, "unit_price.currency").map_err(priceless)?;
        let patch = ArticlePatch {
            name: kept(self.name, "name").map_err(|detail| invalid("invalid_name", detail))?,
            amount: new_amount.map(amount).transpose()?,
            currency: new_currency.map(currency).transpose()?,
            on_sale: kept(self.on_sale, "on_sale").map_err(|detail| invalid("invalid_on_sale", detail))?,
        };
        let named = patch.name.as_deref().map_or(Ok(()), catalog::check_name);
        let priced = patch.amount.map_or(Ok(()), catalog::check_amount);
        named.and(priced).map_err(out_of_bounds)?;
        Ok(patch)
    }
}

/// The body of `POST /inventory/{sku}/adjustments`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::shop) struct AdjustmentBody {
    delta: i64,
    reason: String,
}

impl AdjustmentBody {
    pub(in crate::shop) fn new(delta: i64, reason: String) -> AdjustmentBody {
        AdjustmentBody { delta, reason }
    }

    pub(super) fn request(self, sku: Sku, key: String) -> Result<AdjustmentRequest, Problem> {
        let request = AdjustmentRequest {
            sku,
            delta: self.delta,
            reason: self.reason,
            key,
        };
        request.check().map_err(out_of_bounds)?;
        Ok(request)
    }
}

fn amount(amount: i64) -> Result<u64, Problem> {
    u64::try_from(amount).map_err(|_| invalid("invalid_unit_price", "unit_price.amount is negative"))
}

fn currency(text: String) -> Result<Currency, Problem> {
    Currency::try_from(text)
        .map_err(|error| invalid("invalid_unit_price", format!("unit_price.currency: {error}")))
}

fn out_of_bounds((key, reason): (&'static str, String)) -> Problem {
    let detail = format!("{key}: {reason}");
    match key {
        "name" => invalid("invalid_name", detail),
        "on_hand" => invalid("invalid_on_hand", detail),
        "delta" => invalid("invalid_delta", detail),
        "reason" => invalid("invalid_reason", detail),
        _ => invalid("invalid_unit_price", detail),
    }
}
