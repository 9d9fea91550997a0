//! One order: what the shop asks and calls for it (`src/shop/*/postgres`), the last two calls at the same
//! time.

use std::time::{SystemTime, UNIX_EPOCH};

use cluster::shop::contract::OrderId;

use super::writer::Values;
use super::{Services, told};
use crate::stores::{SKUS, sku};

/// The prices of articles.
pub(super) const PRICES: &str = "SELECT sku, amount, currency, on_sale FROM stock WHERE sku = ANY ($1)";
/// Whether a life may still charge for an order.
pub(super) const IS_FENCED: &str = "SELECT is_fenced_1($1, $2, $3)
    OR EXISTS (SELECT 1 FROM payments WHERE order_id = $4 AND claim_no > $5)";

const PLACE: usize = 0;
const END: usize = 1;
const RESERVE: usize = 0;
const COMMIT: usize = 1;

/// The calls that a service is asked for.
pub(super) struct Calls {
    /// By the place in this list.
    pub(super) statements: &'static [&'static str],
    /// Whether some lock rows before anything is done.
    pub(super) locks: bool,
}

/// Those of that service.
pub(super) fn calls_of(service: &str) -> Calls {
    let statements: &[&str] = match service {
        "orders" => &[
            "SELECT placed, known, is_same FROM place_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
                $13, $14, $15)",
            "SELECT end_order_1($1, $2, $3, $4, $5)",
        ],
        "inventory" => &[
            "SELECT is_new, noted, state, reason FROM reserve_1($1, $2, $3, $4, $5, $6, $7)",
            "SELECT is_new, noted, state, reason FROM commit_1($1, $2, $3, $4)",
        ],
        "payments" => &[
            "SELECT noted, order_id, state, receipt, code, message, claim_no FROM
            (SELECT r.noted, (r.payment).* FROM record_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS r)
            AS recorded",
        ],
        _ => &[
            "SELECT added, kind, outcome, code, order_id, amount, currency, method, refund_of
            FROM (SELECT a.added, (a.entry).* FROM add_1($1, $2, $3, $4, $5, $6, $7, $8, $9) AS a) AS added",
        ],
    };
    Calls {
        statements,
        locks: service == "inventory",
    }
}

/// The parameters of a call, in order.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        { let values: Values = vec![$(Box::new($value)),*]; values }
    };
}

/// An order that is under way.
struct Wanted {
    key: i64,
    text: String,
    life: String,
    skus: Vec<String>,
    pieces: Vec<i64>,
    amount: i64,
}

impl Wanted {
    /// One or two articles, as `benches/wrk/orders.lua` orders them.
    fn new(slot: i32) -> Wanted {
        let id = OrderId::at(now().unsigned_abs(), fastrand::u64(..));
        let (skus, pieces) = if fastrand::u8(..4) == 0 {
            let first = fastrand::u32(..SKUS - 1);
            (vec![sku(first), sku(first + 1)], vec![1, fastrand::i64(1..=3)])
        } else {
            (vec![sku(fastrand::u32(..SKUS))], vec![fastrand::i64(1..=3)])
        };
        Wanted {
            key: id.key(),
            text: id.to_string(),
            life: format!("7/{slot}/1"),
            amount: 450 * pieces.iter().sum::<i64>(),
            skus,
            pieces,
        }
    }

    /// With a third element for each line where there is a price.
    fn items(&self, price: &str) -> String {
        let lines = self.skus.iter().zip(&self.pieces);
        let lines: Vec<String> = lines
            .map(|(sku, pieces)| format!("[\"{sku}\",{pieces}{price}]"))
            .collect();
        format!("[{}]", lines.join(","))
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Services {
    pub(super) async fn place(&self) -> Result<(), String> {
        let mut order = Wanted::new(self.slot);
        let prices = self
            .prices
            .client
            .query(&self.prices.statement, &[&order.skus])
            .await;
        let found = prices.map_err(told)?.len();
        expect(found, order.skus.len(), "prices")?;
        order.key = self.accept(&order).await?;
        self.reserve(&order).await?;
        self.charge(&order).await?;
        tokio::try_join!(self.commit(&order), self.end(&order))?;
        Ok(())
    }

    async fn accept(&self, order: &Wanted) -> Result<i64, String> {
        let none = || None::<String>;
        let values = values![
            order.key,
            order.life.clone(),
            format!("c-{}", fastrand::u32(1..=10_000)),
            order.items(",450"),
            order.amount,
            "USD",
            "pm_card_visa",
            1_i32,
            now(),
            // The request's id has this length.
            Some(format!("{:032x}", fastrand::u128(..))),
            none(),
            none(),
            None::<Vec<u8>>,
            None::<i64>,
            None::<i64>,
        ];
        let row = self.orders.call(PLACE, values, Vec::new()).await?;
        row.try_get(0).map_err(told)
    }

    async fn reserve(&self, order: &Wanted) -> Result<(), String> {
        let locks = order.skus.iter().map(|sku| format!("sku:{sku}")).collect();
        let values = values![
            order.key,
            1_i32,
            order.life.clone(),
            order.items(""),
            order.skus.clone(),
            order.pieces.clone(),
            now(),
        ];
        let row = self.inventory.call(RESERVE, values, locks).await?;
        expect(
            row.try_get(2).map_err(told)?,
            10_i16,
            "the state of a reservation",
        )
    }

    async fn charge(&self, order: &Wanted) -> Result<(), String> {
        let asked = self
            .fences
            .client
            .query_one(
                &self.fences.statement,
                &[&7_i64, &self.slot, &1_i64, &order.key, &1_i32],
            )
            .await;
        let is_fenced: bool = asked.map_err(told)?.try_get(0).map_err(told)?;
        expect(is_fenced, false, "whether this life is fenced off")?;
        let provider_key = format!("{}/1", order.text);
        let receipt = format!("ch_{provider_key}");
        let values = values![
            provider_key,
            "charge",
            "succeeded",
            None::<String>,
            Some(order.text.clone()),
            Some(order.amount),
            Some("USD"),
            Some("pm_card_visa"),
            "2026-11-22T16:02:32.123456789Z",
        ];
        let row = self.sandbox.call(0, values, Vec::new()).await?;
        expect(row.try_get(0).map_err(told)?, true, "whether a charge was added")?;
        let values = values![
            order.key,
            1_i32,
            10_i16,
            order.amount,
            "USD",
            "pm_card_visa",
            Some(receipt),
            None::<String>,
            None::<String>,
            now(),
            order.life.clone(),
        ];
        let row = self.payments.call(0, values, Vec::new()).await?;
        expect(row.try_get(0).map_err(told)?, true, "whether a payment was noted")
    }

    async fn commit(&self, order: &Wanted) -> Result<(), String> {
        let locks = vec![format!("order:{}", order.key)];
        let values = values![order.key, 1_i32, order.life.clone(), now()];
        let row = self.inventory.call(COMMIT, values, locks).await?;
        expect(
            row.try_get(2).map_err(told)?,
            20_i16,
            "the state of a reservation",
        )
    }

    async fn end(&self, order: &Wanted) -> Result<(), String> {
        let values = values![order.key, 1_i32, 20_i16, None::<String>, now()];
        let row = self.orders.call(END, values, Vec::new()).await?;
        expect(
            row.try_get(0).map_err(told)?,
            0_i32,
            "whether an order's end stands",
        )
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(found: T, expected: T, what: &str) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: found {found:?}, expected {expected:?}")),
    }
}
