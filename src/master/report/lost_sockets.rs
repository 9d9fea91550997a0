//! Sockets whose files somebody has removed: each loss is logged once, however often binding it again fails.

use std::collections::BTreeSet;
use std::fmt::Display;

use tracing::warn;

/// The sockets that are said to be missing.
#[derive(Debug, Default)]
pub(in crate::master) struct LostSockets(BTreeSet<String>);

impl LostSockets {
    /// Logs how binding a lost socket again ended; returns whether it is bound.
    pub(in crate::master) fn report<T, E: Display>(&mut self, name: &str, bound: &Result<T, E>) -> bool {
        match bound {
            Ok(_) => {
                self.0.remove(name);
                warn!("{name} was missing and has been bound again");
            }
            Err(error) if self.0.insert(name.to_owned()) => warn!(
                "{name} is missing, and no client reaches it: {error}; binding it is tried again whenever \
                 the workers are sampled"
            ),
            Err(_) => {}
        }
        bound.is_ok()
    }

    /// Whether the socket is said to be missing.
    #[cfg(test)]
    pub(in crate::master) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_news_until_it_is_mended_and_each_socket_has_its_own() {
        let mut lost = LostSockets::default();
        let failed: Result<(), &str> = Err("no");
        assert!(!lost.report("one", &failed) && lost.has("one") && !lost.has("two"));
        assert!(!lost.report("two", &failed));
        assert!(lost.report("one", &Ok::<_, &str>(())));
        assert!(!lost.has("one") && lost.has("two"));
    }
}
