//! An operator's decision about a parked order. The decision and its record are one transaction, which also
//! raises the claim, so that the worker that parked the order can no longer write for it. Goods and money are
//! moved by the cluster, which takes up an order that was handed back within two seconds, or when it starts;
//! this module moves nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension};
use serde_json::json;

use super::super::CommandFailure;
use super::{ManyOrders, OneOrder, no_such_order};
use crate::base::exit::Exit;
use crate::scoreboard::Board;
use crate::shop::contract::{HANDED_BACK, OrderId};
use crate::shop::evidence::audit;
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::shop::{inventory, orders, payments, sandbox};
use crate::store::{Admission, Store, StoreOptions, Tx, WriteError};

/// What the cluster shall do with an order that is handed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandBack {
    Retry,
    Compensate,
}

/// How an operator ends an order at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ManualEnd {
    Confirm,
    Reject,
}

const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Hands the orders back to the cluster, and waits a while for the result.
pub(super) fn hand_back(data_dir: &Path, many: &ManyOrders, back: HandBack) -> Result<(), CommandFailure> {
    let ids = if many.all {
        parked(data_dir)?
    } else {
        let parsed = many.orders.iter().map(|order| order.parse());
        parsed.collect::<Result<Vec<OrderId>, _>>()?
    };
    if ids.is_empty() {
        println!("no order is parked; nothing was changed");
        return Ok(());
    }
    let act = match back {
        HandBack::Retry => "retry",
        HandBack::Compensate => "compensate",
    };
    let (handed, failed) = hand_back_each(data_dir, many, back, act, ids)?;
    let deadline = Instant::now() + many.wait;
    for order in handed {
        println!(
            "{order}: {act}, recorded; {}",
            state_of(data_dir, order, deadline)?
        );
    }
    failed.map_or(Ok(()), Err)
}

/// The orders that were handed back, and the failure of the command, if any. An order that another operator
/// decided about meanwhile does not stop the next one.
fn hand_back_each(
    data_dir: &Path,
    many: &ManyOrders,
    back: HandBack,
    act: &'static str,
    ids: Vec<OrderId>,
) -> Result<(Vec<OrderId>, Option<CommandFailure>), CommandFailure> {
    let writer = DecisionWriter::open(data_dir, act, &many.reason)?;
    let (mut handed, mut refused) = (Vec::new(), None);
    for order in ids {
        let reason = many.reason.clone();
        match writer.decide(order, move |tx| back.write(tx, order, &reason)) {
            Ok(DecisionResult::Recorded) => handed.push(order),
            Ok(DecisionResult::NotParked) if many.all => {
                println!(
                    "{order}: it is no longer parked, somebody else decided about it; nothing was changed"
                );
            }
            Ok(decided @ (DecisionResult::NotParked | DecisionResult::NoSuchOrder)) => {
                let CommandFailure(exit, why) = decided.failure(order, data_dir);
                if let Some(CommandFailure(_, before)) = refused.replace(CommandFailure(exit, why)) {
                    eprintln!("{before}");
                }
            }
            Err(failure) => return Ok((handed, Some(failure))),
        }
    }
    Ok((handed, refused))
}

/// Ends the order, when the records of the services already agree with that end.
pub(super) fn end_by_operator(
    data_dir: &Path,
    one: &OneOrder,
    hand: ManualEnd,
) -> Result<(), CommandFailure> {
    let order: OrderId = one.order.parse()?;
    let act = match hand {
        ManualEnd::Confirm => "confirm",
        ManualEnd::Reject => "reject",
    };
    let writer = DecisionWriter::open(data_dir, act, &one.reason)?;
    let (records, reason, now_ms) = (
        ParticipantRecords::open(data_dir)?,
        one.reason.clone(),
        writer.now_ms,
    );
    let decided = writer.decide(order, move |tx| {
        if is_parked(tx, order)? {
            hand.check_not_given_up(tx, order)?;
            records.check(order, hand)?;
            hand.write(tx, order, &reason, now_ms)?;
            return Ok(true);
        }
        Ok(false)
    })?;
    if decided != DecisionResult::Recorded {
        return Err(decided.failure(order, data_dir));
    }
    println!("{order}: {act}, recorded");
    Ok(())
}

