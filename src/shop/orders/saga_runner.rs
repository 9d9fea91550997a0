//! Carries out what the saga's table says, for one order at a time. It decides nothing: it waits, sends, and brings back what
//! was answered. Dropping it at any point loses nothing but time; another life then starts at the top of the same table.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::domain::{NewOrder, Rejection};
use super::sqlite::attempts::{self as tries, Unknown};
use super::sqlite::budget_used as spending;
use super::sqlite::orders::{self as journal, Written};
use crate::base::ids::Life;
use crate::saga::definition::RECORD_RETRY;
use crate::saga::table::ParkReason;
use crate::saga::{BudgetUsed, ORDER, SagaCommand, SagaEffect, SagaEvent, SagaState, SagaVerdict};
use crate::shop::contract::{Charge, Inventory, Mandate, OrderId, Outcome, Payments, Refusal};
use crate::shop::recovery::fences;
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::store::{Admission, Store, Tx, WriteError};
use crate::sys::clock::now;

/// What drives sagas: this service's store and the other two services.
#[derive(Clone)]
pub(super) struct Driver<I, P> {
    pub(super) store: Store,
    pub(super) inventory: I,
    pub(super) payments: P,
    pub(super) life: Life,
    /// What is written is dated by it.
    pub(super) almanac: Arc<SteadyClock>,
    /// Told when this life turns out to be fenced.
    pub(super) on_barred: Arc<dyn Fn() + Send + Sync>,
}

