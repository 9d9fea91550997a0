//! How long sagas stood still when their owner died, read from the services' databases: which worker took
//! which saga from which other worker, and when another worker wrote the saga's next step. The bench and the
//! torture measure takeovers by it.
//!
//! A time is taken inside the transaction that writes it, and the transaction commits a little later. The end
//! of the order is written only after every earlier step was on disk, so it bounds the difference.

use std::path::Path;

use super::blocking;
use crate::base::ids::Life;
use crate::shop::contract::{OrderId, StorageError};
use crate::shop::inventory::InventoryReader;
use crate::shop::orders::OrdersReader;
use crate::shop::orders::records::OrderStanding;
use crate::shop::payments::PaymentsReader;

/// One saga that changed hands. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// The order.
    pub order: OrderId,
    /// The life that owned the saga before (`7/0/3`).
    pub from: Life,
    /// The life that claimed the saga.
    pub to: Life,
    /// When the saga was claimed.
    pub claimed_ms: u64,
    /// When another life than `from` wrote the next step; `None` when none has.
    pub next_step_ms: Option<u64>,
    /// When the order ended; `None` while it has not.
    pub ended_ms: Option<u64>,
}

/// Reads every takeover that the databases under `data_dir` still have.
///
/// # Errors
/// [`StorageError`], when a file cannot be read.
pub fn read(data_dir: &Path) -> Result<Vec<Takeover>, StorageError> {
    blocking::run(|| read_all(data_dir))?
}

async fn read_all(data_dir: &Path) -> Result<Vec<Takeover>, StorageError> {
    let orders = OrdersReader::open(data_dir).await?;
    let inventory = InventoryReader::open(data_dir).await?;
    let payments = PaymentsReader::open(data_dir).await?;
    let mut takeovers = Vec::new();
    for (order, claim) in orders.takeovers().await? {
        let end = orders.standing(order).await?.filter(has_ended);
        let mut steps = steps_of_the_participants(order, &inventory, &payments).await?;
        steps.extend(end.as_ref().map(|end| (end.owner, end.changed_ms)));
        let after = |(by, at_ms): &(Life, u64)| *by != claim.from && *at_ms >= claim.at_ms;
        takeovers.push(Takeover {
            order,
            from: claim.from,
            to: claim.to,
            claimed_ms: claim.at_ms,
            next_step_ms: steps.into_iter().filter(after).map(|(_, at_ms)| at_ms).min(),
            ended_ms: end.map(|end| end.changed_ms),
        });
    }
    Ok(takeovers)
}

fn has_ended(standing: &OrderStanding) -> bool {
    standing.status.is_ended()
}

/// Which life wrote a step of the order in inventory or payments, and when.
async fn steps_of_the_participants(
    order: OrderId,
    inventory: &InventoryReader,
    payments: &PaymentsReader,
) -> Result<Vec<(Life, u64)>, StorageError> {
    let mut steps = Vec::new();
    if let Some(reservation) = inventory.reservation(order).await? {
        steps.push((reservation.reserved_by, reservation.reserved_ms));
        if reservation.has_ended() {
            steps.push((reservation.changed_by, reservation.changed_ms));
        }
    }
    if let Some(payment) = payments.payment(order).await? {
        steps.push((payment.by, payment.at_ms));
    }
    Ok(steps)
}
