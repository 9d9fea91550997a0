//! Which addresses are open: those of the generation that serves, and those of a generation that is rolled
//! out.

use std::collections::BTreeSet;

use tracing::{debug, info, warn};

use super::probe::AddressError;
use crate::base::ids::{Generation, Slot};
use crate::config::{Address, FileMode};
use crate::master::host::Host;
use crate::master::process::generation::LoadedGeneration;
use crate::master::start::startup::report_addresses;

impl Host {
    /// Opens the addresses of a generation that are not open yet. Clients that connect now wait for its first
    /// worker.
    pub(in crate::master) fn open_addresses(
        &mut self,
        addresses: &[Address],
        mode: FileMode,
    ) -> Result<(), AddressError> {
        let opened = self.listeners.open(addresses, mode, &self.persisted.weights)?;
        report_addresses(&opened, self.incarnation);
        Ok(())
    }

    /// The cluster runs this generation: the addresses that it does not serve are closed. Workers that still
    /// drain empty their queues.
    pub(in crate::master) fn serve(&mut self, number: Generation) {
        let Some(generation) = self.generations.get(&number) else {
            return;
        };
        for address in self.listeners.keep_only(&generation.settings.cluster.bind) {
            info!(%address, "no longer listening on {address}");
        }
    }

    /// Binds unix addresses again whose socket files somebody has removed, and has every worker accept from
    /// the new listeners, too.
    pub(in crate::master) fn restore_paths(&mut self) {
        let lost = self.listeners.lost_paths();
        let Some(mode) = self.newest().map(|newest| newest.settings.cluster.socket_mode) else {
            return;
        };
        for address in lost {
            let lost = std::slice::from_ref(&address);
            match self.listeners.open(lost, mode, &self.persisted.weights) {
                Ok(_) => {
                    warn!(%address, "the socket file of {address} was missing and has been bound again");
                    self.loss_reported = false;
                    self.hand_out(lost);
                }
                Err(error) if !std::mem::replace(&mut self.loss_reported, true) => {
                    warn!(
                        %address,
                        "the socket file of {address} is missing, and no client reaches it: {error}"
                    );
                }
                Err(_) => {}
            }
        }
    }

    /// A worker serves a listener that comes later as it serves that of a slot without a worker.
    fn hand_out(&self, addresses: &[Address]) {
        let listeners = self.listeners.at_paths(addresses);
        for process in self.processes.values().filter(|process| !process.facts.draining) {
            if let Err(error) = process.hand_over(process.facts.life.slot, &listeners) {
                debug!(life = %process.facts.life, "failed to hand a listener to a worker: {error}");
            }
        }
    }

    /// Applies the weights to every address, among the slots that serve it.
    pub(in crate::master) fn steer(&self) {
        let serves = |slot: Slot, address: &Address| {
            let mut workers = self
                .processes
                .values()
                .filter(|process| process.facts.life.slot == slot && !process.facts.draining);
            workers.any(|process| {
                let generation = self.generations.get(&process.facts.generation);
                generation.is_some_and(|generation| generation.serves(address))
            })
        };
        if let Err(error) = self.listeners.steer(&self.persisted.weights, serves) {
            warn!("failed to steer new connections ({error}); the kernel's hash spreads them over all slots");
        }
    }

    /// Steers again when generations with different addresses run side by side: each new worker then changes
    /// which slots serve an address.
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

impl LoadedGeneration {
    fn serves(&self, address: &Address) -> bool {
        self.settings.cluster.bind.contains(address)
    }
}
