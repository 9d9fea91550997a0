//! The ledger: one row for each key, written once. The first attempt under a key decides for ever what the
//! key means.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::methods::{self, TestCard};
use crate::shop::contract::OrderId;
use crate::shop::payments::provider::{
    CancelOutcome, ChargeOutcome, ChargeRequest, ProviderRefusal, Receipt, RefundOutcome, RefundRequest,
    RefusalKind,
};
use crate::store::{Schema, Tx};

/// The documented format of `sandbox.db`.
pub const SCHEMA: Schema = Schema {
    name: "sandbox",
    application_id: 0x436c_5342,
    migrations: &[VERSION_1, VERSION_2],
};

const VERSION_1: &str = "
-- Every attempt that was ever made on this provider, by the key it was made under. Rows are added and never changed.
CREATE TABLE attempt (
    provider_key TEXT NOT NULL PRIMARY KEY, -- a charge's or a refund's own key; of a cancel, the key that it refuses for ever
    kind         TEXT NOT NULL CHECK (kind IN ('charge', 'cancel', 'refund')),
    outcome      TEXT NOT NULL CHECK (outcome IN ('succeeded', 'declined', 'refused')),
    code         TEXT,                      -- why not, when it did not succeed (insufficient_funds)
    order_id     TEXT,                      -- what it is for; NULL for a cancel that came before its charge
    amount       INTEGER,                   -- minor units; of a refund, what was given back
    currency     TEXT,
    method       TEXT,
    refund_of    TEXT REFERENCES attempt (provider_key), -- of a refund, the key of its charge
    at           TEXT NOT NULL              -- when it was made, UTC (RFC 3339)
) STRICT, WITHOUT ROWID;
-- A charge is given back at most once.
CREATE UNIQUE INDEX attempt_refund_of ON attempt (refund_of) WHERE refund_of IS NOT NULL;
CREATE TRIGGER attempt_is_never_changed BEFORE UPDATE ON attempt
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER attempt_is_never_removed BEFORE DELETE ON attempt
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
-- The money that was taken and not given back.
CREATE VIEW standing_charge AS
    SELECT provider_key, order_id, amount, currency, method, at FROM attempt AS charge
    WHERE kind = 'charge' AND outcome = 'succeeded'
      AND NOT EXISTS (SELECT 1 FROM attempt AS refund WHERE refund.refund_of = charge.provider_key);
";

/// The same checks without lists, for which SQLite makes a table for each row (see the orders' schema). No
/// row is changed.
const VERSION_2: &str = "
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
    SET sql = replace(replace(sql,
        'kind IN (''charge'', ''cancel'', ''refund'')',
        'kind = ''charge'' OR kind = ''cancel'' OR kind = ''refund'''),
        'outcome IN (''succeeded'', ''declined'', ''refused'')',
        'outcome = ''succeeded'' OR outcome = ''declined'' OR outcome = ''refused''')
    WHERE type = 'table' AND name = 'attempt';
PRAGMA writable_schema = RESET;
";

const INSERT: &str = "INSERT INTO attempt
    (provider_key, kind, outcome, code, order_id, amount, currency, method, refund_of, at)
    VALUES (:key, :kind, :outcome, :code, :order_id, :amount, :currency, :method, :refund_of, :at)
    ON CONFLICT (provider_key) DO NOTHING";

const FIND: &str = "SELECT kind, outcome, code, order_id, amount, currency, method, refund_of
    FROM attempt WHERE provider_key = ?1";

/// A row of the ledger, without its key and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LedgerEntry {
    pub(super) kind: String,
    pub(super) outcome: String,
    pub(super) code: Option<String>,
    pub(super) order_id: Option<String>,
    pub(super) amount: Option<i64>,
    pub(super) currency: Option<String>,
    pub(super) method: Option<String>,
    pub(super) refund_of: Option<String>,
}

