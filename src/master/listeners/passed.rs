//! What the sockets that the service manager passed mean for the addresses of the settings.

use super::groups::Listeners;
use super::probe::AddressError;
use super::shared::SharedListener;
use crate::config::{Address, Effective, Settings, contradictions};

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
            return Ok(settings);
        }
        let own = std::mem::take(&mut settings.cluster.bind).into_iter();
        let own = own.filter(|address| named && !passed.iter().any(|passed| passed.serves(address)));
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

    /// Those of these addresses that the program has to bind by itself.
    pub(in crate::master) fn not_passed(&self, addresses: &[Address]) -> Vec<Address> {
        let passed = |address: &Address| {
            let mut shared = self.shared.iter();
            shared.any(|shared| shared.passed && shared.address == *address)
        };
        let own = addresses.iter().filter(|address| !passed(address));
        own.cloned().collect()
    }
}
