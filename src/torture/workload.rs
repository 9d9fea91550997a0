//! The workload: a function of the seed alone, so that the same seed gives the same orders. Few articles are
//! ordered often (Zipf), some of them are scarce, some cards are declined.

use serde_json::json;

const ARTICLES: u32 = 24;
const PLENTY: u64 = 1_000_000;
/// The unit price of every article, in minor units.
pub(super) const PRICE: u64 = 450;
/// The currency of every price.
pub(super) const CURRENCY: &str = "USD";
const DECLINING: [&str; 3] = [
    "pm_card_chargeDeclined",
    "pm_card_chargeDeclinedInsufficientFunds",
    "pm_card_chargeDeclinedExpiredCard",
];

/// All articles and the orders of all clients.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    seed: u64,
    declines: u8,
    /// The cumulative weights of the articles.
    weights: Vec<f64>,
}

/// One order that a client is to place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlannedOrder {
    /// The `Idempotency-Key`.
    pub(super) key: String,
    /// The customer's id.
    pub(super) customer: String,
    /// SKU and quantity of each line.
    pub(super) items: Vec<(String, u64)>,
    /// Whether the card is declined.
    pub(super) declines: bool,
    /// How it is paid.
    pub(super) method: &'static str,
    /// The body of the request.
    pub(super) body: String,
    /// Whether the request is sent twice at the same time.
    pub(super) sent_twice: bool,
    /// Whether the client closes a connection once before the answer.
    pub(super) hangs_up: bool,
    /// Whether it is placed over gRPC before it is asked for over HTTP.
    pub(super) over_grpc: bool,
}

impl PlannedOrder {
    /// The total in minor units.
    pub(super) fn total(&self) -> u64 {
        self.items.iter().map(|(_, quantity)| quantity * PRICE).sum()
    }
}

impl Workload {
    pub(super) fn new(seed: u64, declines: u8) -> Workload {
        let mut sum = 0.0;
        let weight = |rank: u32| {
            sum += 1.0 / f64::from(rank).powf(1.1);
            sum
        };
        Workload {
            seed,
            declines,
            weights: (1..=ARTICLES).map(weight).collect(),
        }
    }

    /// Every article with its stock at the start: every third article runs out soon.
    pub(super) fn initial_stock(&self) -> impl Iterator<Item = (String, u64)> {
        let mut random = fastrand::Rng::with_seed(self.seed ^ 0x5e1f);
        (0..ARTICLES).map(move |article| {
            let scarce = random.u64(5..200);
            (sku(article), if article % 3 == 1 { scarce } else { PLENTY })
        })
    }

    /// The text of the catalog.
    pub(super) fn catalog(&self) -> String {
        let article = |(sku, on_hand): (String, u64)| {
            let price = format!("{{ amount = {PRICE}, currency = \"{CURRENCY}\" }}");
            format!(
                "[[article]]\nsku = \"{sku}\"\nname = \"{sku}\"\nunit_price = {price}\non_hand = {on_hand}\n"
            )
        };
        self.initial_stock().map(article).collect()
    }

    /// The order of that client with that number.
    pub(super) fn order(&self, client: u16, number: u64) -> PlannedOrder {
        let mix = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (u64::from(client) << 48) ^ number;
        let mut random = fastrand::Rng::with_seed(mix);
        let declines = random.u8(..100) < self.declines;
        let method = if declines {
            DECLINING[random.usize(..DECLINING.len())]
        } else {
            "pm_card_visa"
        };
        let mut items: Vec<(String, u64)> = Vec::new();
        for _ in 0..random.usize(1..=3) {
            let item = (self.article(&mut random), random.u64(1..=3));
            if items.iter().all(|(sku, _)| *sku != item.0) {
                items.push(item);
            }
        }
        let lines: Vec<_> = items
            .iter()
            .map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity }))
            .collect();
        let customer = format!("c-{client}");
        let body = json!({ "customer_id": customer, "items": lines, "payment": { "method": method } });
        PlannedOrder {
            key: format!("torture-{}-{client}-{number}", self.seed),
            customer,
            items,
            declines,
            method,
            body: body.to_string(),
            sent_twice: random.u8(..100) < 5,
            hangs_up: random.u8(..100) < 5,
            over_grpc: random.u8(..100) < 25,
        }
    }

    fn article(&self, random: &mut fastrand::Rng) -> String {
        let all = self.weights.last().copied().unwrap_or_default();
        let point = random.f64() * all;
        let rank = self.weights.partition_point(|&weight| weight < point);
        sku(u32::try_from(rank).unwrap_or(0).min(ARTICLES - 1))
    }
}

fn sku(article: u32) -> String {
    format!("article-{article:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_orders_the_same_and_another_does_not() {
        let (one, other) = (Workload::new(7, 10), Workload::new(8, 10));
        assert_eq!(one.order(3, 14), Workload::new(7, 10).order(3, 14));
        assert_ne!(one.order(3, 14).items, other.order(3, 15).items);
        assert_eq!(one.catalog(), Workload::new(7, 10).catalog());
    }

    #[test]
    fn few_articles_are_wanted_often_and_some_cards_decline() {
        let workload = Workload::new(1, 10);
        let orders: Vec<PlannedOrder> = (0..2_000).map(|number| workload.order(0, number)).collect();
        let wanted = |article| {
            let sku = sku(article);
            orders
                .iter()
                .filter(|planned| planned.items.iter().any(|(wanted, _)| *wanted == sku))
                .count()
        };
        assert!(
            wanted(0) > 4 * wanted(ARTICLES - 1),
            "{} {}",
            wanted(0),
            wanted(ARTICLES - 1)
        );
        let declines = orders.iter().filter(|planned| planned.declines).count();
        assert!((100..400).contains(&declines), "{declines}");
    }
}
