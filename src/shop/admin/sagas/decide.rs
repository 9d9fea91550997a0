//! An operator's decision about a parked order. Goods and money are moved by the cluster, which takes up an
//! order that was handed back within two seconds, or when it starts; this module moves nothing.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::super::CommandFailure;
use super::{ManyOrders, OneOrder, no_such_order};
use crate::base::exit::Exit;
use crate::shop::contract::{HANDED_BACK, OrderId};
use crate::shop::inventory::{InventoryReader, ReservationState};
use crate::shop::orders::decision::{DecidedAct, DecisionOutcome, OperatorDecision};
use crate::shop::orders::records::OrderStanding;
use crate::shop::orders::{OrderStatus, OrdersReader, OrdersRepository};
use crate::shop::payments::{PaymentStatus, PaymentsReader};
use crate::shop::sandbox::LedgerReader;
use crate::worker::{print_error, print_line};

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
pub(super) async fn hand_back(
    data_dir: &Path,
    many: &ManyOrders,
    back: HandBack,
) -> Result<(), CommandFailure> {
    let ids = if many.all {
        OrdersReader::open(data_dir).await?.parked().await?
    } else {
        let parsed = many.orders.iter().map(|order| order.parse());
        parsed.collect::<Result<Vec<OrderId>, _>>()?
    };
    if ids.is_empty() {
        print_line("no order is parked; nothing was changed")?;
        return Ok(());
    }
    let act = match back {
        HandBack::Retry => DecidedAct::Retry,
        HandBack::Compensate => DecidedAct::Compensate,
    };
    let (handed, failed) = hand_back_each(data_dir, many, act, ids).await?;
    let deadline = Instant::now() + many.wait;
    let orders = OrdersReader::open(data_dir).await?;
    for order in handed {
        let state = state_of(&orders, order, deadline).await?;
        print_line(&format!("{order}: {}, recorded; {state}", act.name()))?;
    }
    failed.map_or(Ok(()), Err)
}

/// The orders that were handed back, and the failure of the command, if any. An order that another operator
/// decided about meanwhile does not stop the next one.
async fn hand_back_each(
    data_dir: &Path,
    many: &ManyOrders,
    act: DecidedAct,
    ids: Vec<OrderId>,
) -> Result<(Vec<OrderId>, Option<CommandFailure>), CommandFailure> {
    let writer = DecisionWriter::open(data_dir, &many.reason).await?;
    let (mut handed, mut refused) = (Vec::new(), None);
    for order in ids {
        match writer.decide(order, act).await {
            Ok(DecisionOutcome::Recorded) => handed.push(order),
            Ok(DecisionOutcome::NotParked | DecisionOutcome::ClaimedMeanwhile) if many.all => {
                print_line(&format!(
                    "{order}: it is no longer parked, somebody else decided about it; nothing was changed"
                ))?;
            }
            Ok(not_done) => {
                let CommandFailure(exit, why) = failure(not_done, order, data_dir);
                if let Some(CommandFailure(_, before)) = refused.replace(CommandFailure(exit, why)) {
                    print_error(&before);
                }
            }
            Err(failure) => return Ok((handed, Some(failure))),
        }
    }
    // A command that handed back some of the orders was not refused as a whole.
    let refused = refused.map(|CommandFailure(exit, why)| match handed.as_slice() {
        [] => CommandFailure(exit, why),
        [_, ..] => CommandFailure(Exit::Failed, why),
    });
    Ok((handed, refused))
}

/// Ends the order, when the records of the services already agree with that end.
pub(super) async fn end_by_operator(
    data_dir: &Path,
    one: &OneOrder,
    end: ManualEnd,
) -> Result<(), CommandFailure> {
    let order: OrderId = one.order.parse()?;
    let writer = DecisionWriter::open(data_dir, &one.reason).await?;
    let orders = OrdersReader::open(data_dir).await?;
    loop {
        let claim_no = match orders.standing(order).await? {
            None => return Err(failure(DecisionOutcome::NoSuchOrder, order, data_dir)),
            Some(standing) if standing.status != OrderStatus::Parked => {
                return Err(failure(DecisionOutcome::NotParked, order, data_dir));
            }
            Some(standing) => {
                end.check_not_given_up(order, &standing)?;
                standing.claim_no
            }
        };
        // These records change only by a command with a claim. A decision under the same claim holds for
        // them.
        end.check_records(data_dir, order).await?;
        let act = match end {
            ManualEnd::Confirm => DecidedAct::Confirm { claim_no },
            ManualEnd::Reject => DecidedAct::Reject { claim_no },
        };
        match writer.decide(order, act).await? {
            DecisionOutcome::Recorded => {
                print_line(&format!("{order}: {}, recorded", act.name()))?;
                return Ok(());
            }
            DecisionOutcome::ClaimedMeanwhile => {}
            not_done @ (DecisionOutcome::NotParked | DecisionOutcome::NoSuchOrder) => {
                return Err(failure(not_done, order, data_dir));
            }
        }
    }
}

