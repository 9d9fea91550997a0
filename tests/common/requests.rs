//! What a client asks of a cluster, each time on a connection of its own.

use std::net::SocketAddr;

use super::{Answer, Cluster, client};

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

    /// `http://address/path`
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// GET on a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        Answer::of(client().get(self.url(path)).call())
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
