//! The access log: one line a request, when it is switched on, and nothing at all otherwise.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{Method, Request, StatusCode, Uri};

use crate::worker::connection::shared::Connection;
use crate::worker::handle::Worker;

/// What the line will say.
pub(in crate::worker) struct Access {
    begun: Instant,
    method: Method,
    uri: Uri,
    connection: u64,
    peer: Option<SocketAddr>,
}

impl Access {
    /// A request's head is complete.
    pub(in crate::worker) fn begin<B>(
        worker: &Worker,
        request: &Request<B>,
        connection: &Arc<Connection>,
    ) -> Option<Access> {
        worker.settings().log.access.then(|| Access {
            begun: Instant::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            connection: connection.number,
            peer: connection.peer,
        })
    }

    /// Its answer's head is known.
    pub(in crate::worker) fn end(self, status: StatusCode) {
        let peer = self.peer.map(|peer| peer.to_string());
        let us = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (method, path, status) = (self.method.as_str(), self.uri.path(), status.as_u16());
        tracing::info!(
            method,
            path,
            status,
            us,
            peer,
            connection = self.connection,
            "request"
        );
    }
}
