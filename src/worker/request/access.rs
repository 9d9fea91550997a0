//! The access log: one line for each request, when it is switched on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{Method, Request, StatusCode, Uri};

use crate::worker::connection::shared::Connection;
use crate::worker::handle::Worker;

/// A line of the access log in the making.
pub(in crate::worker) struct AccessEntry {
    begun: Instant,
    method: Method,
    uri: Uri,
    connection: u64,
    peer: Option<SocketAddr>,
}

impl AccessEntry {
    /// The head of a request is complete. There is an entry only if the access log is on.
    pub(in crate::worker) fn begin<B>(
        worker: &Worker,
        request: &Request<B>,
        connection: &Arc<Connection>,
    ) -> Option<AccessEntry> {
        worker.settings().log.access.then(|| AccessEntry {
            begun: Instant::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            connection: connection.number,
            peer: connection.peer,
        })
    }

    /// The head of the answer is known: writes the line.
    pub(in crate::worker) fn end(self, status: StatusCode) {
        let peer = self.peer.map(|peer| peer.to_string());
        let took_us = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (method, path, status) = (self.method.as_str(), self.uri.path(), status.as_u16());
        tracing::info!(
            method,
            path,
            status,
            took_us,
            peer,
            connection = self.connection,
            "request"
        );
    }
}
