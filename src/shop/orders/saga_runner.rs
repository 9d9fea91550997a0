//! Carries out what the saga's table says, for one order at a time. It decides nothing: it waits, sends, and brings back what
//! was answered. Dropping it at any point loses nothing but time; another life then starts at the top of the same table.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::domain::{NewOrder, Rejection};
use super::sqlite::attempts::{self as tries, UnknownAttempt};
use super::sqlite::budget_used as spending;
use super::sqlite::orders::{self as journal, RecordOutcome};
use crate::base::ids::Life;
use crate::saga::definition::RECORD_RETRY;
use crate::saga::table::ParkReason;
use crate::saga::{BudgetUsed, ORDER, SagaCommand, SagaEffect, SagaEvent, SagaState, SagaVerdict};
use crate::shop::contract::{
    ChargeTerms, ClaimToken, CommandOutcome, CommandRefusal, Inventory, OrderId, Payments,
};
use crate::shop::recovery::fences;
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::store::{Admission, Store, Tx, WriteError};
use crate::sys::clock::now;

/// What drives sagas: this service's store and the other two services.
#[derive(Clone)]
pub(super) struct SagaRunner<I, P> {
    pub(super) store: Store,
    pub(super) inventory: I,
    pub(super) payments: P,
    pub(super) life: Life,
    /// What is written is dated by it.
    pub(super) almanac: Arc<SteadyClock>,
    /// Told when this life turns out to be fenced.
    pub(super) on_fenced: Arc<dyn Fn() + Send + Sync>,
}

/// A saga that this life owns.
pub(super) struct OwnedSaga {
    pub(super) order: OrderId,
    pub(super) claim_no: u32,
    pub(super) placed: NewOrder,
    /// Why a person gave it up, if one did.
    pub(super) given_up: Option<Arc<str>>,
    /// What its earlier owners spent of the budgets.
    pub(super) spent: BudgetUsed,
}

/// How often it is written down what a command spends of its budget while its outcome is waited for. An owner's death forgets less
/// than this much.
const SPENDING: Duration = Duration::from_secs(1);

/// How driving a saga ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SagaOutcome {
    /// The order stands.
    Confirmed,
    /// It does not.
    Rejected(Rejection),
    /// It is left as it is, visible.
    Parked,
    /// It is not this life's any more: what became of it is on disk.
    Lost,
}

impl<I: Inventory, P: Payments> SagaRunner<I, P> {
    /// From the top of the table to its end.
    pub(super) async fn drive(&self, saga: OwnedSaga) -> SagaOutcome {
        let (mut state, mut effect) = match saga.given_up {
            None => SagaState::begin(ORDER, now()),
            Some(_) => SagaState::begin_undoing(ORDER, now()),
        };
        state = state.with_earlier_use(ORDER, &saga.spent);
        loop {
            let mut unknown = None;
            let event = match effect {
                SagaEffect::Send(command, wait) => {
                    let (event, says) = self.send_and_count(&saga, &state, command, wait).await;
                    unknown = says.map(|says| (command, says));
                    event
                }
                SagaEffect::Record(verdict, wait) => self.record(&saga, verdict, wait).await,
                SagaEffect::Park(parking) => {
                    self.park(&saga, &describe(&parking)).await;
                    return SagaOutcome::Parked;
                }
                SagaEffect::Stop => {
                    if state == SagaState::Lost {
                        self.look_for_a_fence(&saga);
                    }
                    return end(state, saga.given_up.as_deref());
                }
            };
            (state, effect) = match state.on(ORDER, now(), event) {
                Ok((state, effect)) => (state.with_earlier_use(ORDER, &saga.spent), effect),
                Err(illegal) => {
                    self.park(&saga, &illegal.to_string()).await;
                    return SagaOutcome::Parked;
                }
            };
            if let (Some((command, says)), SagaEffect::Send(_, wait)) = (unknown, &effect) {
                let budget_left = state.budget_left(ORDER, now()).unwrap_or_default();
                self.note(UnknownAttempt {
                    token: self.token(&saga),
                    step: command.name(),
                    says,
                    wait: *wait,
                    budget_left,
                });
            }
        }
    }

    /// For the order's story; nobody waits for it, and it is dropped when the store is busy.
    fn note(&self, unknown: UnknownAttempt) {
        let (store, now_ms) = (self.store.clone(), self.almanac.now_ms());
        tokio::spawn(async move {
            let job = move |tx: &Tx<'_>| tries::note(tx, &unknown, now_ms);
            drop(store.write::<_, rusqlite::Error>(Admission::New, job).await);
        });
    }

    /// As [`SagaRunner::send`]. What it spends is written down for the next owner, which goes on with what is left.
    async fn send_and_count(
        &self,
        saga: &OwnedSaga,
        state: &SagaState<CommandRefusal>,
        command: SagaCommand,
        wait: Duration,
    ) -> (SagaEvent<CommandRefusal>, Option<String>) {
        let mut sending = pin!(self.send(saga, command, wait));
        let mut counted = false;
        let (event, says) = loop {
            match tokio::time::timeout(SPENDING, &mut sending).await {
                Ok(answer) => break answer,
                Err(_not_yet) => {
                    counted = true;
                    self.count(saga, state.budget_used(ORDER, now()));
                }
            }
        };
        match &event {
            SagaEvent::Unknown { .. } => self.count(saga, state.budget_used(ORDER, now())),
            // It could not be tried, so that time was not spent after all.
            SagaEvent::Stalled { .. } if counted => {
                let stalled = state.clone().on(ORDER, now(), event.clone());
                self.count(
                    saga,
                    stalled
                        .ok()
                        .and_then(|(state, _)| state.budget_used(ORDER, now())),
                );
            }
            SagaEvent::Stalled { .. } | SagaEvent::Done | SagaEvent::Refused(_) | SagaEvent::Fenced => {}
        }
        (event, says)
    }

