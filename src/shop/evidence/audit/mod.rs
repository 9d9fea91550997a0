//! The invariants of the shop, checked in its four databases without trust in any service. Tests, torture and
//! doctor share this audit. It opens the databases read-only and relies on their documented formats alone.

mod across;
mod goods;
mod records;
mod shelf;
mod terms;
#[cfg(test)]
mod tests;

use std::path::Path;

use self::across::{RecordedPayment, Records, StandingCharge};
use self::terms::TermsCache;
use super::blocking;
use crate::shop::contract::{OrderId, StorageError};
use crate::shop::inventory::{self, InventoryReader};
use crate::shop::orders::{self, OrdersReader};
use crate::shop::payments::{self, PaymentsReader};
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::shop::sandbox;
use crate::shop::sandbox::LedgerReader;
use crate::shop::sandbox::reader::AuditedCharge;

/// How many violations of one kind are reported; more would hide the other kinds.
const MAX_PER_KIND: usize = 100;

/// The state of the cluster while the audit reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing is under way: all files must agree exactly.
    Rest,
    /// Orders are being placed: each file is checked by itself, and the files must agree about orders that
    /// have ended.
    Any,
}

/// The result of an audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Each broken invariant as text.
    pub violations: Vec<String>,
    /// Number of confirmed orders.
    pub confirmed: usize,
    /// Number of rejected orders.
    pub rejected: usize,
    /// Number of orders whose saga is under way.
    pub pending: usize,
    /// Number of parked orders.
    pub parked: usize,
}

/// Why the audit could not be done.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {file} for the audit: {reason}")]
pub struct AuditError {
    file: &'static str,
    #[source]
    reason: StorageError,
}

/// Checks the databases under `data_dir`. Reads each from beginning to end, once.
///
/// # Errors
/// [`AuditError`] when a file cannot be read.
pub fn check_invariants(data_dir: &Path, moment: Moment) -> Result<Audit, AuditError> {
    let checked = blocking::run(|| check(data_dir, moment));
    checked.unwrap_or_else(|reason| {
        Err(AuditError {
            file: orders::FILE,
            reason,
        })
    })
}

/// As [`check_invariants`], inside a runtime.
///
/// # Errors
/// As [`check_invariants`].
pub(in crate::shop) async fn check(data_dir: &Path, moment: Moment) -> Result<Audit, AuditError> {
    let files = Files::open(data_dir).await?;
    let mut findings = Findings::default();
    findings.structure(&files).await?;
    let is_whole = findings.audit.violations.is_empty();
    match findings.read_all(data_dir, &files).await {
        Ok(()) => findings.across_the_files(moment),
        Err(error) if is_whole => return Err(error),
        // The read failed because of a violation that was reported.
        Err(error) => findings.report(format!("{error}; nothing else could be looked at")),
    }
    Ok(findings.audit)
}

/// The four databases.
struct Files {
    orders: OrdersReader,
    inventory: InventoryReader,
    payments: PaymentsReader,
    ledger: LedgerReader,
}

impl Files {
    async fn open(data_dir: &Path) -> Result<Files, AuditError> {
        let of = |file| move |reason| AuditError { file, reason };
        Ok(Files {
            orders: OrdersReader::open(data_dir).await.map_err(of(orders::FILE))?,
            inventory: InventoryReader::open(data_dir)
                .await
                .map_err(of(inventory::FILE))?,
            payments: PaymentsReader::open(data_dir).await.map_err(of(payments::FILE))?,
            ledger: LedgerReader::open(data_dir).await.map_err(of(sandbox::FILE))?,
        })
    }
}

#[derive(Default)]
struct Findings {
    audit: Audit,
    records: Records,
    terms_cache: TermsCache,
    /// Orders before this one may have been removed from one file and not yet from another.
    horizon: OrderId,
}

impl Findings {
    async fn read_all(&mut self, data_dir: &Path, files: &Files) -> Result<(), AuditError> {
        let of = |file| move |reason| AuditError { file, reason };
        // Orders are read first and the horizon last: an order that has ended now is in the other files when
        // they are read, unless it lies before the horizon.
        self.orders(&files.orders).await.map_err(of(orders::FILE))?;
        let inventory = self.inventory(&files.inventory).await;
        inventory.map_err(of(inventory::FILE))?;
        self.payments(&files.payments).await.map_err(of(payments::FILE))?;
        self.ledger(&files.ledger).await.map_err(of(sandbox::FILE))?;
        let range = files.orders.retention_range().await.map_err(of(orders::FILE))?;
        self.horizon(range, SteadyClock::open(data_dir).now_ms());
        self.claims(files).await.map_err(of(orders::FILE))
    }

