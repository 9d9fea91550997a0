//! Fault injection: a payment provider behind an unreliable connection. Calls fail, or are carried out and
//! their reply is lost, or are carried out long after the caller has given up. The faults wrap any provider
//! and are off unless `[provider_faults]` sets them.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::contract::StorageError;
use super::payments::provider::{
    CancelOutcome, ChargeOutcome, ChargeRequest, Provider, ProviderReply, RefundOutcome, RefundRequest,
};
use crate::base::time::span;

/// `[provider_faults]`: how many calls of a hundred meet which fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderFaults {
    /// Calls that are never carried out.
    pub fail: u8,
    /// Calls that are carried out and whose reply is lost.
    pub lose: u8,
    /// Calls that are given up and carried out up to `late_by` afterwards.
    pub late: u8,
    /// Calls that are answered up to `late_by` later.
    pub slow: u8,
    /// The longest delay of a late or slow call.
    #[serde(with = "crate::config::duration")]
    pub late_by: Duration,
}

impl Default for ProviderFaults {
    fn default() -> ProviderFaults {
        ProviderFaults {
            fail: 0,
            lose: 0,
            late: 0,
            slow: 0,
            late_by: Duration::from_millis(500),
        }
    }
}

impl ProviderFaults {
    /// Whether any fault is set.
    #[must_use]
    pub fn are_on(self) -> bool {
        self.sum() > 0
    }

    /// How many calls of a hundred meet a fault.
    #[must_use]
    pub fn sum(self) -> u32 {
        [self.fail, self.lose, self.late, self.slow]
            .into_iter()
            .map(u32::from)
            .sum()
    }

    /// The fault of a call, drawn by a number below 100.
    /// The faults for people.
    fn told(self) -> String {
        let ProviderFaults {
            fail,
            lose,
            late,
            slow,
            late_by,
        } = self;
        format!(
            "of 100 calls {fail} fail, {lose} lose their reply, {late} are late and {slow} slow, by up to {}",
            span(late_by)
        )
    }

    fn fault(self, number: u8) -> InjectedFault {
        let mut edge = 0;
        for (share, fault) in [
            (self.fail, InjectedFault::NotCarriedOut),
            (self.lose, InjectedFault::ReplyLost),
            (self.late, InjectedFault::Late),
            (self.slow, InjectedFault::Slow),
        ] {
            edge += u32::from(share);
            if u32::from(number) < edge {
                return fault;
            }
        }
        InjectedFault::None
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InjectedFault {
    NotCarriedOut,
    ReplyLost,
    Late,
    Slow,
    None,
}

/// A provider whose calls meet injected faults.
pub struct FaultyProvider {
    inner: Arc<dyn Provider>,
    faults: ProviderFaults,
}

impl FaultyProvider {
    /// Wraps `inner`, and logs a warning.
    #[must_use]
    pub fn new(inner: Arc<dyn Provider>, faults: ProviderFaults) -> FaultyProvider {
        tracing::warn!(
            provider = inner.name(),
            "drill: calls to the payment provider fail on purpose ([provider_faults]): {}",
            faults.told()
        );
        FaultyProvider { inner, faults }
    }

    /// Carries `call` out as its fault demands; `unknown` makes the reply when the outcome is not known.
    async fn call_with_fault<T, C, F>(&self, call: C, unknown: fn(String) -> T) -> T
    where
        T: Send + 'static,
        C: FnOnce(Arc<dyn Provider>) -> F,
        F: Future<Output = T> + Send + 'static,
    {
        let delay = self.faults.late_by.mul_f64(fastrand::f64());
        let call = call(Arc::clone(&self.inner));
        match self.faults.fault(fastrand::u8(..100)) {
            InjectedFault::None => call.await,
            InjectedFault::NotCarriedOut => unknown("drill: the call failed".to_owned()),
            InjectedFault::ReplyLost => {
                drop(call.await);
                unknown("drill: the reply was lost".to_owned())
            }
            InjectedFault::Late => {
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    drop(call.await);
                });
                unknown("drill: the call is late".to_owned())
            }
            InjectedFault::Slow => {
                tokio::time::sleep(delay).await;
                call.await
            }
        }
    }
}

impl Provider for FaultyProvider {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn charge<'a>(&'a self, request: &'a ChargeRequest) -> ProviderReply<'a, ChargeOutcome> {
        let request = request.clone();
        let call = |provider: Arc<dyn Provider>| async move { provider.charge(&request).await };
        Box::pin(self.call_with_fault(call, ChargeOutcome::Unknown))
    }

    fn cancel<'a>(&'a self, provider_key: &'a str) -> ProviderReply<'a, CancelOutcome> {
        let key = provider_key.to_owned();
        let call = |provider: Arc<dyn Provider>| async move { provider.cancel(&key).await };
        Box::pin(self.call_with_fault(call, CancelOutcome::Unknown))
    }

    fn refund<'a>(&'a self, request: &'a RefundRequest) -> ProviderReply<'a, RefundOutcome> {
        let request = request.clone();
        let call = |provider: Arc<dyn Provider>| async move { provider.refund(&request).await };
        Box::pin(self.call_with_fault(call, RefundOutcome::Unknown))
    }

    fn accepts_new_work(&self) -> ProviderReply<'_, Result<(), StorageError>> {
        self.inner.accepts_new_work()
    }

    fn probe(&self) -> ProviderReply<'_, Result<(), String>> {
        self.inner.probe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_met_as_often_as_its_share_says() {
        let faults = ProviderFaults {
            fail: 3,
            lose: 5,
            late: 2,
            slow: 10,
            ..ProviderFaults::default()
        };
        let many = |wanted| (0..100).filter(|&number| faults.fault(number) == wanted).count();
        let found = [
            InjectedFault::NotCarriedOut,
            InjectedFault::ReplyLost,
            InjectedFault::Late,
            InjectedFault::Slow,
            InjectedFault::None,
        ]
        .map(many);
        assert_eq!(found, [3, 5, 2, 10, 80]);
        assert_eq!(faults.sum(), 20);
    }

    #[test]
    fn by_default_no_fault_is_injected() {
        assert!(!ProviderFaults::default().are_on());
        assert_eq!(ProviderFaults::default().fault(0), InjectedFault::None);
    }
}
