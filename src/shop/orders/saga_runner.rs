//! Carries out what the saga's state machine says, for one order at a time. The runner decides nothing: it
//! waits, sends commands, and returns their outcomes. Dropping it at any point loses nothing but time;
//! another life then begins at the top of the same table.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::domain::{NewOrder, Rejection};
use super::repository::{BudgetUse, Ownership, RecordOutcome, UnknownAttempt};
use super::stores::OrdersRepository;
use crate::base::ids::Life;
use crate::saga::definition::RECORD_RETRY;
use crate::saga::table::ParkReason;
use crate::saga::{BudgetUsed, ORDER, SagaCommand, SagaEffect, SagaEvent, SagaState, SagaVerdict};
use crate::shop::contract::{
    ChargeTerms, ClaimToken, CommandOutcome, CommandRefusal, Inventory, OrderId, Payments,
};
use crate::sys::clock::now;

/// What runs sagas: this service's repository and the other two services.
#[derive(Clone)]
pub(super) struct SagaRunner<I, P> {
    pub(super) repository: OrdersRepository,
    pub(super) inventory: I,
    pub(super) payments: P,
    pub(super) life: Life,
    /// Called when this life turns out to be fenced off.
    pub(super) on_fenced: Arc<dyn Fn() + Send + Sync>,
}

/// A saga that this life owns.
pub(super) struct OwnedSaga {
    pub(super) order: OrderId,
    pub(super) claim_no: u32,
    pub(super) placed: NewOrder,
    /// Why a person gave up the order, if one did.
    pub(super) given_up: Option<Arc<str>>,
    /// How much of the budgets the earlier owners used.
    pub(super) budget_used: BudgetUsed,
}

/// While the outcome of a command is awaited, the budget that was used is recorded this often. When an owner
/// dies, less than this is forgotten.
const BUDGET_RECORDED_EVERY: Duration = Duration::from_secs(1);

/// How running a saga ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SagaOutcome {
    /// The order stands.
    Confirmed,
    /// The order does not stand.
    Rejected(Rejection),
    /// The order is parked.
    Parked,
    /// Another life owns the saga now; what became of the order is on disk.
    Lost,
}

/// What a command led to, and the reason when its outcome is unknown.
struct Answered {
    event: SagaEvent<CommandRefusal>,
    reason: Option<String>,
}

impl<I: Inventory, P: Payments> SagaRunner<I, P> {
    /// Runs the saga from its first step to its end.
    pub(super) async fn run(&self, saga: OwnedSaga) -> SagaOutcome {
        let (mut state, mut effect) = match saga.given_up {
            None => SagaState::begin(ORDER, now()),
            Some(_) => SagaState::begin_undoing(ORDER, now()),
        };
        state = state.with_earlier_use(ORDER, &saga.budget_used);
        loop {
            let mut unknown = None;
            let event = match effect {
                SagaEffect::Send(command, wait) => {
                    let answered = self.send_and_record_budget(&saga, &state, command, wait).await;
                    unknown = answered.reason.map(|reason| (command, reason));
                    answered.event
                }
                SagaEffect::Record(verdict, wait) => self.record(&saga, verdict, wait).await,
                SagaEffect::Park(reason) => {
                    self.park(&saga, &describe(&reason)).await;
                    return SagaOutcome::Parked;
                }
                SagaEffect::Stop => {
                    if state == SagaState::Lost {
                        self.check_for_a_fence(&saga).await;
                    }
                    return outcome(state, saga.given_up.as_deref());
                }
            };
            (state, effect) = match state.on(ORDER, now(), event) {
                Ok((state, effect)) => (state.with_earlier_use(ORDER, &saga.budget_used), effect),
                Err(illegal) => {
                    self.park(&saga, &illegal.to_string()).await;
                    return SagaOutcome::Parked;
                }
            };
            if let (Some((command, reason)), SagaEffect::Send(_, wait)) = (unknown, &effect) {
                self.record_attempt(UnknownAttempt {
                    token: self.token(&saga),
                    step: command.name(),
                    reason,
                    wait: *wait,
                    budget_left: state.budget_left(ORDER, now()).unwrap_or_default(),
                });
            }
        }
    }

    /// For the order's report. The saga does not wait for the record, which is dropped when the store is
    /// busy.
    fn record_attempt(&self, attempt: UnknownAttempt) {
        let repository = self.repository.clone();
        tokio::spawn(async move { drop(repository.record_attempt(attempt).await) });
    }

    /// As [`SagaRunner::send`]. The budget that the command uses is recorded for the next owner, which goes
    /// on with what is left.
    async fn send_and_record_budget(
        &self,
        saga: &OwnedSaga,
        state: &SagaState<CommandRefusal>,
        command: SagaCommand,
        wait: Duration,
    ) -> Answered {
        let mut sending = pin!(self.send(saga, command, wait));
        let mut is_recorded = false;
        let answered = loop {
            match tokio::time::timeout(BUDGET_RECORDED_EVERY, &mut sending).await {
                Ok(answered) => break answered,
                Err(_not_yet) => {
                    is_recorded = true;
                    self.record_budget_use(saga, state.budget_used(ORDER, now()));
                }
            }
        };
        match &answered.event {
            SagaEvent::Unknown { .. } => self.record_budget_use(saga, state.budget_used(ORDER, now())),
            // The command could not be tried, so that the time that was recorded was not used after all.
            SagaEvent::Stalled { .. } if is_recorded => {
                let stalled = state.clone().on(ORDER, now(), answered.event.clone()).ok();
                let used = stalled.and_then(|(state, _)| state.budget_used(ORDER, now()));
                self.record_budget_use(saga, used);
            }
            SagaEvent::Stalled { .. } | SagaEvent::Done | SagaEvent::Refused(_) | SagaEvent::Fenced => {}
        }
        answered
    }