fn parked(data_dir: &Path) -> Result<Vec<OrderId>, CommandFailure> {
    let ids = audit::open(&data_dir.join(orders::FILE))?
        .prepare("SELECT id FROM orders WHERE status < 20 AND status = 11 ORDER BY id")?
        .query_map([], |row| Ok(OrderId::from_key(row.get(0)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(ids)
}

/// The state of an order that was handed back, as text.
fn state_of(data_dir: &Path, order: OrderId, deadline: Instant) -> Result<String, CommandFailure> {
    let connection = audit::open(&data_dir.join(orders::FILE))?;
    loop {
        let (status, owner, reason): (i64, String, Option<String>) = connection.query_row(
            "SELECT status, owner, reason FROM orders WHERE id = ?1",
            [order.key()],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        match status {
            11 => return Ok(format!("it is parked again: {}", reason.unwrap_or_default())),
            20 => return Ok("it is confirmed".to_owned()),
            30 => return Ok("it is rejected".to_owned()),
            _ if Instant::now() < deadline => std::thread::sleep(LOOK_AGAIN),
            _ if owner == HANDED_BACK.to_string() => {
                return Ok(
                    "it is not taken up yet: a cluster that runs over this directory does that within two seconds, \
                     and if none runs the next one that is started"
                        .to_owned(),
                );
            }
            _ => return Ok(format!("worker {owner} is at it")),
        }
    }
}

/// Why a decision is not recorded.
#[derive(Debug, thiserror::Error)]
enum DecisionError {
    #[error("{0}")]
    Refused(String),
    #[error("failed to read or write the decision: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// The result of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DecisionResult {
    Recorded,
    NotParked,
    NoSuchOrder,
}

impl DecisionResult {
    fn failure(self, order: OrderId, data_dir: &Path) -> CommandFailure {
        if self == DecisionResult::NoSuchOrder {
            return no_such_order(order, data_dir);
        }
        let why = format!(
            "{order} is not parked, expected one that is (see `sagas list --parked`); nothing was changed"
        );
        CommandFailure(Exit::Failed, why)
    }
}

/// The orders' database, opened to write decisions.
struct DecisionWriter<'a> {
    store: Store,
    act: &'static str,
    reason: &'a str,
    now_ms: u64,
}

impl<'a> DecisionWriter<'a> {
    fn open(
        data_dir: &Path,
        act: &'static str,
        reason: &'a str,
    ) -> Result<DecisionWriter<'a>, CommandFailure> {
        if reason.trim().is_empty() {
            let why = "--reason is empty, expected why this is decided; nothing was changed";
            return Err(CommandFailure(Exit::Usage, why.to_owned()));
        }
        let path = data_dir.join(orders::FILE);
        if !path.exists() {
            let why = format!("there is no {}; expected a cluster's --data-dir", path.display());
            return Err(CommandFailure(Exit::Failed, why));
        }
        // The command must not migrate a database while workers of an older program use it.
        drop(audit::open(&path)?);
        let cell = Board::private().cell("decision");
        let cell = cell.ok_or_else(|| CommandFailure(Exit::Failed, "a new board has no cell".to_owned()))?;
        let store = Store::open(&orders::SCHEMA, StoreOptions::new(path, cell))?;
        let now_ms = SteadyClock::open(data_dir).now_ms();
        Ok(DecisionWriter {
            store,
            act,
            reason,
            now_ms,
        })
    }

    /// Runs `write` and records the decision. `write` returns whether the order could be decided about.
    fn decide(
        &self,
        order: OrderId,
        write: impl FnOnce(&Tx<'_>) -> Result<bool, DecisionError> + Send + 'static,
    ) -> Result<DecisionResult, CommandFailure> {
        let (act, reason, who, now_ms) = (self.act, self.reason.to_owned(), who(), self.now_ms);
        let job = move |tx: &Tx<'_>| {
            let done = write(tx)?;
            if done {
                tx.execute(
                    "INSERT INTO interventions (order_id, at_ms, act, who, reason) VALUES (?1, ?2, ?3, ?4, \
                     ?5)",
                    (order.key(), now_ms.cast_signed(), act, &who, &reason),
                )?;
            }
            let known = tx
                .prepare("SELECT 1 FROM orders WHERE id = ?1")?
                .exists([order.key()])?;
            Ok((done, known))
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let decided: Result<_, WriteError<DecisionError>> =
            runtime.block_on(self.store.write(Admission::New, job));
        match decided {
            Ok((true, _)) => Ok(DecisionResult::Recorded),
            Ok((false, true)) => Ok(DecisionResult::NotParked),
            Ok((false, false)) => Ok(DecisionResult::NoSuchOrder),
            Err(WriteError::Refused(DecisionError::Refused(why))) => {
                Err(CommandFailure(Exit::Refused, format!("{order}: {why}")))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn who() -> String {
    let uid = nix::unistd::getuid();
    let name = nix::unistd::User::from_uid(uid)
        .ok()
        .flatten()
        .map(|user| user.name);
    match (name, std::env::var("SUDO_USER")) {
        (Some(name), Ok(behind)) => format!("{name} (uid {uid}, for {behind})"),
        (Some(name), Err(_)) => format!("{name} (uid {uid})"),
        (None, _) => format!("uid {uid}"),
    }
}

fn is_parked(tx: &Connection, order: OrderId) -> rusqlite::Result<bool> {
    tx.prepare("SELECT 1 FROM orders WHERE id = ?1 AND status = 11")?
        .exists([order.key()])
}

impl HandBack {
    fn write(self, tx: &Connection, order: OrderId, reason: &str) -> Result<bool, DecisionError> {
        let given_up = match self {
            HandBack::Retry => None,
            HandBack::Compensate => Some(reason),
        };
        let handed_back = "UPDATE orders SET status = 10, reason = NULL, owner = ?2, claim_no = claim_no + 1,
            fresh_from = claim_no + 1, given_up = coalesce(?3, given_up) WHERE id = ?1 AND status = 11";
        Ok(tx.execute(handed_back, (order.key(), HANDED_BACK.to_string(), given_up))? == 1)
    }
}

impl ManualEnd {
    /// An order that is being undone must not be confirmed.
    fn check_not_given_up(self, tx: &Connection, order: OrderId) -> Result<(), DecisionError> {
        let given_up = "SELECT 1 FROM orders WHERE id = ?1 AND given_up IS NOT NULL";
        if self == ManualEnd::Confirm && tx.prepare(given_up)?.exists([order.key()])? {
            let why = "it was given up before and is being undone; nothing was changed: `sagas retry` goes on with that";
            return Err(DecisionError::Refused(why.to_owned()));
        }
        Ok(())
    }

    fn write(self, tx: &Connection, order: OrderId, reason: &str, now_ms: u64) -> rusqlite::Result<()> {
        let (status, event, why) = match self {
            ManualEnd::Confirm => (20, "order.confirmed", None),
            ManualEnd::Reject => {
                let rejection = json!({ "rejected": { "taken_back": { "reason": reason } } });
                (30, "order.rejected", Some(rejection.to_string()))
            }
        };
        let now = now_ms.cast_signed();
        tx.execute(
            "UPDATE orders SET status = ?2, ended_ms = ?3, reason = ?4, claim_no = claim_no + 1 WHERE id = \
             ?1",
            (order.key(), status, now, why),
        )?;
        tx.execute(
            "INSERT INTO outbox (order_id, event, at_ms) VALUES (?1, ?2, ?3)",
            (order.key(), event, now),
        )?;
        Ok(())
    }
}

/// The databases of the participants, which a decision is compared with.
struct ParticipantRecords {
    inventory: Connection,
    payments: Connection,
    ledger: Connection,
}

impl ParticipantRecords {
    fn open(data_dir: &Path) -> rusqlite::Result<ParticipantRecords> {
        Ok(ParticipantRecords {
            inventory: audit::open(&data_dir.join(inventory::FILE))?,
            payments: audit::open(&data_dir.join(payments::FILE))?,
            ledger: audit::open(&data_dir.join(sandbox::FILE))?,
        })
    }

    /// Checks that goods and money are where the decision says. These records change only by a command with a
    /// claim, and from now on the claim is this decision's.
    fn check(&self, order: OrderId, hand: ManualEnd) -> Result<(), DecisionError> {
        let goods = self.goods(order)?;
        let money = self.money(order)?;
        let standing: i64 = self.ledger.query_row(
            "SELECT count(*) FROM standing_charge WHERE order_id = ?1",
            [order.to_string()],
            |row| row.get(0),
        )?;
        let (goods_expected, money_expected, fits) = match hand {
            ManualEnd::Confirm => (
                "out of the house",
                "charged",
                goods == "out of the house" && money == "charged" && standing == 1,
            ),
            ManualEnd::Reject => (
                "not held",
                "not charged",
                goods == "not held" && money == "not charged" && standing == 0,
            ),
        };
        if fits {
            return Ok(());
        }
        Err(DecisionError::Refused(format!(
            "the goods are {goods}, expected {goods_expected}; the money is {money} and {standing} charges stand at the provider, \
             expected {money_expected}; nothing was changed: let the cluster finish it (`sagas retry`) or undo it (`sagas compensate`)"
        )))
    }

    fn goods(&self, order: OrderId) -> rusqlite::Result<&'static str> {
        let state = "SELECT state FROM reservations WHERE order_id = ?1";
        let state: Option<i64> = self
            .inventory
            .query_row(state, [order.key()], |row| row.get(0))
            .optional()?;
        Ok(match state {
            Some(10) => "held",
            Some(20) => "out of the house",
            Some(_) => "not held",
            None => "unheard of (a late reservation may still come)",
        })
    }

    fn money(&self, order: OrderId) -> rusqlite::Result<&'static str> {
        let state = "SELECT state = 10 AND refund IS NULL FROM payments WHERE order_id = ?1";
        let charged: Option<bool> = self
            .payments
            .query_row(state, [order.key()], |row| row.get(0))
            .optional()?;
        Ok(match charged {
            Some(true) => "charged",
            Some(false) => "not charged",
            None => "unheard of (a late charge may still come)",
        })
    }
}