    fn report(&mut self, what: String) {
        self.audit.violations.push(what);
    }

    /// Adds violations of one kind, at most [`MAX_PER_KIND`], and the number of those that were left out.
    fn report_capped(&mut self, mut found: Vec<String>, kind: &str) {
        if found.len() > MAX_PER_KIND {
            let more = found.split_off(MAX_PER_KIND).len();
            found.push(format!("and {more} more {kind}"));
        }
        self.audit.violations.append(&mut found);
    }

    /// Checks that everything which the migrations made exists. Nothing else notices a lost index or trigger.
    async fn structure(&mut self, files: &Files) -> Result<(), AuditError> {
        let missing = [
            (orders::FILE, files.orders.missing_objects().await),
            (inventory::FILE, files.inventory.missing_objects().await),
            (payments::FILE, files.payments.missing_objects().await),
            (sandbox::FILE, files.ledger.missing_objects().await),
        ];
        for (file, missing) in missing {
            for missing in missing.map_err(|reason| AuditError { file, reason })? {
                self.report(format!("{file} lacks {missing}, which its schema version has"));
            }
        }
        Ok(())
    }

    /// Reads the payment of each order.
    async fn payments(&mut self, payments: &PaymentsReader) -> Result<(), StorageError> {
        let (records, terms_cache) = (&mut self.records, &mut self.terms_cache);
        let read = payments.audit(|payment| {
            let recorded = RecordedPayment {
                terms: terms_cache.of(payment.amount, payment.currency, payment.method),
                stands: payment.stands,
                receipt: payment.receipt.map(Box::from),
            };
            records.booked.insert(payment.order, recorded);
        });
        read.await
    }

    /// Reads the standing charges in the provider's ledger, and checks that no order has more than one.
    async fn ledger(&mut self, ledger: &LedgerReader) -> Result<(), StorageError> {
        ledger.audit(|charge| self.charge(&charge)).await?;
        let twice = self
            .records
            .standing
            .iter()
            .filter(|(_, charges)| charges.len() > 1);
        let twice = twice.map(|(order, _)| format!("{order} was charged more than once"));
        self.report_capped(twice.collect(), "were charged more than once");
        Ok(())
    }

    fn charge(&mut self, charge: &AuditedCharge<'_>) {
        let standing = StandingCharge {
            terms: self.terms_cache.of(charge.amount, charge.currency, charge.method),
            receipt: charge.receipt.into(),
        };
        match charge.order.parse::<OrderId>() {
            Ok(order) => self.records.standing.entry(order).or_default().push(standing),
            Err(error) => self.report(format!("a charge stands for {error}")),
        }
    }

    /// Checks that no worker wrote for a saga after it was claimed from that worker.
    async fn claims(&mut self, files: &Files) -> Result<(), StorageError> {
        for (order, takeover) in files.orders.takeovers().await? {
            let mut written = Vec::new();
            if let Some(reservation) = files.inventory.reservation(order).await? {
                let (by, at_ms) = (reservation.reserved_by, reservation.reserved_ms);
                written.push(("a reservation", by, at_ms));
                if reservation.has_ended() {
                    let (by, at_ms) = (reservation.changed_by, reservation.changed_ms);
                    written.push(("the end of a reservation", by, at_ms));
                }
            }
            if let Some(payment) = files.payments.payment(order).await? {
                written.push(("a payment", payment.by, payment.at_ms));
            }
            for (what, by, at_ms) in written {
                if by == takeover.from && at_ms > takeover.at_ms {
                    self.report(format!(
                        "{order}: {by} wrote {what} after the saga was claimed from it"
                    ));
                }
            }
        }
        Ok(())
    }

    fn across_the_files(&mut self, moment: Moment) {
        if moment == Moment::Rest && self.audit.pending > 0 {
            self.report(format!("{} orders never ended", self.audit.pending));
        }
        let records = std::mem::take(&mut self.records);
        let found = records.disagreements(self.horizon, moment);
        self.audit.violations.extend(found);
    }
}
