//! What the sockets that the service manager passed mean for the addresses of the settings.

use super::groups::Listeners;
use super::probe::AddressError;
use super::shared::SharedListener;
use crate::config::{Address, Effective, ListenMode, Settings, contradictions};

/// Whether a program is to get listeners of which there are none.
fn hands_out_nothing(settings: &Settings) -> bool {
    let run = &settings.run;
    run.is_asked_for() && run.listen == ListenMode::Fds && settings.cluster.bind.is_empty()
}

impl Listeners {
    /// The settings with the addresses of the sockets that the service manager passed. They stand in place of
    /// the default address, and beside those that somebody set and that they do not serve.
    ///
    /// # Errors
    /// When the settings contradict these addresses, in words.
    pub(in crate::master) fn with_passed(&self, effective: Effective) -> Result<Settings, String> {
        let named = effective.names_addresses();
        let mut settings = effective.settings;
        let passed: Vec<&SharedListener> = self.shared.iter().filter(|shared| shared.passed).collect();
        if passed.is_empty() {
            return match hands_out_nothing(&settings) {
                true => Err(
                    "because run.listen is \"fds\" and there is no address, expected at least one \
                    whose listener the program can get: name it in bind, or take another way to listen"
                        .to_owned(),
                ),
                false => Ok(settings),
            };
        }
        let own = std::mem::take(&mut settings.cluster.bind).into_iter();
        let is_named = |address: &Address| named || settings.cluster.internal.contains(address);
        let own =
            own.filter(|address| is_named(address) && !passed.iter().any(|passed| passed.serves(address)));
        let all = passed.iter().map(|passed| passed.address.clone()).chain(own);
        settings.cluster.bind = all.collect();
        match contradictions(&settings).as_slice() {
            [] => Ok(settings),
            reasons => Err(format!(
                "with the sockets that the service manager passed: {}",
                reasons.join("; ")
            )),
        }
    }

    /// The addresses whose sockets all workers share, because the service manager passed one for each. Their
    /// connections cannot be steered.
    pub(in crate::master) fn unsteered(&self) -> impl Iterator<Item = &Address> {
        let passed = self.shared.iter().filter(|shared| shared.passed);
        let addresses = passed.map(|passed| &passed.address);
        addresses.filter(|address| matches!(address, Address::Tcp(_)))
    }

    /// Another listener has the sockets of the service manager as they are: nothing can be bound beside them
    /// that takes the same connections.
    ///
    /// # Errors
    /// [`AddressError::Overlaps`] names the socket that was passed.
    pub(super) fn refuse_overlap(&self, address: &Address) -> Result<(), AddressError> {
        let mut passed = self.shared.iter().filter(|shared| shared.passed);
        match passed.find(|passed| address.covers(&passed.address)) {
            None => Ok(()),
            Some(passed) => Err(AddressError::Overlaps {
                address: address.clone(),
                passed: passed.address.clone(),
            }),
        }
    }

    /// Adds a listener that is open already.
    pub(in crate::master) fn take(&mut self, listener: SharedListener) {
        self.shared.push(listener);
    }
}
