//! The requests that wait because something is under way that they must not be mixed with, and the clients
//! that wait for an answer.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::pending::{PendingDrains, PendingScales};
use crate::pool::protocol::event::{Request, Ticket};

/// One thing that is asked for, by all clients that asked for it before it was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct QueuedRequest {
    pub(in crate::pool) request: Request,
    pub(in crate::pool) tickets: Vec<Ticket>,
}

/// Which clients wait for what. Clients that wait for the operation under way are part of the operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pool) struct RequestQueue {
    /// Asked for and not begun, the oldest first.
    queued: VecDeque<QueuedRequest>,
    pub(in crate::pool) scales: PendingScales,
    pub(in crate::pool) drains: PendingDrains,
    /// The clients that wait for the cluster's end.
    stops: Vec<Ticket>,
}

impl RequestQueue {
    /// How many clients wait.
    pub(in crate::pool) fn waiters(&self) -> usize {
        let queued: usize = self.queued.iter().map(|queued| queued.tickets.len()).sum();
        queued + self.drains.waiters() + self.scales.waiters() + self.stops.len()
    }

    pub(in crate::pool) fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    /// Puts a request at the end. The same request twice in a row is one request: it has not been begun yet.
    pub(in crate::pool) fn push(&mut self, request: Request, ticket: Ticket) {
        match self.queued.back_mut().filter(|last| last.request == request) {
            Some(last) => last.tickets.push(ticket),
            None => self.queued.push_back(QueuedRequest {
                request,
                tickets: vec![ticket],
            }),
        }
    }

    pub(in crate::pool) fn pop(&mut self) -> Option<QueuedRequest> {
        self.queued.pop_front()
    }

    /// A client waits for the cluster's end.
    pub(in crate::pool) fn wait_for_stop(&mut self, ticket: Ticket) {
        self.stops.push(ticket);
    }

    /// The cluster has ended: the clients that waited for it.
    pub(in crate::pool) fn take_stops(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.stops)
    }
}
