//! Workers ask for listeners over their lifelines and give them back, and are answered at once.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use tracing::{debug, info, warn};

use super::groups::SEARCH_WHILE_SERVING;
use super::lending::{Borrower, Returned};
use super::refusal::LendingError;
use crate::base::ids::Life;
use crate::base::time::Monotonic;
use crate::config::Address;
use crate::lifeline::Command;
use crate::master::host::Host;
use crate::master::process::violations::Violation;
use crate::master::process::{ListenerRequest, ListenerWish, WorkerProcess};
use crate::master::start::startup::report_reachability;
use crate::sys::clock;

/// A worker that is refused more often is answered without a search for who has the address, which takes time
/// from everybody else, and its refusals are no warnings any more.
const MAX_EXPLAINED: u32 = 4;

impl Host {
    /// Answers what a worker has asked about listeners.
    pub(in crate::master) fn lend_listeners(&mut self, life: Life) {
        let Some(process) = self.processes.get_mut(&life) else {
            return;
        };
        let requests = std::mem::take(&mut process.listener_requests);
        let mut given = false;
        for request in &requests {
            match request.wish {
                ListenerWish::Lend => given |= self.lend(life, request),
                ListenerWish::TakeBack => self.take_listener_back(life, request),
            }
        }
        if given {
            self.steer();
        }
    }

    /// The program of a worker listens there no more. Where others do, they get what comes from now on, and
    /// the worker is sent its listener again, to pass on what has come until then.
    fn take_listener_back(&mut self, life: Life, request: &ListenerRequest) {
        let returned = self.listeners.give_back(&request.address, life, clock::now());
        if let Returned::Served(_) = returned {
            self.steer();
        }
        let Some(process) = self.processes.get_mut(&life) else {
            return;
        };
        match returned {
            Returned::Served(left) => drop(send(process, request.number, left.as_fd())),
            Returned::Deserted => answer(process, request.number, Errno::ECONNREFUSED),
            Returned::Unknown => answer(process, request.number, Errno::EBADF),
        }
    }

    /// Closes the addresses that no program listens on any more.
    pub(in crate::master) fn close_deserted(&mut self, now: Monotonic) {
        let binds = self
            .generations
            .values()
            .flat_map(|one| &one.settings.cluster.bind);
        let configured: Vec<Address> = binds.cloned().collect();
        let closed = self.listeners.close_deserted(&configured, now);
        self.records_outdated |= !closed.is_empty();
        for address in closed {
            info!(%address, "no longer listening on {address}: no program listens there any more");
        }
    }

    /// Whether the worker has got a listener.
    fn lend(&mut self, life: Life, request: &ListenerRequest) -> bool {
        let Some(process) = self.processes.get_mut(&life) else {
            return false;
        };
        if !process.violations.may_ask_for_listener(life, clock::now()) {
            answer(process, request.number, Errno::EAGAIN);
            return false;
        }
        let Some(generation) = self.generations.get(&process.facts.generation) else {
            answer(process, request.number, Errno::ECANCELED);
            return false;
        };
        let borrower = Borrower {
            life,
            generation: process.facts.generation,
            configured: &generation.settings.cluster.bind,
            is_other_user: self.spawner.credentials.is_some(),
            search: search(process),
        };
        let loan = match self.listeners.lend(&request.address, borrower) {
            Ok(loan) => loan,
            Err(error) => {
                refuse(process, request, &error);
                return false;
            }
        };
        let address = &loan.address;
        if loan.is_new {
            self.records_outdated = true;
            info!(%address, %life, "listening on {address}, as the program of worker {life} asked");
            report_reachability(address, loan.dual_stack);
        } else {
            debug!(%address, %life, "a worker has asked for the listener at {address}");
        }
        send(process, request.number, loan.listener)
    }
}

/// Sends a worker a listener; returns whether it was sent.
fn send(process: &mut WorkerProcess, number: u64, listener: BorrowedFd<'_>) -> bool {
    match process.command_with(&Command::Listener { number, errno: 0 }, listener) {
        Ok(()) => true,
        // It reads no commands: it will be late, and killed.
        Err(error) => {
            let violation = Violation::Unreachable(error.to_string());
            process.violations.report(process.facts.life, &violation);
            false
        }
    }
}

fn search(process: &WorkerProcess) -> Duration {
    if process.violations.listeners_refused() < MAX_EXPLAINED {
        SEARCH_WHILE_SERVING
    } else {
        Duration::ZERO
    }
}

fn refuse(process: &mut WorkerProcess, request: &ListenerRequest, error: &LendingError) {
    let life = process.facts.life;
    if process.violations.refused_listener() < MAX_EXPLAINED {
        warn!(%life, "the program of a worker may not listen on {}: {error}", request.address);
    } else {
        debug!(%life, "the program of a worker may not listen on {}: {error}", request.address);
    }
    answer(process, request.number, error.errno());
}

/// Refuses a request. A worker that does not read its lifeline is noticed by its beats.
fn answer(process: &WorkerProcess, number: u64, errno: Errno) {
    let refusal = Command::Listener {
        number,
        errno: errno as i32,
    };
    if let Err(error) = process.command(&refusal) {
        debug!(life = %process.facts.life, "failed to refuse a worker a listener: {error}");
    }
}
