//! The history of one order, read from the four databases without trust in any service: what happened, when,
//! on which worker, under which key, and what comes `next`. Opens the databases read-only and relies on
//! their documented formats alone, so it works beside a running cluster or without one.

mod lines;
mod next;

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::blocking;
use crate::shop::contract::{InvalidId, OrderId, StorageError};
use crate::shop::inventory::InventoryReader;
use crate::shop::inventory::records::ReservationRecord;
use crate::shop::orders::OrdersReader;
use crate::shop::orders::records::OrderDetails;
use crate::shop::payments::PaymentsReader;
use crate::shop::payments::records::PaymentRecord;
use crate::shop::sandbox::LedgerReader;
use crate::shop::sandbox::reader::LedgerAttempt;
pub use next::NextStep;

/// Everything that is on disk about one order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderReport {
    /// The id of the order, such as `ord_06zjyr067xa7p`.
    pub id: String,
    /// The records, ordered by time.
    pub lines: Vec<ReportLine>,
    /// What comes next, and when.
    pub next: NextStep,
}

/// One record on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportLine {
    /// The time of the record, as in `2026-11-22T16:02:36.123Z`.
    pub at: String,
    /// The database that has the record: `orders`, `inventory`, `payments` or `provider`.
    pub book: &'static str,
    /// The record as text.
    pub says: String,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum OrderReportError {
    /// The text is not the id of an order.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A file could not be read.
    #[error("failed to read what is on disk about an order: {0}")]
    Storage(#[from] StorageError),
}

/// Reads the report from the databases under `data_dir`.
///
/// # Errors
/// [`OrderReportError`]. The report of an order that does not exist has no lines.
pub fn read(data_dir: &Path, id: &str) -> Result<OrderReport, OrderReportError> {
    let order: OrderId = id.parse()?;
    let evidence = blocking::run(|| OrderEvidence::read(data_dir, order))??;
    Ok(OrderReport {
        id: id.to_owned(),
        lines: lines::all(order, &evidence),
        next: next::of(&evidence),
    })
}

/// What the four databases have about one order.
struct OrderEvidence {
    order: Option<OrderDetails>,
    /// Whether the order's owner is fenced off.
    is_owner_fenced: bool,
    reservation: Option<ReservationRecord>,
    payment: Option<PaymentRecord>,
    ledger: Vec<LedgerAttempt>,
}

impl OrderEvidence {
    async fn read(data_dir: &Path, order: OrderId) -> Result<OrderEvidence, StorageError> {
        let orders = OrdersReader::open(data_dir).await?;
        let records = orders.records(order).await?;
        let is_owner_fenced = match &records {
            Some(records) => orders.is_fenced(records.standing.owner).await?,
            None => false,
        };
        Ok(OrderEvidence {
            order: records,
            is_owner_fenced,
            reservation: InventoryReader::open(data_dir).await?.reservation(order).await?,
            payment: PaymentsReader::open(data_dir).await?.payment(order).await?,
            ledger: LedgerReader::open(data_dir).await?.attempts(order).await?,
        })
    }
}

impl fmt::Display for OrderReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.id)?;
        for ReportLine { at, book, says } in &self.lines {
            writeln!(f, "  {at:27}  {book:9}  {says}")?;
        }
        let at = self.next.at.as_deref().unwrap_or("next");
        write!(f, "  {at:27}  next       {}", self.next.says)
    }
}
