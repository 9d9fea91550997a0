//! Compares what each service recorded for an order with the order itself: goods and money, order by order.

use std::collections::BTreeMap;

use super::terms::Terms;
use super::{MAX_PER_KIND, Moment};
use crate::shop::contract::OrderId;
use crate::shop::inventory::ReservationState;
use crate::shop::orders::OrderStatus;

/// An order in `orders.db`.
#[derive(Clone)]
pub(super) struct RecordedOrder {
    pub(super) status: OrderStatus,
    pub(super) terms: Terms,
    pub(super) goods: u64,
}

/// Goods that are held for an order, or were sold with it.
#[derive(Clone, Copy)]
pub(super) struct RecordedGoods {
    pub(super) state: ReservationState,
    pub(super) goods: u64,
}

/// A payment in `payments.db`, however it ended.
#[derive(Clone)]
pub(super) struct RecordedPayment {
    pub(super) terms: Terms,
    /// The money was taken and not refunded.
    pub(super) stands: bool,
    /// The provider's name of the charge.
    pub(super) receipt: Option<Box<str>>,
}

/// A charge in the provider's ledger that was not refunded.
#[derive(Clone)]
pub(super) struct StandingCharge {
    pub(super) terms: Terms,
    /// The provider's name of the charge.
    pub(super) receipt: Box<str>,
}

/// The records of the four databases. The orders are read first. All decisions about an order were durable
/// before the order ended and never change, so what is read later must agree with an ended order at any time.
/// The goods and the cost of an order never change at all.
#[derive(Default)]
pub(super) struct Records {
    pub(super) orders: BTreeMap<OrderId, RecordedOrder>,
    /// Goods that are held or committed.
    pub(super) goods: BTreeMap<OrderId, RecordedGoods>,
    pub(super) booked: BTreeMap<OrderId, RecordedPayment>,
    pub(super) standing: BTreeMap<OrderId, Vec<StandingCharge>>,
}

impl Records {
    /// The disagreements as text. Orders before `horizon` may have been removed from every file since the
    /// first file was read; records that exist must agree nevertheless.
    pub(super) fn disagreements(mut self, horizon: OrderId, moment: Moment) -> Vec<String> {
        let mut found = Vec::new();
        for (order, ordered) in std::mem::take(&mut self.orders) {
            let records = OrderRecords {
                order,
                ordered,
                reserved: self.goods.remove(&order),
                booked: self.booked.remove(&order),
                charges: self.standing.remove(&order).unwrap_or_default(),
            };
            records.check_goods_and_terms(&mut found);
            let may_be_gone = order < horizon && moment == Moment::Any;
            match records.ordered.status {
                OrderStatus::Confirmed
                    if may_be_gone && (records.reserved.is_none() || records.booked.is_none()) => {}
                OrderStatus::Confirmed => records.check_confirmed(&mut found),
                OrderStatus::Rejected => records.check_rejected(&mut found),
                OrderStatus::Parked if moment == Moment::Rest => records.check_receipt(&mut found),
                OrderStatus::Parked | OrderStatus::Pending => {}
            }
        }
        if moment == Moment::Rest {
            self.unclaimed(horizon, &mut found);
        }
        if found.len() > MAX_PER_KIND {
            let more = found.split_off(MAX_PER_KIND).len();
            found.push(format!("and {more} more do not agree across the files"));
        }
        found
    }

    /// The records that belong to no order.
    fn unclaimed(&self, horizon: OrderId, found: &mut Vec<String>) {
        for (order, reserved) in self.goods.range(horizon..) {
            let how = reserved.words();
            found.push(format!("goods {how} for {order}, which there is not"));
        }
        for (order, booked) in self.booked.range(horizon..) {
            let terms = &booked.terms;
            found.push(if booked.stands {
                format!("{terms} are paid for {order}, which there is not")
            } else {
                format!(
                    "payments has a payment of {terms} that does not stand for {order}, which there is not"
                )
            });
        }
        for order in self.standing.range(horizon..).map(|(order, _)| order) {
            found.push(format!("a charge stands for {order}, which there is not"));
        }
    }
}

impl RecordedGoods {
    fn words(self) -> &'static str {
        if self.state == ReservationState::Committed {
            "left the shelf"
        } else {
            "are held"
        }
    }
}

impl RecordedOrder {
    fn words(&self) -> &'static str {
        match self.status {
            OrderStatus::Pending => "under way",
            OrderStatus::Parked | OrderStatus::Confirmed | OrderStatus::Rejected => self.status.word(),
        }
    }
}