    /// The saga does not wait for the record.
    fn record_budget_use(&self, saga: &OwnedSaga, used: Option<(SagaCommand, Duration)>) {
        if let Some((command, used)) = used {
            let (repository, token) = (self.repository.clone(), self.token(saga));
            let budget_use = BudgetUse { token, command, used };
            tokio::spawn(async move { drop(repository.record_budget_use(budget_use).await) });
        }
    }

    async fn send(&self, saga: &OwnedSaga, command: SagaCommand, wait: Duration) -> Answered {
        pause(wait).await;
        let token = self.token(saga);
        let terms = || ChargeTerms {
            amount: saga.placed.total,
            method: saga.placed.method.clone(),
        };
        let outcome = match command {
            SagaCommand::Reserve => self.inventory.reserve(token, saga.placed.lines.clone()).await,
            SagaCommand::Release => self.inventory.release(token).await,
            SagaCommand::Charge => self.payments.charge(token, terms()).await,
            SagaCommand::Cancel => self.payments.cancel(token, terms()).await,
            SagaCommand::Commit => self.inventory.commit(token).await,
            SagaCommand::Return => self.inventory.give_back(token).await,
            SagaCommand::Refund => self.payments.refund(token, terms()).await,
        };
        let (order, step, mut unknown) = (saga.order, command.name(), None);
        let event = match outcome {
            CommandOutcome::Done => SagaEvent::Done,
            CommandOutcome::Refused(refusal) => SagaEvent::Refused(refusal),
            CommandOutcome::Unknown(reason) => {
                tracing::warn!(%order, step, reason, "the outcome of a step is unknown; it will be tried again");
                unknown = Some(reason);
                SagaEvent::Unknown {
                    random: fastrand::u64(..),
                }
            }
            CommandOutcome::Stalled(reason) => {
                // The store warns of it once; here it would be logged for each order and try.
                tracing::debug!(%order, step, reason, "a step waits for its store");
                SagaEvent::Stalled {
                    random: fastrand::u64(..),
                }
            }
            CommandOutcome::Fenced => SagaEvent::Fenced,
        };
        Answered {
            event,
            reason: unknown,
        }
    }

    async fn record(
        &self,
        saga: &OwnedSaga,
        verdict: SagaVerdict<CommandRefusal>,
        wait: Duration,
    ) -> SagaEvent<CommandRefusal> {
        pause(wait).await;
        let rejection = match verdict {
            SagaVerdict::Confirmed => None,
            SagaVerdict::Rejected(cause) => Some(Rejection::of(cause, saga.given_up.as_deref())),
        };
        match self.repository.end(self.token(saga), rejection).await {
            Ok(RecordOutcome::Stands) => SagaEvent::Done,
            Ok(RecordOutcome::Fenced) => SagaEvent::Fenced,
            Ok(RecordOutcome::Contradicted) => SagaEvent::Refused(CommandRefusal::Senseless(
                "the order ended otherwise before".to_owned(),
            )),
            Err(error) => {
                let order = saga.order;
                tracing::warn!(%order, %error, "an order's end could not be written; it will be tried again");
                SagaEvent::Unknown {
                    random: fastrand::u64(..),
                }
            }
        }
    }

    /// Tries until it is written: a saga must not stand still without a record of it.
    async fn park(&self, saga: &OwnedSaga, why: &str) {
        let order = saga.order;
        tracing::error!(%order, reason = why, "an order is parked and waits for a person or the next start");
        for tries in 1.. {
            let parked = self.repository.park(self.token(saga), why.to_owned()).await;
            if parked.is_ok() {
                return;
            }
            pause(RECORD_RETRY.wait(tries, fastrand::u64(..))).await;
        }
    }

    /// A participant has fenced off this life, or a higher claim was made for this saga alone. A life that is
    /// fenced off must be replaced, or what it still owns stays undone.
    async fn check_for_a_fence(&self, saga: &OwnedSaga) {
        let ownership = self.repository.ownership(self.token(saga)).await;
        let lost_this_saga_alone = Ownership {
            is_fenced: false,
            is_owner: false,
        };
        if !matches!(ownership, Ok(known) if known == lost_this_saga_alone) {
            (self.on_fenced)();
        }
    }

    fn token(&self, saga: &OwnedSaga) -> ClaimToken {
        ClaimToken {
            order: saga.order,
            claim_no: saga.claim_no,
            life: self.life,
        }
    }
}

async fn pause(wait: Duration) {
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

fn outcome(state: SagaState<CommandRefusal>, given_up: Option<&str>) -> SagaOutcome {
    match state {
        SagaState::Ended(SagaVerdict::Confirmed) => SagaOutcome::Confirmed,
        SagaState::Ended(SagaVerdict::Rejected(cause)) => {
            SagaOutcome::Rejected(Rejection::of(cause, given_up))
        }
        SagaState::Lost => SagaOutcome::Lost,
        SagaState::Parked(_)
        | SagaState::Doing(_)
        | SagaState::Settling(..)
        | SagaState::Undoing(..)
        | SagaState::Recording(..) => SagaOutcome::Parked,
    }
}

fn describe(reason: &ParkReason<CommandRefusal>) -> String {
    match reason {
        ParkReason::Unknown(command) => {
            format!("the outcome of {} stayed unknown past its budget", command.name())
        }
        ParkReason::Contradicted(command, refusal) => {
            format!("{} was refused where it must not be: {refusal:?}", command.name())
        }
    }
}
