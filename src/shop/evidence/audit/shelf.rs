//! Checks `inventory.db` by itself: the quantities received, on hand, held and sold.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::Findings;
use super::across::RecordedGoods;
use super::goods;
use crate::shop::contract::OrderId;

const HELD: i64 = 10;

/// The sums of the reservations of one article.
#[derive(Clone, Copy, Default)]
struct ReservedSum {
    held: i64,
    committed: i64,
}

/// A row of the stock table.
struct StockRow {
    sku: String,
    on_hand: i64,
    reserved: i64,
    received: i64,
}

impl Findings {
    /// Checks that stock adds up per SKU, that the reserved quantity is the held one, and that held or sold
    /// goods are articles.
    pub(super) fn inventory(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let snapshot = connection.unchecked_transaction()?;
        let mut taken = self.reservations(&snapshot)?;
        let mut shelf = snapshot.prepare("SELECT sku, on_hand, reserved, received FROM stock")?;
        let mut rows = shelf.query([])?;
        while let Some(row) = rows.next()? {
            let stock = StockRow {
                sku: row.get(0)?,
                on_hand: row.get(1)?,
                reserved: row.get(2)?,
                received: row.get(3)?,
            };
            let taken = taken.remove(&stock.sku).unwrap_or_default();
            self.stock(&stock, taken);
        }
        for (sku, ReservedSum { held, committed }) in taken {
            self.report(format!(
                "stock of {sku}: there is no such article, {held} are held and {committed} went out"
            ));
        }
        Ok(())
    }

    fn reservations(&mut self, snapshot: &Connection) -> rusqlite::Result<BTreeMap<String, ReservedSum>> {
        let mut taken: BTreeMap<String, ReservedSum> = BTreeMap::new();
        let mut reserved =
            snapshot.prepare("SELECT order_id, state, items FROM reservations WHERE state IN (10, 20)")?;
        let mut rows = reserved.query([])?;
        while let Some(row) = rows.next()? {
            let (order, state) = (OrderId::from_key(row.get(0)?), row.get(1)?);
            let items = row.get_ref(2)?.as_str()?;
            let lines = goods::unpriced(items);
            let goods = match &lines {
                Some(lines) => {
                    goods::fingerprint(lines.iter().map(|(sku, quantity)| (sku.as_str(), *quantity)))
                }
                None => {
                    self.report(format!(
                        "{order}: the lines of its reservation are {items:?}, expected SKUs and quantities"
                    ));
                    goods::unparsable_fingerprint(items)
                }
            };
            self.records.goods.insert(order, RecordedGoods { state, goods });
            for (sku, quantity) in lines.unwrap_or_default() {
                let taken = taken.entry(sku).or_default();
                let sum = if state == HELD {
                    &mut taken.held
                } else {
                    &mut taken.committed
                };
                *sum = sum.saturating_add(quantity);
            }
        }
        Ok(taken)
    }

    fn stock(&mut self, stock: &StockRow, ReservedSum { held, committed }: ReservedSum) {
        let StockRow {
            sku,
            on_hand,
            reserved,
            received,
        } = stock;
        if *on_hand < 0 || *reserved < 0 || reserved > on_hand {
            self.report(format!("stock of {sku}: {on_hand} on hand, {reserved} reserved"));
        }
        if *received != on_hand.saturating_add(committed) {
            self.report(format!(
                "stock of {sku}: {received} came in, {on_hand} are there and {committed} went out"
            ));
        }
        if *reserved != held {
            self.report(format!(
                "stock of {sku}: {reserved} reserved, {held} held for orders"
            ));
        }
    }
}