/// One order with the records of the other databases for it.
struct OrderRecords {
    order: OrderId,
    ordered: RecordedOrder,
    reserved: Option<RecordedGoods>,
    booked: Option<RecordedPayment>,
    charges: Vec<StandingCharge>,
}

impl OrderRecords {
    /// Checks that all records have the order's goods and price, however far the order has come.
    fn check_goods_and_terms(&self, found: &mut Vec<String>) {
        let OrderRecords { order, ordered, .. } = self;
        let (status, terms) = (ordered.words(), &ordered.terms);
        if let Some(reserved) = self.reserved.filter(|reserved| reserved.goods != ordered.goods) {
            let how = reserved.words();
            found.push(format!("{order} is {status} and other goods {how} for it"));
        }
        if let Some(booked) = self.booked.as_ref().filter(|booked| booked.terms != *terms) {
            let says = &booked.terms;
            found.push(format!("{order} is {status} at {terms} and payments says {says}"));
        }
        if self.charges.iter().any(|charge| charge.terms != *terms) {
            let charges = self.standing();
            found.push(format!(
                "{order} is {status} at {terms} and its standing charges are {charges}"
            ));
        }
    }

    fn check_confirmed(&self, found: &mut Vec<String>) {
        let OrderRecords { order, ordered, .. } = self;
        match self.reserved {
            Some(reserved) if reserved.state == ReservationState::Committed => {}
            Some(_) => found.push(format!("{order} is confirmed and its goods are still held")),
            None => found.push(format!("{order} is confirmed and no goods left the shelf for it")),
        }
        let terms = &ordered.terms;
        if self.charges.len() != 1 {
            let charges = self.standing();
            found.push(format!(
                "{order} is confirmed at {terms} and its standing charges are {charges}"
            ));
        }
        if !self.is_paid() {
            let says = match &self.booked {
                Some(_) => "that it is not paid",
                None => "nothing of it",
            };
            found.push(format!(
                "{order} is confirmed at {terms} and payments says {says}"
            ));
        }
        self.check_receipt(found);
    }

    fn check_rejected(&self, found: &mut Vec<String>) {
        let order = self.order;
        if let Some(reserved) = self.reserved {
            let how = reserved.words();
            found.push(format!("{order} is rejected and its goods {how}"));
        }
        if !self.charges.is_empty() || self.is_paid() {
            let paid = if self.is_paid() { "" } else { "not " };
            found.push(format!(
                "{order} is rejected and its standing charges are {}, by payments it is {paid}paid",
                self.standing()
            ));
        }
    }

    fn check_receipt(&self, found: &mut Vec<String>) {
        let Some(booked) = self.booked.as_ref().filter(|booked| booked.stands) else {
            return;
        };
        let is_it = |charge: &StandingCharge| Some(&charge.receipt) == booked.receipt.as_ref();
        if !self.charges.is_empty() && !self.charges.iter().any(is_it) {
            let known: Vec<_> = self.charges.iter().map(|charge| &charge.receipt).collect();
            found.push(format!(
                "{}: payments has the receipt {:?}, and the provider's name of its charge is {known:?}",
                self.order,
                booked.receipt.as_deref().unwrap_or_default(),
            ));
        }
    }

    fn is_paid(&self) -> bool {
        self.booked.as_ref().is_some_and(|booked| booked.stands)
    }

