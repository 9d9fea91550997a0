//! What each service wrote down for an order, held against the order itself: goods and money, order by order.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Moment;
use crate::shop::contract::OrderId;

/// More of them would bury the first.
const MOST_TOLD: usize = 100;

const PARKED: i64 = 11;
const CONFIRMED: i64 = 20;
const REJECTED: i64 = 30;
const COMMITTED: i64 = 20;

/// An order, as its own file has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ordered {
    pub(super) status: i64,
    pub(super) total: i64,
    pub(super) goods: u64,
}

/// Goods that are held, or left the shelf, for an order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reserved {
    pub(super) state: i64,
    pub(super) goods: u64,
}

/// What the four files say. The orders are read first: what is decided about an order that has ended was durable before it ended
/// and never changes, so that whatever is read later must agree, at any time.
#[derive(Default)]
pub(super) struct Books {
    pub(super) orders: BTreeMap<OrderId, Ordered>,
    /// Held or committed.
    pub(super) goods: BTreeMap<OrderId, Reserved>,
    /// Succeeded and not given back, by payments.
    pub(super) paid: BTreeMap<OrderId, i64>,
    /// By the provider.
    pub(super) standing: BTreeMap<OrderId, Vec<i64>>,
}

/// The goods of an items column, with prices or without, in one number; the order of the lines does not count.
pub(super) fn fingerprint(items: &str) -> u64 {
    match serde_json::from_str::<Vec<(String, u64, u64)>>(items) {
        Ok(lines) => priced(lines).0,
        // What is neither is like nothing else.
        Err(_) => hash(serde_json::from_str(items).unwrap_or_else(|_| vec![(items.to_owned(), 0)])),
    }
}

/// The same of an order's lines, and what they cost if they have prices.
pub(super) fn fingerprint_and_cost(items: &str) -> (u64, Option<u128>) {
    match serde_json::from_str::<Vec<(String, u64, u64)>>(items) {
        Ok(lines) => {
            let (goods, cost) = priced(lines);
            (goods, Some(cost))
        }
        Err(_) => (fingerprint(items), None),
    }
}

fn priced(lines: Vec<(String, u64, u64)>) -> (u64, u128) {
    let cost = |(_, quantity, price): &(String, u64, u64)| u128::from(*quantity) * u128::from(*price);
    let cost = lines.iter().map(cost).sum();
    let goods = lines.into_iter().map(|(sku, quantity, _)| (sku, quantity));
    (hash(goods.collect()), cost)
}

fn hash(mut lines: Vec<(String, u64)>) -> u64 {
    lines.sort_unstable();
    let mut hasher = DefaultHasher::new();
    lines.hash(&mut hasher);
    hasher.finish()
}

impl Books {
    /// What does not agree. Orders before `horizon` may have been removed since the first file was read, and then from the others,
    /// too; what is there must agree all the same.
    pub(super) fn disagreements(mut self, horizon: OrderId, moment: Moment) -> Vec<String> {
        let mut found = Vec::new();
        for (order, ordered) in std::mem::take(&mut self.orders) {
            let goods = self.goods.remove(&order);
            let paid = self.paid.remove(&order);
            let charges = self.standing.remove(&order).unwrap_or_default();
            let may_be_gone = order < horizon && moment == Moment::Any;
            match ordered.status {
                CONFIRMED if may_be_gone && (goods.is_none() || paid.is_none()) => {}
                CONFIRMED => confirmed(order, ordered, goods, paid, &charges, &mut found),
                REJECTED => rejected(order, goods, paid, &charges, &mut found),
                PARKED if moment == Moment::Rest => parked(order, ordered, goods, paid, &charges, &mut found),
                _ => {}
            }
        }
        if moment == Moment::Rest {
            self.strangers(horizon, &mut found);
        }
        if found.len() > MOST_TOLD {
            let more = found.split_off(MOST_TOLD).len();
            found.push(format!("and {more} more do not agree across the files"));
        }
        found
    }

    /// What is left when every order took its own.
    fn strangers(&self, horizon: OrderId, found: &mut Vec<String>) {
        for (order, reserved) in self.goods.range(horizon..) {
            found.push(format!(
                "goods {} {order}, which there is not",
                if reserved.state == COMMITTED {
                    "left the shelf for"
                } else {
                    "are held for"
                }
            ));
        }
        for (order, amount) in self.paid.range(horizon..) {
            found.push(format!("{amount} are paid for {order}, which there is not"));
        }
        for order in self.standing.range(horizon..).map(|(order, _)| order) {
            found.push(format!("a charge stands for {order}, which there is not"));
        }
    }
}

fn confirmed(
    order: OrderId,
    Ordered { total, goods, .. }: Ordered,
    reserved: Option<Reserved>,
    paid: Option<i64>,
    charges: &[i64],
    found: &mut Vec<String>,
) {
    match reserved {
        Some(reserved) if reserved.state == COMMITTED && reserved.goods == goods => {}
        Some(reserved) if reserved.state == COMMITTED => {
            found.push(format!(
                "{order} is confirmed and other goods left the shelf for it"
            ));
        }
        Some(_) => found.push(format!("{order} is confirmed and its goods are still held")),
        None => found.push(format!("{order} is confirmed and no goods left the shelf for it")),
    }
    if charges != [total] {
        found.push(format!(
            "{order} is confirmed at {total} and its standing charges are {charges:?}"
        ));
    }
    if paid != Some(total) {
        found.push(format!(
            "{order} is confirmed at {total} and payments says {paid:?}"
        ));
    }
}

