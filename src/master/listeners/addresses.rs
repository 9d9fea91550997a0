//! Which addresses are open: those of the generation that serves, and those of a generation that is rolled
//! out.

use std::collections::BTreeSet;

use tracing::{debug, info, warn};

use super::groups::ListenerGroup;
use super::probe::AddressError;
use crate::base::ids::{Generation, Life, Slot};
use crate::config::{Address, FileMode};
use crate::master::host::Host;
use crate::master::process::generation::LoadedGeneration;
use crate::master::process::{WorkerFacts, WorkerProcess};
use crate::master::start::startup::report_addresses;
use crate::pool::Event;

impl Host {
    /// Opens the addresses of a generation that are not open yet. Clients that connect now wait for its first
    /// worker.
    pub(in crate::master) fn open_addresses(
        &mut self,
        addresses: &[Address],
        mode: FileMode,
    ) -> Result<(), AddressError> {
        let opened = self.listeners.open(addresses, mode, &self.persisted.weights)?;
        self.service_manager.set_store_outdated();
        report_addresses(&opened, self.incarnation);
        Ok(())
    }

    /// The cluster runs this generation: the addresses that it does not serve are closed. Workers that still
    /// drain empty their queues.
    pub(in crate::master) fn serve(&mut self, number: Generation) {
        let Some(generation) = self.generations.get(&number) else {
            return;
        };
        let stays = |life: Life| {
            let process = self.processes.get(&life);
            process.is_some_and(|process| !process.facts.draining)
        };
        let bind = &generation.settings.cluster.bind;
        let closed = self
            .listeners
            .keep_only(bind, |lent| lent.is_wanted(number, stays));
        self.records_outdated |= !closed.is_empty();
        for address in closed {
            info!(%address, "no longer listening on {address}");
        }
        self.watch_files(number);
        self.service_manager.set_store_outdated();
    }

    /// Binds the control socket and the unix addresses again whose socket files somebody has removed. A stub
    /// that answers in the workers' place follows.
    pub(in crate::master) fn restore_sockets(&mut self) -> Option<Event> {
        self.control
            .rebind_if_removed(&self.poller, &mut self.lost_sockets);
        if self.restore_paths() {
            return self.replace_stub();
        }
        None
    }

    /// Has every worker accept from the listeners that were bound again, too; returns whether any was.
    fn restore_paths(&mut self) -> bool {
        let Some(mode) = self.newest().map(|newest| newest.settings.cluster.socket_mode) else {
            return false;
        };
        let mut any = false;
        for address in self.listeners.lost_paths() {
            let bound = self.listeners.restore(&address, mode);
            let name = format!("the socket file of {address}");
            if self.lost_sockets.report(&name, &bound) {
                self.hand_out(&address);
                self.service_manager.set_store_outdated();
                any = true;
            }
        }
        any
    }

    /// A worker serves a listener that comes later as it serves that of a slot without a worker.
    fn hand_out(&self, address: &Address) {
        let listeners = self.listeners.at_path(address);
        let serves = |process: &&WorkerProcess| {
            let WorkerFacts { life, generation, .. } = &process.facts;
            let generation = self.generations.get(generation);
            let configured = generation.is_some_and(|generation| generation.serves(address));
            configured || self.listeners.is_lent_at(address, *life)
        };
        let serving = self.processes.values().filter(serves);
        for process in serving.filter(|process| !process.facts.draining) {
            if let Err(error) = process.hand_over(process.facts.life.slot, &listeners) {
                debug!(life = %process.facts.life, "failed to hand a listener to a worker: {error}");
            }
        }
    }

    /// Applies the weights to every address, among the slots that serve it.
    pub(in crate::master) fn steer(&self) {
        let serves = |slot: Slot, group: &ListenerGroup| {
            let address = Address::Tcp(group.configured);
            let mut workers = self
                .processes
                .values()
                .filter(|process| process.facts.life.slot == slot && !process.facts.draining);
            workers.any(|process| {
                let generation = self.generations.get(&process.facts.generation);
                let lent = group.lent.as_ref();
                lent.is_some_and(|lent| lent.is_held_by(process.facts.life))
                    || generation.is_some_and(|generation| generation.serves(&address))
            })
        };
        if let Err(error) = self
            .listeners
            .steer(&self.persisted.weights, self.is_probed(), serves)
        {
            warn!("failed to steer new connections ({error}); the kernel's hash spreads them over all slots");
        }
    }

    /// Whether programs of a generation are probed.
    fn is_probed(&self) -> bool {
        let probed = |generation: &LoadedGeneration| generation.settings.run.is_probed();
        self.generations.values().any(probed)
    }

    /// Steers probes to the worker that is about to start, which may be probed before it is ready.
    pub(in crate::master) fn steer_probes(&self) {
        if self.is_probed() {
            self.steer();
        }
    }

    /// Steers again when workers serve different addresses side by side, because addresses are lent or
    /// generations differ in theirs: each new worker then changes which slots serve an address.
    pub(in crate::master) fn steer_if_mixed(&self) {
        let served: BTreeSet<&[Address]> = self
            .generations
            .values()
            .map(|generation| generation.settings.cluster.bind.as_slice())
            .collect();
        if served.len() > 1 || self.listeners.lends() {
            self.steer();
        }
    }
}

impl LoadedGeneration {
    fn serves(&self, address: &Address) -> bool {
        self.settings.cluster.bind.contains(address)
    }
}