/// The state of an order that was handed back, as text.
async fn state_of(
    orders: &OrdersReader,
    order: OrderId,
    deadline: Instant,
) -> Result<String, CommandFailure> {
    loop {
        let Some(standing) = orders.standing(order).await? else {
            return Ok("it was removed".to_owned());
        };
        let reason = standing.reason.unwrap_or_default();
        match standing.status {
            OrderStatus::Parked => return Ok(format!("it is parked again: {reason}")),
            OrderStatus::Confirmed | OrderStatus::Rejected => {
                return Ok(format!("it is {}", standing.status.word()));
            }
            OrderStatus::Pending if Instant::now() < deadline => tokio::time::sleep(LOOK_AGAIN).await,
            OrderStatus::Pending if standing.owner == HANDED_BACK => {
                return Ok(
                    "it is not taken up yet: a cluster that runs over this directory does that within two \
                     seconds, and if none runs the next one that is started"
                        .to_owned(),
                );
            }
            OrderStatus::Pending => return Ok(format!("worker {} is at it", standing.owner)),
        }
    }
}

/// Why a decision was not recorded, for the operator.
fn failure(outcome: DecisionOutcome, order: OrderId, data_dir: &Path) -> CommandFailure {
    if outcome == DecisionOutcome::NoSuchOrder {
        return no_such_order(order, data_dir);
    }
    let why = format!(
        "{order} is not parked, expected one that is (see `sagas list --parked`); nothing was changed"
    );
    CommandFailure(Exit::Refused, why)
}

fn refused(order: OrderId, why: &str) -> CommandFailure {
    CommandFailure(Exit::Refused, format!("{order}: {why}"))
}

/// The orders, opened to write decisions for one reason.
struct DecisionWriter<'a> {
    orders: OrdersRepository,
    reason: &'a str,
}

impl<'a> DecisionWriter<'a> {
    async fn open(data_dir: &Path, reason: &'a str) -> Result<DecisionWriter<'a>, CommandFailure> {
        if reason.trim().is_empty() {
            let why = "--reason is empty, expected why this is decided; nothing was changed";
            return Err(CommandFailure(Exit::Usage, why.to_owned()));
        }
        let orders = OrdersRepository::open_for_decisions(data_dir).await?;
        Ok(DecisionWriter { orders, reason })
    }

    async fn decide(&self, order: OrderId, act: DecidedAct) -> Result<DecisionOutcome, CommandFailure> {
        let decision = OperatorDecision {
            order,
            act,
            who: who(),
            reason: self.reason.to_owned(),
        };
        Ok(self.orders.decide(decision).await?)
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

impl ManualEnd {
    /// An order that is being undone must not be confirmed.
    fn check_not_given_up(self, order: OrderId, standing: &OrderStanding) -> Result<(), CommandFailure> {
        if self == ManualEnd::Confirm && standing.is_given_up {
            let why = "it was given up before and is being undone; nothing was changed: `sagas retry` goes on with that";
            return Err(refused(order, why));
        }
        Ok(())
    }

    /// Checks that goods and money are where the decision says.
    async fn check_records(self, data_dir: &Path, order: OrderId) -> Result<(), CommandFailure> {
        let goods = goods(&InventoryReader::open(data_dir).await?, order).await?;
        let money = money(&PaymentsReader::open(data_dir).await?, order).await?;
        let ledger = LedgerReader::open(data_dir).await?;
        let standing = ledger.standing_charges(order).await?;
        let (goods_expected, money_expected, charges_expected) = match self {
            ManualEnd::Confirm => (OUT_OF_THE_HOUSE, CHARGED, 1),
            ManualEnd::Reject => (NOT_HELD, NOT_CHARGED, 0),
        };
        if goods == goods_expected && money == money_expected && standing == charges_expected {
            return Ok(());
        }
        let why = format!(
            "the goods are {goods}, expected {goods_expected}; the money is {money} and {standing} charges stand at the \
             provider, expected {money_expected}; nothing was changed: let the cluster finish it (`sagas retry`) or undo \
             it (`sagas compensate`)"
        );
        Err(refused(order, &why))
    }
}

const OUT_OF_THE_HOUSE: &str = "out of the house";
const NOT_HELD: &str = "not held";
const CHARGED: &str = "charged";
const NOT_CHARGED: &str = "not charged";

/// Where the goods of the order are, as text.
async fn goods(inventory: &InventoryReader, order: OrderId) -> Result<&'static str, CommandFailure> {
    let reservation = inventory.reservation(order).await?;
    Ok(match reservation.map(|reservation| reservation.state) {
        Some(ReservationState::Held) => "held",
        Some(ReservationState::Committed) => OUT_OF_THE_HOUSE,
        Some(ReservationState::Released | ReservationState::Refused | ReservationState::Tombstone) => {
            NOT_HELD
        }
        None => "unheard of (a late reservation may still come)",
    })
}

/// Where the money for the order is, as text.
async fn money(payments: &PaymentsReader, order: OrderId) -> Result<&'static str, CommandFailure> {
    let payment = payments.payment(order).await?;
    Ok(match payment.map(|payment| payment.status) {
        Some(PaymentStatus::Succeeded { .. }) => CHARGED,
        Some(PaymentStatus::Refunded { .. } | PaymentStatus::Declined { .. } | PaymentStatus::Cancelled) => {
            NOT_CHARGED
        }
        None => "unheard of (a late charge may still come)",
    })
}
