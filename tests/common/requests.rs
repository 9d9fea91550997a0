//! What a client asks of a cluster, each time on a connection of its own.

use std::net::SocketAddr;
use std::time::Instant;

use super::{Answer, Cluster, TIMEOUT, client};

impl Cluster {
    /// Where the first TCP address ended up.
    pub fn address(&self) -> SocketAddr {
        let line = self.wait_for("listening on");
        line["address"]
            .as_str()
            .expect("an address")
            .parse()
            .expect("an IP address")
    }

    /// The URL of a path at the first TCP address.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// GET on a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        Answer::of(client().get(self.url(path)).call())
    }

    /// Waits until every worker says that it is not ready: 20 connections in a row, each to any of them.
    pub fn wait_until_not_ready(&self) {
        let deadline = Instant::now() + TIMEOUT;
        let mut in_a_row = 0;
        while in_a_row < 20 {
            assert!(Instant::now() < deadline, "still ready");
            let is_ready = self.get("/healthz/readiness").status != 503;
            in_a_row = if is_ready { 0 } else { in_a_row + 1 };
        }
    }

    /// POST of a JSON text on a connection of its own.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let request = client()
            .post(self.url(path))
            .header("content-type", "application/json");
        Answer::of(
            headers
                .iter()
                .fold(request, |request, (name, value)| request.header(*name, *value))
                .send(body),
        )
    }

    /// PUT of a JSON text on a connection of its own.
    pub fn put(&self, path: &str, body: &str) -> Answer {
        Answer::of(
            client()
                .put(self.url(path))
                .header("content-type", "application/json")
                .send(body),
        )
    }
}
