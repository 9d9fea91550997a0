//! Which addresses are open when: those of the generation that serves, and of one that is rolled out.

use std::collections::BTreeSet;

use tracing::{info, warn};

use crate::base::ids::{Generation as Number, Slot};
use crate::config::{Address, FileMode};
use crate::master::host::World;
use crate::master::process::generation::Generation;
use crate::master::start::orphans::AddressError;
use crate::master::start::startup::report_addresses;

impl World {
    /// Opens what a generation serves and is not open yet. Clients that come now wait for its first worker.
    pub(in crate::master) fn open_addresses(
        &mut self,
        addresses: &[Address],
        mode: FileMode,
    ) -> Result<(), AddressError> {
        let opened = self.listeners.open(addresses, mode, &self.kept.weights)?;
        report_addresses(&opened, self.incarnation);
        Ok(())
    }

    /// The cluster is this generation: what it does not serve is let go of, and whoever still drains empties its queues.
    pub(in crate::master) fn serve(&mut self, number: Number) {
        let Some(generation) = self.generations.get(&number) else {
            return;
        };
        for address in self.listeners.keep_only(&generation.settings.cluster.bind) {
            info!(%address, "no longer listening on {address}");
        }
    }

    /// Puts the weights on every address, each among the slots that serve it.
    pub(in crate::master) fn steer(&self) {
        let serves = |slot: Slot, address: &Address| {
            let mut workers = self
                .processes
                .values()
                .filter(|process| process.life.slot == slot && !process.leaving);
            workers.any(|process| {
                let generation = self.generations.get(&process.generation);
                generation.is_some_and(|generation| generation.serves(address))
            })
        };
        if let Err(error) = self.listeners.steer(&self.kept.weights, serves) {
            warn!("failed to steer new connections ({error}); the kernel's hash spreads them over all slots");
        }
    }

    /// While generations of different addresses live side by side, each newcomer changes who serves what.
    pub(in crate::master) fn steer_if_mixed(&self) {
        let served: BTreeSet<&[Address]> = self
            .generations
            .values()
            .map(|generation| generation.settings.cluster.bind.as_slice())
            .collect();
        if served.len() > 1 {
            self.steer();
        }
    }
}

impl Generation {
    fn serves(&self, address: &Address) -> bool {
        self.settings.cluster.bind.contains(address)
    }
}