    /// Nobody waits for it.
    fn count(&self, saga: &OwnedSaga, spent: Option<(SagaCommand, Duration)>) {
        if let Some((command, spent)) = spent {
            let (store, token) = (self.store.clone(), self.token(saga));
            tokio::spawn(async move {
                let job = move |tx: &Tx<'_>| spending::note(tx, token, command, spent);
                drop(store.write::<_, rusqlite::Error>(Admission::Continue, job).await);
            });
        }
    }

    /// The event, and what was said when nobody knows.
    async fn send(
        &self,
        saga: &OwnedSaga,
        command: SagaCommand,
        wait: Duration,
    ) -> (SagaEvent<CommandRefusal>, Option<String>) {
        pause(wait).await;
        let token = self.token(saga);
        let charge = || ChargeTerms {
            amount: saga.placed.total,
            method: saga.placed.method.clone(),
        };
        let outcome = match command {
            SagaCommand::Reserve => self.inventory.reserve(token, saga.placed.lines.clone()).await,
            SagaCommand::Release => self.inventory.release(token).await,
            SagaCommand::Charge => self.payments.charge(token, charge()).await,
            SagaCommand::Cancel => self.payments.cancel(token, charge()).await,
            SagaCommand::Commit => self.inventory.commit(token).await,
            SagaCommand::Return => self.inventory.give_back(token).await,
            SagaCommand::Refund => self.payments.refund(token, charge()).await,
        };
        let mut says = None;
        let event = match outcome {
            CommandOutcome::Done => SagaEvent::Done,
            CommandOutcome::Refused(refusal) => SagaEvent::Refused(refusal),
            CommandOutcome::Unknown(reason) => {
                let step = command.name();
                tracing::warn!(order = %saga.order, step, reason, "the outcome of a step is unknown; it will be tried again");
                says = Some(reason);
                SagaEvent::Unknown {
                    random: fastrand::u64(..),
                }
            }
            CommandOutcome::Stalled(reason) => {
                // Loudly said by the store, once; here it would be said once per order and try.
                tracing::debug!(order = %saga.order, step = command.name(), reason, "a step waits for its store");
                SagaEvent::Stalled {
                    random: fastrand::u64(..),
                }
            }
            CommandOutcome::Fenced => SagaEvent::Fenced,
        };
        (event, says)
    }

    async fn record(
        &self,
        saga: &OwnedSaga,
        verdict: SagaVerdict<CommandRefusal>,
        wait: Duration,
    ) -> SagaEvent<CommandRefusal> {
        pause(wait).await;
        let token = self.token(saga);
        let rejection = match verdict {
            SagaVerdict::Confirmed => None,
            SagaVerdict::Rejected(cause) => Some(Rejection::of(cause, saga.given_up.as_deref())),
        };
        let now_ms = self.almanac.now_ms();
        let written = self
            .write(move |tx| journal::end(tx, token, rejection.as_ref(), now_ms))
            .await;
        match written {
            Ok(RecordOutcome::Stands) => SagaEvent::Done,
            Ok(RecordOutcome::Fenced) => SagaEvent::Fenced,
            Ok(RecordOutcome::Contradicted) => SagaEvent::Refused(CommandRefusal::Senseless(
                "the order ended otherwise before".to_owned(),
            )),
            Err(error) => {
                tracing::warn!(order = %saga.order, %error, "an order's end could not be written; it will be tried again");
                SagaEvent::Unknown {
                    random: fastrand::u64(..),
                }
            }
        }
    }

    /// Until it is written: a saga must not stand still without a word.
    async fn park(&self, saga: &OwnedSaga, why: &str) {
        tracing::error!(order = %saga.order, why, "an order is parked and waits for a person or the next start");
        let token = self.token(saga);
        for tries in 1.. {
            let (text, now_ms) = (why.to_owned(), self.almanac.now_ms());
            if self
                .write(move |tx| journal::park(tx, token, &text, now_ms))
                .await
                .is_ok()
            {
                return;
            }
            pause(RECORD_RETRY.wait(tries, fastrand::u64(..))).await;
        }
    }

    /// One saga was taken over, or this life was taken for dead; then it must be replaced, or what it still owns stays undone.
    fn look_for_a_fence(&self, saga: &OwnedSaga) {
        let (life, token) = (self.life, self.token(saga));
        let barred = self
            .store
            .peek(|connection| Ok(fences::bars(connection, life)? || journal::is_owner(connection, token)?));
        if !matches!(barred, Ok(false)) {
            (self.on_fenced)();
        }
    }

    async fn write(
        &self,
        job: impl FnOnce(&Tx<'_>) -> rusqlite::Result<RecordOutcome> + Send + 'static,
    ) -> Result<RecordOutcome, WriteError<rusqlite::Error>> {
        self.store.write(Admission::Continue, job).await
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

fn end(state: SagaState<CommandRefusal>, given_up: Option<&str>) -> SagaOutcome {
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

fn describe(parking: &ParkReason<CommandRefusal>) -> String {
    match parking {
        ParkReason::Unknown(command) => {
            format!("the outcome of {} stayed unknown past its budget", command.name())
        }
        ParkReason::Contradicted(command, refusal) => {
            format!("{} was refused where it must not be: {refusal:?}", command.name())
        }
    }
}