impl LedgerEntry {
    pub(super) fn of_charge(request: &ChargeRequest) -> LedgerEntry {
        let (outcome, code) = match methods::card(&request.method) {
            Some(TestCard::Pays) => ("succeeded", None),
            Some(TestCard::Declines(code)) => ("declined", Some(code)),
            None => ("refused", Some("invalid_payment_method")),
        };
        LedgerEntry {
            kind: "charge".to_owned(),
            outcome: outcome.to_owned(),
            code: code.map(str::to_owned),
            order_id: Some(request.order_id.clone()),
            amount: i64::try_from(request.amount.amount).ok(),
            currency: Some(request.amount.currency.as_str().to_owned()),
            method: Some(request.method.clone()),
            refund_of: None,
        }
    }

    pub(super) fn of_cancel() -> LedgerEntry {
        let (kind, outcome) = ("cancel".to_owned(), "succeeded".to_owned());
        let (order_id, amount, currency, method) = (None, None, None, None);
        LedgerEntry {
            kind,
            outcome,
            code: None,
            order_id,
            amount,
            currency,
            method,
            refund_of: None,
        }
    }

    fn of_refund(charge: LedgerEntry, provider_key: &str) -> LedgerEntry {
        LedgerEntry {
            kind: "refund".to_owned(),
            refund_of: Some(provider_key.to_owned()),
            ..charge
        }
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<LedgerEntry> {
        Ok(LedgerEntry {
            kind: row.get(0)?,
            outcome: row.get(1)?,
            code: row.get(2)?,
            order_id: row.get(3)?,
            amount: row.get(4)?,
            currency: row.get(5)?,
            method: row.get(6)?,
            refund_of: row.get(7)?,
        })
    }

    fn succeeded(&self, kind: &str) -> bool {
        self.kind == kind && self.outcome == "succeeded"
    }

    /// Adds the entry; `false` when the key is taken.
    fn add(&self, tx: &Tx<'_>, key: &str, at: &str) -> rusqlite::Result<bool> {
        let added = tx.prepare_cached(INSERT)?.execute(named_params! {
            ":key": key,
            ":kind": self.kind,
            ":outcome": self.outcome,
            ":code": self.code,
            ":order_id": self.order_id,
            ":amount": self.amount,
            ":currency": self.currency,
            ":method": self.method,
            ":refund_of": self.refund_of,
            ":at": at,
        })?;
        Ok(added == 1)
    }

    fn find(tx: &Tx<'_>, key: &str) -> rusqlite::Result<Option<LedgerEntry>> {
        tx.prepare_cached(FIND)?
            .query_row([key], LedgerEntry::from_row)
            .optional()
    }
}

/// The first of these orders whose receipt is of no charge that succeeded.
pub(super) fn first_uncharged(
    connection: &Connection,
    receipts: Vec<(OrderId, String)>,
) -> rusqlite::Result<Option<OrderId>> {
    let mut charge = connection.prepare(
        "SELECT 1 FROM attempt WHERE 'ch_' || provider_key = ?1 AND provider_key = substr(?1, 4)
         AND kind = 'charge' AND outcome = 'succeeded'",
    )?;
    for (order, receipt) in receipts {
        if !charge.exists([receipt])? {
            return Ok(Some(order));
        }
    }
    Ok(None)
}

/// Takes the money or refuses it, and records which.
pub(super) fn charge(tx: &Tx<'_>, request: &ChargeRequest, at: &str) -> rusqlite::Result<ChargeOutcome> {
    let wanted = LedgerEntry::of_charge(request);
    let key = &request.provider_key;
    if wanted.add(tx, key, at)? {
        return Ok(answer_charge(&wanted, None, key));
    }
    Ok(match LedgerEntry::find(tx, key)? {
        Some(known) => answer_charge(&wanted, Some(&known), key),
        None => ChargeOutcome::Refused(key_reused()),
    })
}

/// How a charge is answered that was wanted, when its key is taken by what is known.
pub(super) fn answer_charge(wanted: &LedgerEntry, known: Option<&LedgerEntry>, key: &str) -> ChargeOutcome {
    match known {
        None => charge_outcome(wanted, key),
        Some(known) if known.kind == "cancel" => ChargeOutcome::Refused(cancelled()),
        Some(known) if same_request(known, wanted) => charge_outcome(known, key),
        Some(_) => ChargeOutcome::Refused(key_reused()),
    }
}

/// Whether both entries are of the same request, whatever its outcome: a newer program's table of methods
/// must not turn a replay into a conflict.
fn same_request(known: &LedgerEntry, wanted: &LedgerEntry) -> bool {
    let outcome = |attempt: &LedgerEntry| LedgerEntry {
        outcome: String::new(),
        code: None,
        ..attempt.clone()
    };
    outcome(known) == outcome(wanted)
}

/// Refuses the key for ever, unless the money was taken under it.
pub(super) fn cancel(tx: &Tx<'_>, key: &str, at: &str) -> rusqlite::Result<CancelOutcome> {
    if LedgerEntry::of_cancel().add(tx, key, at)? {
        return Ok(CancelOutcome::Done);
    }
    Ok(answer_cancel(LedgerEntry::find(tx, key)?.as_ref(), key))
}

/// How a cancel is answered whose key is taken. A declined charge is as good as cancelled: it stays declined
/// under its key.
pub(super) fn answer_cancel(known: Option<&LedgerEntry>, key: &str) -> CancelOutcome {
    match known.is_some_and(|known| known.succeeded("charge")) {
        true => CancelOutcome::Refused(receipt("ch", key)),
        false => CancelOutcome::Done,
    }
}

/// Gives the whole of a charge back, once.
pub(super) fn refund(tx: &Tx<'_>, request: &RefundRequest, at: &str) -> rusqlite::Result<RefundOutcome> {
    let done = || RefundOutcome::Done(receipt("re", &request.refund_key));
    let charge = LedgerEntry::find(tx, &request.provider_key)?;
    let Some(charge) = charge.filter(|charge| charge.succeeded("charge")) else {
        return Ok(RefundOutcome::Refused(charge_not_found()));
    };
    let wanted = LedgerEntry::of_refund(charge, &request.provider_key);
    if let Some(known) = LedgerEntry::find(tx, &request.refund_key)? {
        return Ok(if known == wanted {
            done()
        } else {
            RefundOutcome::Refused(key_reused())
        });
    }
    let refunded = "SELECT 1 FROM attempt WHERE refund_of = ?1";
    if tx.prepare_cached(refunded)?.exists([&request.provider_key])? {
        return Ok(RefundOutcome::Refused(already_refunded()));
    }
    wanted.add(tx, &request.refund_key, at)?;
    Ok(done())
}

fn charge_outcome(attempt: &LedgerEntry, key: &str) -> ChargeOutcome {
    let code = attempt.code.clone().unwrap_or_default();
    match attempt.outcome.as_str() {
        "succeeded" => ChargeOutcome::Done(receipt("ch", key)),
        "declined" => {
            let message = methods::says(&code);
            ChargeOutcome::Refused(ProviderRefusal {
                kind: RefusalKind::Declined,
                code,
                message,
            })
        }
        _ => ChargeOutcome::Refused(invalid(&code, "the provider knows no such payment method")),
    }
}

pub(super) fn receipt(prefix: &str, key: &str) -> Receipt {
    Receipt {
        id: format!("{prefix}_{key}"),
    }
}

fn invalid(code: &str, message: &str) -> ProviderRefusal {
    ProviderRefusal {
        kind: RefusalKind::Invalid,
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

pub(super) fn charge_not_found() -> ProviderRefusal {
    invalid("charge_not_found", "no charge stands under this key")
}

pub(super) fn already_refunded() -> ProviderRefusal {
    invalid(
        "charge_already_refunded",
        "the charge was refunded under another key",
    )
}

pub(super) fn key_reused() -> ProviderRefusal {
    invalid(
        "provider_key_reused",
        "this key was used before with other parameters",
    )
}

fn cancelled() -> ProviderRefusal {
    let message = "the charge was cancelled before it arrived".to_owned();
    ProviderRefusal {
        kind: RefusalKind::Cancelled,
        code: "charge_cancelled".to_owned(),
        message,
    }
}