/// A saga that this life owns.
pub(super) struct Saga {
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
pub enum End {
    /// The order stands.
    Confirmed,
    /// It does not.
    Rejected(Rejection),
    /// It is left as it is, visible.
    Parked,
    /// It is not this life's any more: what became of it is on disk.
    Lost,
}

impl<I: Inventory, P: Payments> Driver<I, P> {
    /// From the top of the table to its end.
    pub(super) async fn drive(&self, saga: Saga) -> End {
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
                    return End::Parked;
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
                    return End::Parked;
                }
            };
            if let (Some((command, says)), SagaEffect::Send(_, wait)) = (unknown, &effect) {
                let budget_left = state.budget_left(ORDER, now()).unwrap_or_default();
                self.note(Unknown {
                    mandate: self.mandate(&saga),
                    step: command.name(),
                    says,
                    wait: *wait,
                    budget_left,
                });
            }
        }
    }

    /// For the order's story; nobody waits for it, and it is dropped when the store is busy.
    fn note(&self, unknown: Unknown) {
        let (store, now_ms) = (self.store.clone(), self.almanac.now_ms());
        tokio::spawn(async move {
            let job = move |tx: &Tx<'_>| tries::note(tx, &unknown, now_ms);
            drop(store.write::<_, rusqlite::Error>(Admission::New, job).await);
        });
    }

    /// As [`Driver::send`]. What it spends is written down for the next owner, which goes on with what is left.
    async fn send_and_count(
        &self,
        saga: &Saga,
        state: &SagaState<Refusal>,
        command: SagaCommand,
        wait: Duration,
    ) -> (SagaEvent<Refusal>, Option<String>) {
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
    fn count(&self, saga: &Saga, spent: Option<(SagaCommand, Duration)>) {
        if let Some((command, spent)) = spent {
            let (store, mandate) = (self.store.clone(), self.mandate(saga));
            tokio::spawn(async move {
                let job = move |tx: &Tx<'_>| spending::note(tx, mandate, command, spent);
                drop(store.write::<_, rusqlite::Error>(Admission::Continue, job).await);
            });
        }
    }

    /// The event, and what was said when nobody knows.
    async fn send(
        &self,
        saga: &Saga,
        command: SagaCommand,
        wait: Duration,
    ) -> (SagaEvent<Refusal>, Option<String>) {
        pause(wait).await;
        let mandate = self.mandate(saga);
        let charge = || Charge {
            amount: saga.placed.total,
            method: saga.placed.method.clone(),
        };
        let outcome = match command {
            SagaCommand::Reserve => self.inventory.reserve(mandate, saga.placed.lines.clone()).await,
            SagaCommand::Release => self.inventory.release(mandate).await,
            SagaCommand::Charge => self.payments.charge(mandate, charge()).await,
            SagaCommand::Cancel => self.payments.cancel(mandate, charge()).await,
            SagaCommand::Commit => self.inventory.commit(mandate).await,
            SagaCommand::Return => self.inventory.give_back(mandate).await,
            SagaCommand::Refund => self.payments.refund(mandate, charge()).await,
        };
        let mut says = None;
        let event = match outcome {
            Outcome::Done => SagaEvent::Done,
            Outcome::Refused(refusal) => SagaEvent::Refused(refusal),
            Outcome::Unknown(reason) => {
                let step = command.name();
                tracing::warn!(order = %saga.order, step, reason, "the outcome of a step is unknown; it will be tried again");
                says = Some(reason);
                SagaEvent::Unknown {
                    random: fastrand::u64(..),
                }
            }
            Outcome::Stalled(reason) => {
                // Loudly said by the store, once; here it would be said once per order and try.
                tracing::debug!(order = %saga.order, step = command.name(), reason, "a step waits for its store");
                SagaEvent::Stalled {
                    random: fastrand::u64(..),
                }
            }
            Outcome::Fenced => SagaEvent::Fenced,
        };
        (event, says)
    }

    async fn record(&self, saga: &Saga, verdict: SagaVerdict<Refusal>, wait: Duration) -> SagaEvent<Refusal> {
        pause(wait).await;
        let mandate = self.mandate(saga);
        let rejection = match verdict {
            SagaVerdict::Confirmed => None,
            SagaVerdict::Rejected(cause) => Some(Rejection::of(cause, saga.given_up.as_deref())),
        };
        let now_ms = self.almanac.now_ms();
        let written = self
            .write(move |tx| journal::end(tx, mandate, rejection.as_ref(), now_ms))
            .await;
        match written {
            Ok(Written::Stands) => SagaEvent::Done,
            Ok(Written::Fenced) => SagaEvent::Fenced,
            Ok(Written::Contradicted) => {
                SagaEvent::Refused(Refusal::Senseless("the order ended otherwise before".to_owned()))
            }
            Err(error) => {
                tracing::warn!(order = %saga.order, %error, "an order's end could not be written; it will be tried again");
                SagaEvent::Unknown {
                    random: fastrand::u64(..),
                }
            }
        }
    }

    /// Until it is written: a saga must not stand still without a word.
    async fn park(&self, saga: &Saga, why: &str) {
        tracing::error!(order = %saga.order, why, "an order is parked and waits for a person or the next start");
        let mandate = self.mandate(saga);
        for tries in 1.. {
            let (text, now_ms) = (why.to_owned(), self.almanac.now_ms());
            if self
                .write(move |tx| journal::park(tx, mandate, &text, now_ms))
                .await
                .is_ok()
            {
                return;
            }
            pause(RECORD_RETRY.wait(tries, fastrand::u64(..))).await;
        }
    }

    /// One saga was taken over, or this life was taken for dead; then it must be replaced, or what it still owns stays undone.
    fn look_for_a_fence(&self, saga: &Saga) {
        let (life, mandate) = (self.life, self.mandate(saga));
        let barred = self.store.peek(|connection| {
            Ok(fences::bars(connection, life)? || journal::is_owner(connection, mandate)?)
        });
        if !matches!(barred, Ok(false)) {
            (self.on_barred)();
        }
    }

    async fn write(
        &self,
        job: impl FnOnce(&Tx<'_>) -> rusqlite::Result<Written> + Send + 'static,
    ) -> Result<Written, WriteError<rusqlite::Error>> {
        self.store.write(Admission::Continue, job).await
    }

    fn mandate(&self, saga: &Saga) -> Mandate {
        Mandate {
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

fn end(state: SagaState<Refusal>, given_up: Option<&str>) -> End {
    match state {
        SagaState::Ended(SagaVerdict::Confirmed) => End::Confirmed,
        SagaState::Ended(SagaVerdict::Rejected(cause)) => End::Rejected(Rejection::of(cause, given_up)),
        SagaState::Lost => End::Lost,
        SagaState::Parked(_)
        | SagaState::Doing(_)
        | SagaState::Settling(..)
        | SagaState::Undoing(..)
        | SagaState::Recording(..) => End::Parked,
    }
}

fn describe(parking: &ParkReason<Refusal>) -> String {
    match parking {
        ParkReason::Unknown(command) => {
            format!("the outcome of {} stayed unknown past its budget", command.name())
        }
        ParkReason::Contradicted(command, refusal) => {
            format!("{} was refused where it must not be: {refusal:?}", command.name())
        }
    }
}
