//! A drill: the provider behind a bad line. Calls fail, or are carried out and their reply is lost, or arrive
//! long after the caller has given up. Wrapped around any provider, never built into one; off unless
//! `[provider_faults]` says otherwise.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::payments::provider::{
    CancelOutcome, ChargeOutcome, ChargeRequest, Provider, ProviderReply, RefundOutcome, RefundRequest,
};

/// `[provider_faults]`: how many calls of a hundred meet what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderFaults {
    /// Are never carried out.
    pub fail: u8,
    /// Are carried out, and nobody hears of it.
    pub lose: u8,
    /// Are given up, and carried out up to `late_by` afterwards.
    pub late: u8,
    /// Are answered up to `late_by` later.
    pub slow: u8,
    /// The longest delay.
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
    /// Whether there is any.
    #[must_use]
    pub fn are_on(self) -> bool {
        self.sum() > 0
    }

    /// Of a hundred.
    #[must_use]
    pub fn sum(self) -> u32 {
        [self.fail, self.lose, self.late, self.slow]
            .into_iter()
            .map(u32::from)
            .sum()
    }

    /// What a call meets, for a number below 100.
    fn fault(self, number: u8) -> InjectedFault {
        let mut edge = 0;
        for (share, fault) in [
            (self.fail, InjectedFault::Fails),
            (self.lose, InjectedFault::Lost),
            (self.late, InjectedFault::Late),
            (self.slow, InjectedFault::Slow),
        ] {
            edge += u32::from(share);
            if u32::from(number) < edge {
                return fault;
            }
        }
        InjectedFault::Well
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InjectedFault {
    Fails,
    Lost,
    Late,
    Slow,
    Well,
}

/// A provider behind a bad line.
pub struct FaultyProvider {
    inner: Arc<dyn Provider>,
    faults: ProviderFaults,
}

impl FaultyProvider {
    /// Puts the bad line before `inner`, and says so loudly.
    #[must_use]
    pub fn new(inner: Arc<dyn Provider>, faults: ProviderFaults) -> FaultyProvider {
        tracing::warn!(
            provider = inner.name(),
            ?faults,
            "drill: calls to the payment provider fail on purpose ([provider_faults])"
        );
        FaultyProvider { inner, faults }
    }

    /// `call` as often as its fault wants; `unknown` is what is told when nobody knows.
    async fn meet<T, C, F>(&self, call: C, unknown: fn(String) -> T) -> T
    where
        T: Send + 'static,
        C: FnOnce(Arc<dyn Provider>) -> F,
        F: Future<Output = T> + Send + 'static,
    {
        let delay = self.faults.late_by.mul_f64(fastrand::f64());
        let call = call(Arc::clone(&self.inner));
        match self.faults.fault(fastrand::u8(..100)) {
            InjectedFault::Well => call.await,
            InjectedFault::Fails => unknown("drill: the call failed".to_owned()),
            InjectedFault::Lost => {
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
        Box::pin(self.meet(call, ChargeOutcome::Unknown))
    }

    fn cancel<'a>(&'a self, provider_key: &'a str) -> ProviderReply<'a, CancelOutcome> {
        let key = provider_key.to_owned();
        let call = |provider: Arc<dyn Provider>| async move { provider.cancel(&key).await };
        Box::pin(self.meet(call, CancelOutcome::Unknown))
    }

    fn refund<'a>(&'a self, request: &'a RefundRequest) -> ProviderReply<'a, RefundOutcome> {
        let request = request.clone();
        let call = |provider: Arc<dyn Provider>| async move { provider.refund(&request).await };
        Box::pin(self.meet(call, RefundOutcome::Unknown))
    }

    fn has_room(&self) -> ProviderReply<'_, bool> {
        self.inner.has_room()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_share_is_met_as_often_as_it_says() {
        let faults = ProviderFaults {
            fail: 3,
            lose: 5,
            late: 2,
            slow: 10,
            ..ProviderFaults::default()
        };
        let many = |wanted| (0..100).filter(|&number| faults.fault(number) == wanted).count();
        let found = [
            InjectedFault::Fails,
            InjectedFault::Lost,
            InjectedFault::Late,
            InjectedFault::Slow,
            InjectedFault::Well,
        ]
        .map(many);
        assert_eq!(found, [3, 5, 2, 10, 80]);
        assert_eq!(faults.sum(), 20);
    }

    #[test]
    fn without_a_word_there_is_no_fault() {
        assert!(!ProviderFaults::default().are_on());
        assert_eq!(ProviderFaults::default().fault(0), InjectedFault::Well);
    }
}