    fn standing(&self) -> String {
        let charges: Vec<String> = self
            .charges
            .iter()
            .map(|charge| charge.terms.to_string())
            .collect();
        format!("[{}]", charges.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::evidence::audit::terms::TermsCache;

    type ChangeRecords = fn(&mut Records, OrderId);

    fn terms(amount: i64, currency: &str) -> Terms {
        TermsCache::default().of(amount, currency, "pm_card_visa")
    }

    fn order(status: OrderStatus) -> (Records, OrderId) {
        let (order, goods) = (OrderId::at(1_800_000_000_000, 0), 7);
        let (mut records, terms) = (Records::default(), terms(450, "USD"));
        let ordered = RecordedOrder {
            status,
            terms: terms.clone(),
            goods,
        };
        let state = ReservationState::Committed;
        let receipt: Box<str> = "ch_1".into();
        let booked = RecordedPayment {
            terms: terms.clone(),
            stands: true,
            receipt: Some(receipt.clone()),
        };
        records.orders.insert(order, ordered);
        records.goods.insert(order, RecordedGoods { state, goods });
        records.booked.insert(order, booked);
        records
            .standing
            .insert(order, vec![StandingCharge { terms, receipt }]);
        (records, order)
    }

    fn told(spoil: impl FnOnce(&mut Records, OrderId), status: OrderStatus, moment: Moment) -> String {
        let (mut records, id) = order(status);
        spoil(&mut records, id);
        records.disagreements(OrderId::from_key(0), moment).join("\n")
    }

    fn booked(records: &mut Records, id: OrderId) -> &mut RecordedPayment {
        records.booked.get_mut(&id).unwrap()
    }

    #[test]
    fn anything_a_confirmed_order_lacks_is_reported_at_any_moment() {
        for moment in [Moment::Any, Moment::Rest] {
            assert_eq!(told(|_, _| {}, OrderStatus::Confirmed, moment), "");
            let lacks: [(&str, ChangeRecords); 6] = [
                ("no goods left", |records, _| records.goods.clear()),
                ("payments says nothing", |records, _| records.booked.clear()),
                ("charges are []", |records, _| records.standing.clear()),
                ("are still held", |records, id| {
                    records.goods.get_mut(&id).unwrap().state = ReservationState::Held;
                }),
                ("other goods left", |records, id| {
                    records.goods.get_mut(&id).unwrap().goods ^= 1;
                }),
                ("that it is not paid", |records, id| {
                    booked(records, id).stands = false;
                }),
            ];
            for (words, spoil) in lacks {
                let told = told(spoil, OrderStatus::Confirmed, moment);
                assert!(told.contains("is confirmed") && told.contains(words), "{told}");
            }
            assert!(told(|_, _| {}, OrderStatus::Rejected, moment).contains("its goods left the shelf"));
        }
    }

    #[test]
    fn the_terms_of_an_order_are_the_same_in_every_database_at_any_moment() {
        let dearer: [ChangeRecords; 4] = [
            |records, id| records.orders.get_mut(&id).unwrap().terms = terms(450, "EUR"),
            |records, id| booked(records, id).terms = terms(450, "EUR"),
            |records, id| records.standing.get_mut(&id).unwrap()[0].terms = terms(450, "EUR"),
            |records, id| booked(records, id).terms = terms(451, "USD"),
        ];
        for (status, word) in [
            (OrderStatus::Pending, "under way"),
            (OrderStatus::Parked, "parked"),
            (OrderStatus::Confirmed, "confirmed"),
        ] {
            assert_eq!(told(|_, _| {}, status, Moment::Any), "");
            for spoil in dearer {
                let told = told(spoil, status, Moment::Any);
                assert!(told.contains(&format!("is {word} at 450 ")), "{told}");
            }
        }
    }

    #[test]
    fn a_receipt_is_the_providers_name_of_the_charge() {
        let other = |records: &mut Records, id| booked(records, id).receipt = Some("ch_x".into());
        let told = |status, moment| told(other, status, moment);
        assert!(told(OrderStatus::Confirmed, Moment::Any).contains("the receipt \"ch_x\""));
        assert!(told(OrderStatus::Parked, Moment::Rest).contains("the receipt \"ch_x\""));
        assert_eq!(
            told(OrderStatus::Pending, Moment::Any),
            "",
            "it may be given back meanwhile"
        );
    }

    #[test]
    fn a_parked_order_excuses_its_own_records_and_no_others() {
        assert_eq!(told(|_, _| {}, OrderStatus::Parked, Moment::Rest), "");
        let other = |records: &mut Records, id: OrderId| {
            let goods = records.goods[&id];
            records.goods.insert(id.next(), goods);
        };
        assert!(told(other, OrderStatus::Parked, Moment::Rest).contains("which there is not"));
    }

    #[test]
    fn records_before_the_horizon_may_be_missing_and_are_checked_when_present() {
        let told = |spoil: ChangeRecords, moment| {
            let (mut records, id) = order(OrderStatus::Confirmed);
            spoil(&mut records, id);
            records.disagreements(id.next(), moment)
        };
        let gone = |records: &mut Records, _| records.goods.clear();
        assert_eq!(told(gone, Moment::Any), Vec::<String>::new());
        assert_eq!(told(gone, Moment::Rest).len(), 1, "nobody removes anything now");
        for moment in [Moment::Any, Moment::Rest] {
            let dearer = |records: &mut Records, id| records.orders.get_mut(&id).unwrap().terms.amount += 777;
            assert!(!told(dearer, moment).is_empty(), "{moment:?}");
        }
    }
}
