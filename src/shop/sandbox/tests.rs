//! What the provider promises, asked of it through its own trait.

use super::*;
use crate::base::money::{Currency, Money};
use crate::scoreboard::Board;
use crate::shop::payments::provider::{Receipt, RefusalKind};

struct TestLedger {
    sandbox: Sandbox,
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl TestLedger {
    fn open() -> TestLedger {
        let dir = tempfile::tempdir().unwrap();
        let cell = Board::private().cell("sandbox").unwrap();
        let sandbox = Sandbox::open(StoreOptions::new(dir.path().join(FILE), cell)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        TestLedger {
            sandbox,
            dir,
            runtime,
        }
    }

    fn charge(&self, key: &str, amount: u64, method: &str) -> ChargeOutcome {
        let request = ChargeRequest {
            provider_key: key.to_owned(),
            order_id: "o-1".to_owned(),
            amount: Money {
                amount,
                currency: Currency::USD,
            },
            method: method.to_owned(),
        };
        self.runtime.block_on(self.sandbox.charge(&request))
    }

    fn cancel(&self, key: &str) -> CancelOutcome {
        self.runtime.block_on(self.sandbox.cancel(key))
    }

    fn refund(&self, refund_key: &str, key: &str) -> RefundOutcome {
        let request = RefundRequest {
            refund_key: refund_key.to_owned(),
            provider_key: key.to_owned(),
        };
        self.runtime.block_on(self.sandbox.refund(&request))
    }

    fn count(&self, sql: &str) -> i64 {
        #[cfg_attr(
            not(feature = "postgres"),
            expect(clippy::infallible_destructuring_match, reason = "there is one engine then")
        )]
        let store = match &self.sandbox.ledger {
            LedgerStore::Sqlite(store) => store,
            #[cfg(feature = "postgres")]
            LedgerStore::Postgres(_) => panic!("a ledger at PostgreSQL"),
        };
        store
            .peek(|connection| connection.query_row(sql, [], |row| row.get(0)))
            .unwrap()
    }
}

fn refusal(outcome: ChargeOutcome) -> (RefusalKind, String) {
    match outcome {
        ChargeOutcome::Refused(refusal) => (refusal.kind, refusal.code),
        other @ (ChargeOutcome::Done(_) | ChargeOutcome::Unknown(_) | ChargeOutcome::Stalled(_)) => {
            panic!("not refused: {other:?}")
        }
    }
}

fn charged(key: &str) -> Receipt {
    Receipt {
        id: format!("ch_{key}"),
    }
}

#[test]
fn a_charge_that_is_repeated_takes_the_money_once() {
    let ledger = TestLedger::open();
    for _ in 0..3 {
        assert_eq!(
            ledger.charge("k", 900, "pm_card_visa"),
            ChargeOutcome::Done(charged("k"))
        );
    }
    assert_eq!(ledger.count("SELECT sum(amount) FROM standing_charge"), 900);
}

#[test]
fn a_decline_is_replayed_too() {
    let ledger = TestLedger::open();
    for _ in 0..2 {
        let declined = ledger.charge("k", 900, "pm_card_chargeDeclinedInsufficientFunds");
        assert_eq!(
            refusal(declined),
            (RefusalKind::Declined, "insufficient_funds".to_owned())
        );
    }
    assert_eq!(ledger.count("SELECT count(*) FROM attempt"), 1);
}

#[test]
fn the_same_key_for_something_else_is_refused() {
    let ledger = TestLedger::open();
    ledger.charge("k", 900, "pm_card_visa");
    let again = refusal(ledger.charge("k", 901, "pm_card_visa"));
    assert_eq!(again, (RefusalKind::Invalid, "provider_key_reused".to_owned()));
}

#[test]
fn an_unknown_method_is_refused_by_name() {
    let refused = refusal(TestLedger::open().charge("k", 900, "cash"));
    assert_eq!(
        refused,
        (RefusalKind::Invalid, "invalid_payment_method".to_owned())
    );
}

#[test]
fn a_cancel_that_comes_first_refuses_the_late_charge() {
    let ledger = TestLedger::open();
    assert_eq!(ledger.cancel("k"), CancelOutcome::Done);
    let late = refusal(ledger.charge("k", 900, "pm_card_visa"));
    assert_eq!(late, (RefusalKind::Cancelled, "charge_cancelled".to_owned()));
    assert_eq!(ledger.cancel("k"), CancelOutcome::Done);
    assert_eq!(ledger.count("SELECT count(*) FROM standing_charge"), 0);
}

#[test]
fn a_cancel_that_comes_too_late_names_the_charge() {
    let ledger = TestLedger::open();
    ledger.charge("k", 900, "pm_card_visa");
    assert_eq!(ledger.cancel("k"), CancelOutcome::Refused(charged("k")));
}

#[test]
fn a_refund_gives_the_money_back_once() {
    let ledger = TestLedger::open();
    ledger.charge("k", 900, "pm_card_visa");
    for _ in 0..2 {
        assert_eq!(
            ledger.refund("r", "k"),
            RefundOutcome::Done(Receipt {
                id: "re_r".to_owned()
            })
        );
    }
    assert!(matches!(ledger.refund("r2", "k"), RefundOutcome::Refused(_)));
    assert!(matches!(ledger.refund("k", "k"), RefundOutcome::Refused(_)));
    assert!(matches!(ledger.refund("r3", "never"), RefundOutcome::Refused(_)));
    assert_eq!(ledger.count("SELECT count(*) FROM standing_charge"), 0);
}

#[test]
fn the_ledger_cannot_be_changed() {
    let ledger = TestLedger::open();
    ledger.charge("k", 900, "pm_card_visa");
    let other = rusqlite::Connection::open(ledger.dir.path().join(FILE)).unwrap();
    assert!(other.execute("UPDATE attempt SET amount = 0", []).is_err());
    assert!(other.execute("DELETE FROM attempt", []).is_err());
}
