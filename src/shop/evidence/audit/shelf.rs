//! Checks `inventory.db` by itself: the quantities received, adjusted, on hand, held and sold.

use std::collections::BTreeMap;

use super::Findings;
use super::across::RecordedGoods;
use super::goods;
use crate::shop::contract::StorageError;
use crate::shop::inventory::records::{AuditedReservation, ShelfRecord, StockRecord};
use crate::shop::inventory::{InventoryReader, ReservationState};

/// The sums of the reservations of one article.
#[derive(Clone, Copy, Default)]
struct ReservedSum {
    held: i64,
    committed: i64,
}

/// The sums by SKU.
type ReservedSums = BTreeMap<String, ReservedSum>;

impl Findings {
    /// Checks that stock adds up per SKU, that the reserved quantity is the held one, and that held or sold
    /// goods are articles.
    pub(super) async fn inventory(&mut self, inventory: &InventoryReader) -> Result<(), StorageError> {
        let mut taken = ReservedSums::new();
        let stock = inventory.audit(|reservation| self.reservation(&reservation, &mut taken));
        for stock in stock.await? {
            match &stock.shelf {
                Some(shelf) => self.stock(&stock, shelf, taken.remove(&stock.sku).unwrap_or_default()),
                None => self.report(format!(
                    "stock of {}: there is no such article, its adjustments make {}",
                    stock.sku, stock.adjustments
                )),
            }
        }
        for (sku, ReservedSum { held, committed }) in taken {
            self.report(format!(
                "stock of {sku}: there is no such article, {held} are held and {committed} went out"
            ));
        }
        Ok(())
    }

    fn reservation(&mut self, reservation: &AuditedReservation<'_>, taken: &mut ReservedSums) {
        let AuditedReservation { order, state, items } = *reservation;
        if !matches!(state, ReservationState::Held | ReservationState::Committed) {
            return;
        }
        let lines = goods::unpriced(items);
        let goods = match &lines {
            Some(lines) => goods::fingerprint(lines.iter().map(|(sku, quantity)| (sku.as_str(), *quantity))),
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
            let sum = match state {
                ReservationState::Held => &mut taken.held,
                _ => &mut taken.committed,
            };
            *sum = sum.saturating_add(quantity);
        }
    }

    fn stock(
        &mut self,
        StockRecord { sku, adjustments, .. }: &StockRecord,
        shelf: &ShelfRecord,
        ReservedSum { held, committed }: ReservedSum,
    ) {
        let ShelfRecord {
            on_hand,
            reserved,
            received,
            adjusted,
        } = shelf;
        if *on_hand < 0 || *reserved < 0 || reserved > on_hand {
            self.report(format!("stock of {sku}: {on_hand} on hand, {reserved} reserved"));
        }
        if *received != on_hand.saturating_add(committed) {
            self.report(format!(
                "stock of {sku}: {received} came in, {on_hand} are there and {committed} went out"
            ));
        }
        if adjusted != adjustments {
            self.report(format!(
                "stock of {sku}: adjusted by {adjusted}, and its adjustments make {adjustments}"
            ));
        }
        if *reserved != held {
            self.report(format!(
                "stock of {sku}: {reserved} reserved, {held} held for orders"
            ));
        }
    }
}