fn rejected(
    order: OrderId,
    reserved: Option<Reserved>,
    paid: Option<i64>,
    charges: &[i64],
    found: &mut Vec<String>,
) {
    if let Some(reserved) = reserved {
        found.push(format!(
            "{order} is rejected and its goods {}",
            if reserved.state == COMMITTED {
                "left the shelf"
            } else {
                "are held"
            }
        ));
    }
    if !charges.is_empty() || paid.is_some() {
        found.push(format!(
            "{order} is rejected and its standing charges are {charges:?}, by payments {paid:?}"
        ));
    }
}

/// Nothing, or its own goods and its own price.
fn parked(
    order: OrderId,
    ordered: Ordered,
    reserved: Option<Reserved>,
    paid: Option<i64>,
    charges: &[i64],
    found: &mut Vec<String>,
) {
    if reserved.is_some_and(|reserved| reserved.goods != ordered.goods) {
        found.push(format!("{order} is parked and other goods are reserved for it"));
    }
    let total = ordered.total;
    if charges.iter().chain(&paid).any(|amount| *amount != total) {
        found.push(format!(
            "{order} is parked at {total} and its standing charges are {charges:?}, by payments {paid:?}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goods_are_the_same_with_and_without_prices_and_in_any_order() {
        let ordered = fingerprint(r#"[["a",1,450],["b",2,50]]"#);
        assert_eq!(ordered, fingerprint(r#"[["b",2],["a",1]]"#));
        assert_ne!(ordered, fingerprint(r#"[["b",2],["a",2]]"#));
        assert_ne!(fingerprint("nonsense"), fingerprint("[]"));
    }

    fn order(status: i64) -> (Books, OrderId) {
        let (order, goods) = (OrderId::at(1_800_000_000_000, 0), fingerprint(r#"[["a",1]]"#));
        let mut books = Books::default();
        let total = 450;
        books.orders.insert(order, Ordered { status, total, goods });
        books.goods.insert(
            order,
            Reserved {
                state: COMMITTED,
                goods,
            },
        );
        books.paid.insert(order, total);
        books.standing.insert(order, vec![total]);
        (books, order)
    }

    fn told(spoil: impl FnOnce(&mut Books, OrderId), status: i64, moment: Moment) -> String {
        let (mut books, id) = order(status);
        spoil(&mut books, id);
        books.disagreements(OrderId::from_key(0), moment).join("\n")
    }

    #[test]
    fn whatever_a_confirmed_order_lacks_is_told_at_any_moment() {
        for moment in [Moment::Any, Moment::Rest] {
            assert_eq!(told(|_, _| {}, CONFIRMED, moment), "");
            let lacks = [
                told(|books, _| books.goods.clear(), CONFIRMED, moment),
                told(|books, _| books.paid.clear(), CONFIRMED, moment),
                told(|books, _| books.standing.clear(), CONFIRMED, moment),
                told(
                    |books, id| books.goods.get_mut(&id).unwrap().state = 10,
                    CONFIRMED,
                    moment,
                ),
                told(
                    |books, id| books.goods.get_mut(&id).unwrap().goods ^= 1,
                    CONFIRMED,
                    moment,
                ),
            ];
            assert!(
                lacks.iter().all(|told| told.contains("is confirmed")),
                "{lacks:?}"
            );
            assert!(told(|_, _| {}, REJECTED, moment).contains("its goods left the shelf"));
        }
    }

    #[test]
    fn one_parked_order_excuses_what_is_its_own_and_nothing_else() {
        assert_eq!(told(|_, _| {}, PARKED, Moment::Rest), "");
        let other = |books: &mut Books, id: OrderId| {
            let goods = books.goods[&id];
            books.goods.insert(id.next(), goods);
        };
        assert!(told(other, PARKED, Moment::Rest).contains("which there is not"));
        let dearer = |books: &mut Books, id| *books.paid.get_mut(&id).unwrap() += 1;
        assert!(told(dearer, PARKED, Moment::Rest).contains("is parked at 450"));
    }

    #[test]
    fn what_is_older_than_the_horizon_may_be_removed_meanwhile_and_is_looked_at_while_it_is_there() {
        let told = |spoil: fn(&mut Books, OrderId), moment| {
            let (mut books, id) = order(CONFIRMED);
            spoil(&mut books, id);
            books.disagreements(id.next(), moment)
        };
        let gone = |books: &mut Books, _| books.goods.clear();
        assert_eq!(told(gone, Moment::Any), Vec::<String>::new());
        assert_eq!(told(gone, Moment::Rest).len(), 1, "nobody removes anything now");
        for moment in [Moment::Any, Moment::Rest] {
            let dearer = |books: &mut Books, id| books.orders.get_mut(&id).unwrap().total += 777;
            assert!(!told(dearer, moment).is_empty(), "{moment:?}");
        }
    }
}
